//! Consent before something is lost: the typed name, or `--yes --confirm NAME` from scripts.
//!
//! Without a terminal and without the flags nothing is asked and nothing is done: exit 8, never a hang.

use std::io::{self, BufRead, IsTerminal, Write};

use clap::Args;

use crate::exit::{Exit, Failure};

/// Flags of every verb that changes something.
#[derive(Clone, Debug, Args)]
pub struct ConsentArgs {
    /// Ask nothing; data loss still needs --confirm NAME
    #[arg(short = 'y', long)]
    pub yes: bool,
    /// Name of what may lose data, instead of typing it; repeatable
    #[arg(long, value_name = "NAME")]
    pub confirm: Vec<String>,
    /// Show what would happen, change nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// What an answer is needed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stake<'a> {
    /// Data is lost for good: this name is typed.
    Data(&'a str),
    /// It can be made again: yes or no.
    Other,
}

impl ConsentArgs {
    /// Asks, unless the flags answer already. `blast` says what happens.
    pub fn obtain(&self, blast: &str, stake: Stake<'_>) -> Result<(), Failure> {
        if let Some(answer) = self.answer(stake) {
            return answer;
        }
        eprintln!("{blast}");
        if !io::stdin().is_terminal() {
            return Err(Failure::new(
                Exit::Unconfirmed,
                "this needs a confirmation, and there is no terminal to ask on",
            )
            .hint(match stake {
                Stake::Data(name) => format!("In scripts: --yes --confirm {name}"),
                Stake::Other => "In scripts: --yes".to_owned(),
            }));
        }
        match stake {
            Stake::Data(name) => eprint!("Type the name ({name}) to confirm: "),
            Stake::Other => eprint!("Go on? [y/N] "),
        }
        // A prompt that cannot be shown is answered with no below.
        let _ = io::stderr().flush();
        let mut typed = String::new();
        let read = io::stdin().lock().read_line(&mut typed).is_ok();
        let given = match stake {
            Stake::Data(name) => typed.trim() == name,
            Stake::Other => matches!(typed.trim(), "y" | "Y" | "yes"),
        };
        if read && given {
            Ok(())
        } else {
            Err(Failure::new(Exit::Unconfirmed, "not confirmed; nothing was changed"))
        }
    }

    /// What the flags say, if they say enough.
    fn answer(&self, stake: Stake<'_>) -> Option<Result<(), Failure>> {
        let confirmed = |name: &str| self.confirm.iter().any(|confirmed| confirmed == name);
        let refused = |message: String| Failure::new(Exit::Unconfirmed, message);
        match stake {
            Stake::Data(name) if !self.confirm.is_empty() && !confirmed(name) => Some(Err(refused(format!(
                "--confirm {} does not name what would lose data, {name}",
                self.confirm.join(", ")
            )))),
            Stake::Data(name) if self.yes && confirmed(name) => Some(Ok(())),
            Stake::Data(name) if self.yes => {
                Some(Err(refused("--yes alone is not enough where data is lost".to_owned())
                    .hint(format!("Add --confirm {name}"))))
            }
            Stake::Other if self.yes => Some(Ok(())),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
