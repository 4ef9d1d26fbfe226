//! Showing something again and again, until Ctrl-C.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use clap::Args;

use super::Outcome;
use crate::units;

/// Flags of verbs that can go on.
#[derive(Clone, Copy, Debug, Args)]
pub struct WatchArgs {
    /// Show it again every so often, until Ctrl-C
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "2s", value_name = "TIME", value_parser = units::duration)]
    watch: Option<Duration>,
}

impl WatchArgs {
    /// Runs `show` once, or again and again; a failure is told and tried again then.
    pub async fn run(self, mut show: impl AsyncFnMut() -> Outcome) -> Outcome {
        let Some(pause) = self.watch else { return show().await };
        loop {
            if std::io::stdout().is_terminal() {
                // To the upper left corner of an empty screen; a terminal that cannot be written to is noticed below.
                let _ = write!(std::io::stdout(), "\x1b[H\x1b[2J");
            }
            if let Err(failure) = show().await {
                failure.print();
            }
            tokio::time::sleep(pause).await;
            if !std::io::stdout().is_terminal() {
                let _ = writeln!(std::io::stdout());
            }
        }
    }
}
