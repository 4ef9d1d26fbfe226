//! [`ConfigDef`]: one row of a configuration table, and the check of a value against it with Kafka's texts.

use std::borrow::Cow;

use super::config_value::{ConfigProblem, ConfigType};

/// A key as its table defines it.
#[derive(Clone, Copy, Debug)]
pub struct ConfigDef {
    /// The key.
    pub name: &'static str,
    /// Type of its values.
    pub kind: ConfigType,
    /// Value when nothing sets it; `None` for none.
    pub default: Option<&'static str>,
    /// Which values of the type are legal.
    pub rule: Rule,
    /// What it does, in one or two sentences.
    pub doc: &'static str,
}

/// Which values of a type are legal.
#[derive(Clone, Copy, Debug)]
pub enum Rule {
    /// All.
    Any,
    /// Numbers from here.
    AtLeast(i64),
    /// Numbers from here to there, both included.
    Between(i64, i64),
    /// −1, or a number from here to there, both included.
    MinusOneOrBetween(i64, i64),
    /// −1 for "unlimited", or a number from 1.
    UnlimitedOrPositive,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// A list of distinct words out of these; the list may be empty.
    EachOf(&'static [&'static str]),
    /// `*`, or a list of `partition:broker`.
    ThrottledReplicas,
    /// `latest`, `earliest` or `by_duration:` and an ISO 8601 duration.
    ShareOffsetReset,
}

impl ConfigDef {
    /// Checks a value; the text of the problem is Kafka's.
    pub fn check(&self, value: &str) -> Result<(), ConfigProblem> {
        let value = value.trim();
        match self.kind {
            ConfigType::Boolean => self.check_boolean(value),
            ConfigType::Int => self.check_integer(value, i64::from(i32::MIN)..=i64::from(i32::MAX), "INT"),
            ConfigType::Short => {
                self.check_integer(value, i64::from(i16::MIN)..=i64::from(i16::MAX), "SHORT")
            }
            ConfigType::Long => self.check_integer(value, i64::MIN..=i64::MAX, "LONG"),
            ConfigType::Double => self.check_double(value),
            ConfigType::List => self.check_list(value),
            ConfigType::String | ConfigType::Class | ConfigType::Password => self.check_text(value),
        }
    }

    /// A problem with a value of this key, in the frame Kafka puts around it.
    pub fn problem(&self, value: &str, what: &str) -> ConfigProblem {
        let message = format!("Invalid value {value} for configuration {}: {what}", self.name);
        ConfigProblem { key: self.name.to_owned(), message }
    }

    fn check_boolean(&self, value: &str) -> Result<(), ConfigProblem> {
        match parse_boolean(value) {
            Some(_) => Ok(()),
            None => Err(self.problem(value, "Expected value to be either true or false")),
        }
    }

    fn check_integer(
        &self,
        value: &str,
        range: std::ops::RangeInclusive<i64>,
        type_name: &str,
    ) -> Result<(), ConfigProblem> {
        let number = value
            .parse()
            .ok()
            .filter(|number| range.contains(number))
            .ok_or_else(|| self.problem(value, &format!("Not a number of type {type_name}")))?;
        self.check_number(value, number)
    }

    fn check_number(&self, value: &str, number: i64) -> Result<(), ConfigProblem> {
        let (min, max) = match self.rule {
            Rule::AtLeast(min) => (min, i64::MAX),
            Rule::Between(min, max) => (min, max),
            Rule::MinusOneOrBetween(min, max) => {
                let legal = number == -1 || (min..=max).contains(&number);
                let what = format!("Value must be between {min} and {max} or equal to -1");
                return if legal { Ok(()) } else { Err(self.problem(value, &what)) };
            }
            Rule::UnlimitedOrPositive => {
                let legal = number == -1 || number >= 1;
                let what = format!("{} must be unlimited (-1) or, equal or greater than 1", self.name);
                return if legal { Ok(()) } else { Err(self.problem(value, &what)) };
            }
            _ => (i64::MIN, i64::MAX),
        };
        if number < min {
            return Err(self.problem(value, &format!("Value must be at least {min}")));
        }
        if number > max {
            return Err(self.problem(value, &format!("Value must be no more than {max}")));
        }
        Ok(())
    }

    /// The bounds of a rule are whole numbers, also for doubles; not-a-number is below every bound.
    fn check_double(&self, value: &str) -> Result<(), ConfigProblem> {
        let number: f64 = value.parse().map_err(|_| self.problem(value, "Not a number of type DOUBLE"))?;
        if let Rule::Between(min, max) = self.rule {
            let (min, max) = (min as f64, max as f64);
            if number.is_nan() || number < min {
                return Err(self.problem(value, &format!("Value must be at least {min}")));
            }
            if number > max {
                return Err(self.problem(value, &format!("Value must be no more than {max}")));
            }
        }
        Ok(())
    }

