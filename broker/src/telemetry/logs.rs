//! The process's log lines: text for people or JSON for machines, on standard error.
//!
//! Set up once, by whoever owns the process; libraries only emit events.

use tracing_subscriber::filter::ParseError;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, fmt, reload};

use crate::config::LogFormat;
use crate::loggers::Loggers;

/// The consensus library tells every step at `info`; what operators need of it, the controller logs itself.
const CONSENSUS_DEFAULT: &str = "openraft=error";

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
/// levels for parts of the program. [`Loggers`] of the process change it from then on.
pub fn init(format: LogFormat, filter: &str) -> Result<(), LogsError> {
    let directives = with_consensus(filter);
    let (filter, handle) = reload::Layer::new(parse(filter)?);
    let lines = fmt::layer().with_ansi(false).with_writer(std::io::stderr);
    let lines = match format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().boxed(),
    };
    let done = tracing_subscriber::registry().with(filter).with(lines).try_init();
    done.map_err(|_| LogsError::Twice)?;
    let apply = move |directives: &str| {
        let filter = EnvFilter::try_new(directives).map_err(|error| error.to_string())?;
        handle.reload(filter).map_err(|error| error.to_string())
    };
    Loggers::of_process().install(&directives, Box::new(apply));
    Ok(())
}

fn with_consensus(filter: &str) -> String {
    if filter.contains("openraft") { filter.to_owned() } else { format!("{filter},{CONSENSUS_DEFAULT}") }
}

fn parse(filter: &str) -> Result<EnvFilter, LogsError> {
    EnvFilter::try_new(with_consensus(filter))
        .map_err(|source| LogsError::Filter { filter: filter.to_owned(), source })
}

#[cfg(test)]
mod tests;
