//! Which records are shown: `-G k:re`, `-G v:!re`, `-G h:name=re`. All filters must agree.

use std::str::FromStr;

use regex::bytes::Regex;
use tidemark_protocol::batch::Record;

/// One filter.
#[derive(Clone, Debug)]
pub struct Filter {
    subject: Subject,
    regex: Regex,
    negated: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Subject {
    Key,
    Value,
    Header(String),
}

impl Filter {
    /// Whether the record is shown. What is null or missing matches nothing.
    pub fn matches(&self, record: &Record<'_>) -> bool {
        let found = match &self.subject {
            Subject::Key => record.key.is_some_and(|key| self.regex.is_match(key)),
            Subject::Value => record.value.is_some_and(|value| self.regex.is_match(value)),
            Subject::Header(name) => record
                .headers
                .filter(|header| header.key == name.as_bytes())
                .any(|header| header.value.is_some_and(|value| self.regex.is_match(value))),
        };
        found != self.negated
    }
}

impl FromStr for Filter {
    type Err = String;

    fn from_str(text: &str) -> Result<Filter, String> {
        let forms =
            "a filter is k:REGEX, v:REGEX or h:NAME=REGEX, with ! before REGEX for what must not match";
        let (subject, rest) = text.split_once(':').ok_or_else(|| format!("{text:?}: {forms}"))?;
        let (subject, pattern) = match subject {
            "k" => (Subject::Key, rest),
            "v" => (Subject::Value, rest),
            "h" => {
                let (name, pattern) = rest.split_once('=').ok_or_else(|| format!("{text:?}: {forms}"))?;
                (Subject::Header(name.to_owned()), pattern)
            }
            _ => return Err(format!("{text:?}: {forms}")),
        };
        let (pattern, negated) =
            pattern.strip_prefix('!').map_or((pattern, false), |pattern| (pattern, true));
        let regex = Regex::new(pattern).map_err(|error| format!("{text:?}: {error}"))?;
        Ok(Filter { subject, regex, negated })
    }
}

#[cfg(test)]
mod tests;
