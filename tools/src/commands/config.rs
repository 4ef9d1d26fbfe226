//! `tidemark config`: what a node's configuration says, offline.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;
use tidemark_broker::config::keys::{DEFAULT_LISTENER, KEYS, LISTENER_KEYS};
use tidemark_broker::config::{Layers, NodeConfig};
use tidemark_core::metadata::broker_config::table::{BROKER_CONFIGS, Settable};

use super::{Outcome, finish, node};
use crate::exit::Exit;
use crate::files;
use crate::output::{ItemError, OutputArgs, Report, Table, left};

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Check a configuration file: everything wrong at once, with its line
    Check(CheckArgs),
    /// Show the values a node would start with
    Show(ShowArgs),
}

/// Flags of `config check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// The file
    file: PathBuf,
    /// Set a key on top of the file; repeatable
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    #[command(flatten)]
    output: OutputArgs,
}

/// Flags of `config show`.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// Configuration; by default tidemark.toml here or in /etc/tidemark
    #[arg(short, long, env = "TIDEMARK_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Set a key on top; repeatable
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Also what is not set, with its default
    #[arg(long)]
    effective: bool,
    /// Where each value comes from
    #[arg(long)]
    origin: bool,
    #[command(flatten)]
    output: OutputArgs,
}

/// Runs a verb.
pub fn run(command: ConfigCommand) -> Outcome {
    match command {
        ConfigCommand::Check(args) => check(&args),
        ConfigCommand::Show(args) => show(&args),
    }
}

fn check(args: &CheckArgs) -> Outcome {
    let name = args.file.display().to_string();
    let mut layers = Layers::default();
    layers.add_file(&name, &files::read_text(&args.file)?);
    args.set.iter().for_each(|assignment| layers.add_set(assignment));
    let problems = NodeConfig::from_layers(&layers).err().map_or_else(Vec::new, |problems| problems.0);
    let values = layers.values().count();
    let rows: Vec<_> = problems
        .iter()
        .map(|problem| json!({ "where": problem.origin.to_string(), "problem": problem.message }))
        .collect();
    let data = json!({ "file": name, "valid": problems.is_empty(), "keys": values, "problems": rows });
    let mut table = Table::new([left("FILE"), left("RESULT")]);
    let result = match problems.len() {
        0 => format!("valid, {values} keys"),
        1 => "1 problem".to_owned(),
        count => format!("{count} problems"),
    };
    table.row([name.into(), result.into()]);
    let error = |problem: &tidemark_broker::config::Problem| {
        ItemError::local(problem.origin.to_string(), "INVALID_CONFIG", problem.message.clone(), Exit::Usage)
    };
    let report = Report::new("config.check", data).table(table).errors(problems.iter().map(error).collect());
    finish(&report, args.output)
}

/// One key with its value.
struct Row {
    key: String,
    value: String,
    origin: String,
}

fn show(args: &ShowArgs) -> Outcome {
    let file = node::config_file(args.config.as_deref());
    let layers = node::layers(file.as_deref(), &args.set)?;
    node::checked(&layers)?;
    let given = layers.values().map(|(key, value, origin)| Row {
        key: key.to_owned(),
        value: value.to_owned(),
        origin: origin.to_string(),
    });
    let mut rows: Vec<Row> = given.collect();
    if args.effective {
        add_defaults(&mut rows);
    }
    rows.sort_by(|a, b| a.key.cmp(&b.key));
    let mut columns = vec![left("KEY"), left("VALUE")];
    if args.origin {
        columns.push(left("FROM"));
    }
    let mut table = Table::new(columns);
    let mut values = Vec::new();
    for row in &rows {
        let mut cells = vec![row.key.as_str().into(), row.value.as_str().into()];
        if args.origin {
            cells.push(row.origin.as_str().into());
        }
        table.row(cells);
        values.push(json!({ "key": row.key, "value": row.value, "origin": row.origin }));
    }
    let mut report = Report::new("config.show", json!({ "values": values })).table(table);
    if rows.is_empty() {
        report = report.note("Nothing is set; --effective shows the defaults.");
    }
    finish(&report, args.output)
}

/// What is not given and has a default: the node's keys, a listener's, Kafka's.
fn add_defaults(rows: &mut Vec<Row>) {
    let listener = |key: &str| format!("listener.{DEFAULT_LISTENER}.{key}");
    let has_listener = rows.iter().any(|row| row.key.starts_with("listener."));
    let own = KEYS.iter().map(|key| (key.name.to_owned(), key.default));
    let listeners =
        LISTENER_KEYS.iter().filter(|_| !has_listener).map(|key| (listener(key.name), key.default));
    let kafka = BROKER_CONFIGS
        .iter()
        .filter(|key| !matches!(key.set, Settable::Reported(_)))
        .filter_map(|key| Some((format!("kafka.{}", key.def.name), key.def.default?)));
    for (key, default) in own.chain(listeners).chain(kafka) {
        if !rows.iter().any(|row| row.key == key) {
            rows.push(Row { key, value: default.to_owned(), origin: "default".to_owned() });
        }
    }
}

#[cfg(test)]
mod tests;
