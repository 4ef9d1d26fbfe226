//! Client metrics subscriptions (KIP-714): their three keys, which values are legal, and what is described of them.

use std::collections::BTreeMap;

use tidemark_protocol::error_code::ErrorCode;

use super::config_def::{ConfigDef, Rule, list_parts};
use super::config_value::{ConfigEntry, ConfigSource, ConfigSynonym, ConfigType};
use super::reply::Failure;

/// Shortest push interval, in milliseconds.
const INTERVAL_MS_MIN: i64 = 100;
/// Longest push interval, in milliseconds.
const INTERVAL_MS_MAX: i64 = 3_600_000;

/// What a pattern of `match` may look at.
const MATCH_KEYS: [&str; 6] = [
    "client_id",
    "client_instance_id",
    "client_software_name",
    "client_software_version",
    "client_source_address",
    "client_source_port",
];

/// All keys of a subscription, sorted by name.
pub static CLIENT_METRICS_CONFIGS: [ConfigDef; 3] = [
    ConfigDef {
        name: "interval.ms",
        kind: ConfigType::Int,
        default: Some("300000"),
        rule: Rule::Any,
        doc: "How often the clients of the subscription push their metrics.",
    },
    ConfigDef {
        name: "match",
        kind: ConfigType::List,
        default: Some(""),
        rule: Rule::Any,
        doc: "Which clients the subscription is for: patterns key=regex, all of which must match.",
    },
    ConfigDef {
        name: "metrics",
        kind: ConfigType::List,
        default: Some(""),
        rule: Rule::Any,
        doc: "Prefixes of the metrics that are asked for; * is all of them.",
    },
];

/// Validates a full set of overrides of one subscription, with Kafka's codes and words.
pub fn validate(after: &BTreeMap<String, String>) -> Result<(), Failure> {
    for (name, value) in after {
        let Some(def) = CLIENT_METRICS_CONFIGS.iter().find(|def| def.name == name) else {
            let message = format!("Unknown client metrics configuration: {name}");
            return Err(Failure::new(ErrorCode::InvalidRequest, message));
        };
        def.check(value).map_err(|problem| Failure::new(ErrorCode::InvalidConfig, problem.message))?;
        match def.name {
            "interval.ms" => check_interval(value)?,
            "match" => list_parts(value).into_iter().try_for_each(check_pattern)?,
            _ => {}
        }
    }
    Ok(())
}

fn check_interval(value: &str) -> Result<(), Failure> {
    let interval: i64 = value.trim().parse().expect("the value was checked as a number");
    if (INTERVAL_MS_MIN..=INTERVAL_MS_MAX).contains(&interval) {
        return Ok(());
    }
    let message = format!(
        "Invalid value {interval} for interval.ms, interval must be between {INTERVAL_MS_MIN} and \
         {INTERVAL_MS_MAX} (1 hour)"
    );
    Err(Failure::new(ErrorCode::InvalidRequest, message))
}

fn check_pattern(pattern: &str) -> Result<(), Failure> {
    let legal = match pattern.split_once('=') {
        Some((key, regex)) => {
            let regex = regex.trim();
            MATCH_KEYS.contains(&key.trim()) && !regex.is_empty() && !regex.contains('=') && is_regex(regex)
        }
        None => false,
    };
    if legal {
        return Ok(());
    }
    let message = format!("Illegal client matching pattern: {pattern}");
    Err(Failure::new(ErrorCode::InvalidConfig, message))
}

/// Whether a text is built as a regular expression: brackets pair, escapes are complete, repetitions repeat something.
/// Decided here and not by a library, since all voters must decide alike whichever version of it they have.
fn is_regex(text: &str) -> bool {
    let mut open_groups = 0_u32;
    let mut repeatable = false;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' => {
                if chars.next().is_none() {
                    return false;
                }
                repeatable = true;
            }
            '[' => {
                if !skip_class(&mut chars) {
                    return false;
                }
                repeatable = true;
            }
            '(' => {
                open_groups += 1;
                repeatable = chars.next_if_eq(&'?').is_some();
            }
            ')' if open_groups == 0 => return false,
            ')' => {
                open_groups -= 1;
                repeatable = true;
            }
            '*' | '+' | '?' if !repeatable => return false,
            '*' | '+' | '?' => {
                // One more makes it lazy or possessive; after that nothing is left to repeat.
                let _ = chars.next_if(|next| matches!(next, '?' | '+'));
                repeatable = false;
            }
            '|' => repeatable = false,
            _ => repeatable = true,
        }
    }
    open_groups == 0
}

/// Skips a character class after its opening bracket; `false` if it does not end.
fn skip_class(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> bool {
    let _ = chars.next_if_eq(&'^');
    let mut depth = 1_u32;
    let mut first = true;
    while let Some(c) = chars.next() {
        match c {
            '\\' if chars.next().is_none() => return false,
            '[' => depth += 1,
            ']' if first => {}
            ']' => {
                depth -= 1;
                if depth == 0 {
                    return true;
                }
            }
            _ => {}
        }
        first = false;
    }
    false
}

/// All keys of a subscription, whether it exists or not.
pub fn describe(overrides: &BTreeMap<String, String>) -> Vec<ConfigEntry> {
    CLIENT_METRICS_CONFIGS.iter().map(|def| entry(def, overrides.get(def.name))).collect()
}

fn entry(def: &'static ConfigDef, set: Option<&String>) -> ConfigEntry {
    let source = if set.is_some() { ConfigSource::ClientMetrics } else { ConfigSource::Default };
    let synonyms = set
        .map(|value| ConfigSynonym { name: def.name, value: Some(value.clone()), source })
        .into_iter()
        .collect();
    ConfigEntry {
        name: def.name,
        value: set.cloned().or_else(|| def.default.map(str::to_owned)),
        source,
        synonyms,
        kind: def.kind,
        read_only: false,
        sensitive: false,
        documentation: def.doc,
    }
}

#[cfg(test)]
mod tests;
