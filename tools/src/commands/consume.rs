//! `tidemark consume`: records of topics to standard output.

pub mod grouped;
pub mod plan;
pub mod printer;

use std::time::Duration;

use clap::Args;
use tidemark_protocol::types::PartitionIndex;

use super::{Context, Outcome, output_failed};
use crate::client::fetch::Fetcher;
use crate::exit::Failure;
use crate::filter::Filter;
use crate::format::OutputFormat;
use plan::Plan;
use printer::{Printer, Step};

/// Flags of `consume`.
#[derive(Debug, Args)]
pub struct ConsumeArgs {
    /// Topics to read
    #[arg(required = true)]
    topics: Vec<String>,
    /// Where to start and end: start, end, N, +N (after the start), -N (before the end), N:M,
    /// @TIME, @TIME:TIME (RFC 3339, epoch, or -1h ago); with a group, where partitions without a commit start
    #[arg(short, long, value_name = "WHERE", allow_hyphen_values = true)]
    offset: Option<String>,
    /// The last N records of each partition, then what follows
    #[arg(long, value_name = "N", conflicts_with = "offset")]
    tail: Option<u64>,
    /// Stop after so many records
    #[arg(short, long, value_name = "N")]
    num: Option<u64>,
    /// Read as a member of this consumer group and commit what was printed
    #[arg(short, long, value_name = "GROUP", conflicts_with = "partitions")]
    group: Option<String>,
    /// Partitions to read, with commas between
    #[arg(short, long, value_delimiter = ',', value_name = "P")]
    partitions: Vec<PartitionIndex>,
    /// How records are printed: json, raw (values only), hex, or a format of %t topic, %p partition, %o offset,
    /// %k key, %v value, %h headers, %T timestamp, %D date
    #[arg(short, long, default_value = "%v\\n", value_name = "FORMAT", value_parser = OutputFormat::parse)]
    format: OutputFormat,
    /// Short for --format json
    #[arg(long, conflicts_with = "format")]
    json: bool,
    /// Show only what matches: k:REGEX, v:REGEX, h:NAME=REGEX; ! before REGEX turns it around; repeatable
    #[arg(short = 'G', long = "grep", value_name = "FILTER")]
    filters: Vec<Filter>,
    /// Stop at the end of each partition instead of waiting for more
    #[arg(short = 'e', long)]
    exit_at_end: bool,
    /// Show records of transactions that are open or were given up
    #[arg(long)]
    read_uncommitted: bool,
}

impl ConsumeArgs {
    fn output(&self) -> OutputFormat {
        if self.json { OutputFormat::Json } else { self.format.clone() }
    }

    fn printer(&self) -> Printer {
        Printer::new(self.output(), self.filters.clone(), self.num)
    }
}

/// Runs `consume`.
pub async fn run(context: &Context, args: ConsumeArgs) -> Outcome {
    if args.num == Some(0) {
        return Ok(None);
    }
    if let Some(group) = &args.group {
        return grouped::run(context, &args, group).await;
    }
    let plan = Plan::make(context, &args).await?;
    let mut printer = args.printer();
    let mut ends = plan.ends;
    let mut positions = plan.positions;
    // A partition that is at its end already needs no fetch.
    positions.retain(|tp, position| ends.get(tp).is_none_or(|end| *position < *end));
    ends.retain(|tp, _| positions.contains_key(tp));
    if positions.is_empty() {
        return Ok(None);
    }
    let mut fetcher = Fetcher::new(context.client.clone(), positions, !args.read_uncommitted);
    loop {
        let fetched = tokio::select! {
            biased;
            _ = tokio::signal::ctrl_c() => return printer.finish().map(|()| None).or_else(output_failed),
            fetched = fetcher.next() => fetched.map_err(Failure::from)?,
        };
        let end = ends.get(&fetched.tp).copied();
        match printer.print(&fetched, end) {
            Ok(Step::More) => {}
            Ok(Step::Enough) => return Ok(None),
            Ok(Step::Unreadable(failure)) => return Err(failure),
            Err(error) => return output_failed(error),
        }
        if end.is_some_and(|end| fetched.next >= end) {
            fetcher.forget(&fetched.tp);
            ends.remove(&fetched.tp);
            if fetcher.positions().is_empty() {
                return Ok(None);
            }
        }
    }
}

/// How often a member of a group says that it is alive, and commits.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(3);
