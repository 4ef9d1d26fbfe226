//! The levels of this broker's loggers as config requests see them: resource type 8 (KIP-412), in Kafka's words.

use std::collections::BTreeSet;

use kafka_protocol::messages::describe_configs_response::DescribeConfigsResourceResult;
use tidemark_core::metadata::{ConfigOp, ConfigOpKind, Failure};
use tidemark_protocol::error_code::ErrorCode;
use tidemark_protocol::types::BrokerId;
use tracing::level_filters::LevelFilter;

use super::answer::text;
use crate::loggers::{Loggers, ROOT};

/// Where a level comes from: the loggers themselves.
const LOGGER_SOURCE: i8 = 6;
/// Type "string" of a described value.
const STRING: i8 = 2;
/// The levels there are, by Kafka's names. `FATAL` is what no line here is above: errors.
const LEVELS: [(&str, LevelFilter); 6] = [
    ("DEBUG", LevelFilter::DEBUG),
    ("ERROR", LevelFilter::ERROR),
    ("FATAL", LevelFilter::ERROR),
    ("INFO", LevelFilter::INFO),
    ("TRACE", LevelFilter::TRACE),
    ("WARN", LevelFilter::WARN),
];

/// Every logger of broker `name` with its level.
pub fn describe(
    loggers: &Loggers,
    me: BrokerId,
    name: &str,
) -> Result<Vec<DescribeConfigsResourceResult>, Failure> {
    if name.is_empty() {
        return Err(invalid("Broker id must not be empty"));
    }
    let id: BrokerId =
        name.parse().map_err(|_| invalid(format!("Broker id must be an integer, but it is: {name}")))?;
    if id != me {
        return Err(invalid(format!("Unexpected broker id, expected {me} but received {id}")));
    }
    let described = |(logger, level): (String, LevelFilter)| {
        DescribeConfigsResourceResult::default()
            .with_name(text(&logger))
            .with_value(Some(text(&level.to_string().to_uppercase())))
            .with_config_source(LOGGER_SOURCE)
            .with_config_type(STRING)
            .with_documentation(None)
    };
    Ok(loggers.levels().into_iter().map(described).collect())
}

/// Changes loggers of broker `name`, all or none.
pub fn alter(
    loggers: &Loggers,
    me: BrokerId,
    name: &str,
    ops: &[ConfigOp],
    validate_only: bool,
) -> Result<(), Failure> {
    let mut names = BTreeSet::new();
    if !ops.iter().all(|op| names.insert(&op.name)) {
        return Err(invalid("Error due to duplicate config keys"));
    }
    let nulls: Vec<&str> = ops
        .iter()
        .filter(|op| op.kind != ConfigOpKind::Delete && op.value.is_none())
        .map(|op| op.name.as_str())
        .collect();
    if !nulls.is_empty() {
        return Err(invalid(format!("Null value not supported for : {}", nulls.join(","))));
    }
    let id: BrokerId =
        name.parse().map_err(|_| invalid(format!("Node id must be an integer, but it is: {name}")))?;
    if id != me {
        return Err(invalid(format!("Unexpected node id. Expected {me}, but received {id}")));
    }
    let changes = ops.iter().map(|op| change(loggers, op)).collect::<Result<Vec<_>, _>>()?;
    if validate_only {
        return Ok(());
    }
    tracing::info!(?changes, "levels of loggers are changed");
    loggers.change(&changes).map_err(|why| Failure::new(ErrorCode::InvalidConfig, why))
}

fn change(loggers: &Loggers, op: &ConfigOp) -> Result<(String, Option<LevelFilter>), Failure> {
    let must_exist = || {
        let message = format!("Logger {} does not exist!", op.name);
        if loggers.exists(&op.name) { Ok(()) } else { Err(Failure::new(ErrorCode::InvalidConfig, message)) }
    };
    match op.kind {
        ConfigOpKind::Set => {
            must_exist()?;
            let asked = op.value.as_deref().unwrap_or_default();
            let level = LEVELS.iter().find(|(name, _)| *name == asked).ok_or_else(|| {
                let valid = LEVELS.map(|(name, _)| name).join(", ");
                let message = format!(
                    "Cannot set the log level of {} to {asked} as it is not a supported log level. Valid log levels are {valid}",
                    op.name
                );
                Failure::new(ErrorCode::InvalidConfig, message)
            })?;
            Ok((op.name.clone(), Some(level.1)))
        }
        ConfigOpKind::Delete => {
            must_exist()?;
            if op.name == ROOT {
                return Err(invalid("Removing the log level of the root logger is not allowed"));
            }
            Ok((op.name.clone(), None))
        }
        ConfigOpKind::Append | ConfigOpKind::Subtract => {
            let kind = if op.kind == ConfigOpKind::Append { "APPEND" } else { "SUBTRACT" };
            Err(invalid(format!("{kind} operation is not allowed for the BROKER_LOGGER resource")))
        }
    }
}

fn invalid(message: impl Into<String>) -> Failure {
    Failure::new(ErrorCode::InvalidRequest, message)
}

#[cfg(test)]
mod tests;
