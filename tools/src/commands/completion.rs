//! `tidemark completion`: scripts for shells, made from the command tree.

use std::io;

use clap::{Args, Command, ValueEnum};
use clap_complete::{Shell, generate};

use super::{Outcome, output_failed};

/// Flags of `completion`.
#[derive(Debug, Args)]
#[command(after_help = "\
To load it:
  bash        source <(tidemark completion bash)
  zsh         tidemark completion zsh > \"${fpath[1]}/_tidemark\"
  fish        tidemark completion fish > ~/.config/fish/completions/tidemark.fish
  powershell  tidemark completion powershell | Out-String | Invoke-Expression")]
pub struct CompletionArgs {
    /// The shell
    #[arg(value_enum)]
    shell: Script,
}

/// Shells there are scripts for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Script {
    /// Bourne again
    Bash,
    /// Z
    Zsh,
    /// Friendly interactive
    Fish,
    /// Microsoft's
    #[value(name = "powershell")]
    PowerShell,
}

/// Runs `completion` for the whole command tree.
pub fn run(args: &CompletionArgs, mut tree: Command) -> Outcome {
    let shell = match args.shell {
        Script::Bash => Shell::Bash,
        Script::Zsh => Shell::Zsh,
        Script::Fish => Shell::Fish,
        Script::PowerShell => Shell::PowerShell,
    };
    let mut script = Vec::new();
    generate(shell, &mut tree, "tidemark", &mut script);
    io::Write::write_all(&mut io::stdout(), &script).map(|()| None).or_else(output_failed)
}
