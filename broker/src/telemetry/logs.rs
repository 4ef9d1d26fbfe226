//! The process's log lines: text for people or JSON for machines, on standard error.
//!
//! Set up once, by whoever owns the process; libraries only emit events.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

use crate::config::LogFormat;

/// The consensus library tells every step at `info`; what operators need of it, the controller logs itself.
const CONSENSUS_DEFAULT: &str = "openraft=warn";

/// Why logs could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogsError {
    /// The filter does not parse.
    #[error(
        "log.filter {filter:?} is not a filter: {source}; write for example \"info\" or \"info,tidemark_broker=debug\""
    )]
    Filter {
        /// As configured.
        filter: String,
        /// What is wrong with it.
        source: ParseError,
    },
    /// Logs were set up before.
    #[error("logs are set up already")]
    Twice,
}

/// Sends log lines of this process to standard error from now on. `filter` is what `tracing` calls directives: a level, and
/// levels for parts of the program.
pub fn init(format: LogFormat, filter: &str) -> Result<(), LogsError> {
    let builder = tracing_subscriber::fmt().with_env_filter(parse(filter)?).with_writer(std::io::stderr);
    let done = match format {
        LogFormat::Text => builder.with_ansi(std::io::stderr().is_terminal()).try_init(),
        LogFormat::Json => {
            builder.json().flatten_event(true).with_current_span(false).with_span_list(false).try_init()
        }
    };
    done.map_err(|_| LogsError::Twice)
}

fn parse(filter: &str) -> Result<EnvFilter, LogsError> {
    let directives =
        if filter.contains("openraft") { filter.to_owned() } else { format!("{filter},{CONSENSUS_DEFAULT}") };
    EnvFilter::try_new(directives).map_err(|source| LogsError::Filter { filter: filter.to_owned(), source })
}

#[cfg(test)]
mod tests;