    fn check_text(&self, value: &str) -> Result<(), ConfigProblem> {
        match self.rule {
            Rule::OneOf(words) if !words.contains(&value) => {
                Err(self.problem(value, &format!("String must be one of: {}", words.join(", "))))
            }
            Rule::ShareOffsetReset if !is_share_offset_reset(value) => {
                let what = "value must be 'latest', 'earliest' or of the format 'by_duration:<PnDTnHnMn.nS>'";
                Err(self.problem(value, what))
            }
            _ => Ok(()),
        }
    }

    fn check_list(&self, value: &str) -> Result<(), ConfigProblem> {
        let parts = list_parts(value);
        match self.rule {
            Rule::EachOf(words) => {
                if parts.iter().enumerate().any(|(at, part)| parts[..at].contains(part)) {
                    let message = format!("Configuration '{}' values must not be duplicated.", self.name);
                    return Err(ConfigProblem { key: self.name.to_owned(), message });
                }
                match parts.iter().find(|part| !words.contains(part)) {
                    Some(part) => {
                        Err(self.problem(part, &format!("String must be one of: {}", words.join(", "))))
                    }
                    None => Ok(()),
                }
            }
            Rule::ThrottledReplicas if !is_throttled_replicas(value) => {
                let what = format!(
                    "{} must be the literal '*' or a list of replicas in the following format: \
                     [partitionId]:[brokerId],[partitionId]:[brokerId],...",
                    self.name
                );
                Err(self.problem(value, &what))
            }
            _ => Ok(()),
        }
    }
}

/// Typed access to effective values, which were checked: each getter names a key of the table behind `F`.
pub(super) struct Typed<F>(pub(super) F);

impl<'a, F: Fn(&'static str) -> Cow<'a, str>> Typed<F> {
    pub(super) fn text(&self, name: &'static str) -> Cow<'a, str> {
        match (self.0)(name) {
            Cow::Borrowed(text) => Cow::Borrowed(text.trim()),
            Cow::Owned(text) => Cow::Owned(text.trim().to_owned()),
        }
    }

    pub(super) fn boolean(&self, name: &'static str) -> bool {
        parse_boolean(&self.text(name)).expect("effective values were checked")
    }

    pub(super) fn number<T: std::str::FromStr>(&self, name: &'static str) -> T {
        self.text(name).parse().ok().expect("effective values were checked")
    }

    pub(super) fn list(&self, name: &'static str) -> Vec<String> {
        list_parts(&self.text(name)).into_iter().map(str::to_owned).collect()
    }
}

/// The parts of a list as Kafka splits it: at commas, trimmed; an empty text is an empty list.
pub fn list_parts(value: &str) -> Vec<&str> {
    let value = value.trim();
    if value.is_empty() { Vec::new() } else { value.split(',').map(str::trim).collect() }
}

/// `true` or `false` in any case.
pub fn parse_boolean(value: &str) -> Option<bool> {
    let value = value.trim();
    if value.eq_ignore_ascii_case("true") {
        Some(true)
    } else if value.eq_ignore_ascii_case("false") {
        Some(false)
    } else {
        None
    }
}

fn is_throttled_replicas(value: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_replica = |part: &&str| {
        part.split_once(':').is_some_and(|(partition, broker)| is_number(partition) && is_number(broker))
    };
    value == "*" || list_parts(value).iter().all(is_replica)
}

fn is_share_offset_reset(value: &str) -> bool {
    let lower = value.to_ascii_lowercase();
    if lower == "latest" || lower == "earliest" {
        return true;
    }
    lower.strip_prefix("by_duration:").is_some_and(is_iso_duration)
}

/// Days to seconds of ISO 8601, as `p1dt2h3m4.5s`, lower case, not negative.
fn is_iso_duration(text: &str) -> bool {
    let Some(text) = text.strip_prefix('p') else { return false };
    let (days, time) = match text.split_once('t') {
        Some((days, time)) if !time.is_empty() => (days, time),
        Some(_) => return false,
        None => (text, ""),
    };
    let is_number =
        |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    if !days.is_empty() && !days.strip_suffix('d').is_some_and(is_number) {
        return false;
    }
    let mut rest = time;
    for unit in ['h', 'm', 's'] {
        if let Some((number, after)) = rest.split_once(unit) {
            if !is_number(number) {
                return false;
            }
            rest = after;
        }
    }
    rest.is_empty() && !(days.is_empty() && time.is_empty())
}

#[cfg(test)]
mod tests;
