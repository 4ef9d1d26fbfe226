//! `consume -g`: as a member of a group. What was printed is committed: every few seconds, before a rebalance, and at the end.

use std::collections::BTreeMap;

use tidemark_protocol::types::{Offset, TopicPartition};
use tokio::time::{Instant, Interval};

use super::plan::{self, Offsets};
use super::printer::{Printer, Step};
use super::{ConsumeArgs, HEARTBEAT_INTERVAL};
use crate::client::fetch::Fetcher;
use crate::client::member::GroupMember;
use crate::commands::{Context, Outcome, output_failed};
use crate::exit::Failure;
use crate::offset_spec::Place;

/// Why reading an assignment ended.
enum End {
    /// Join again.
    Rebalance,
    /// All that was asked for is printed, or the person had enough.
    Done,
    /// Standard output or a record failed.
    Failed(Outcome),
}

/// Reads as a member until enough is read.
pub async fn run(context: &Context, args: &ConsumeArgs, group: &str) -> Outcome {
    let span = plan::span(args, context.now_ms())?;
    // Topics that do not exist are an error now, not an empty assignment later.
    plan::partitions(context, &args.topics, &[]).await?;
    let mut member = GroupMember::new(&context.client, group, args.topics.clone());
    let mut reading = Reading { context, args, group, printer: args.printer(), printed: Offsets::new() };
    loop {
        let assigned = tokio::select! {
            biased;
            _ = tokio::signal::ctrl_c() => return Ok(None),
            joined = member.join() => joined.map_err(Failure::from)?,
        };
        if assigned.is_empty() {
            eprintln!("Member of group {group}: no partition is left for this one; it waits.");
        }
        let end = reading.read(&mut member, assigned, span.from).await;
        let committed = reading.commit(&member).await;
        match end? {
            End::Rebalance => {
                // A commit refused because the group has moved on: the records will be read again.
                if let Err(failure) = committed {
                    eprintln!("warning: offsets were not committed: {}", failure.message);
                }
            }
            End::Done => {
                committed?;
                // The session times out by itself when leaving fails.
                let _ = member.leave().await;
                return Ok(None);
            }
            End::Failed(outcome) => {
                let _ = member.leave().await;
                return outcome;
            }
        }
    }
}

/// What reading needs from one assignment to the next.
struct Reading<'a> {
    context: &'a Context,
    args: &'a ConsumeArgs,
    group: &'a str,
    printer: Printer,
    /// Offsets after what was printed and is not committed yet.
    printed: Offsets,
}

impl Reading<'_> {
    async fn read(
        &mut self,
        member: &mut GroupMember<'_>,
        assigned: Vec<TopicPartition>,
        from: Place,
    ) -> Result<End, Failure> {
        let read_committed = !self.args.read_uncommitted;
        let committed = self.context.client.committed(self.group).await.map_err(Failure::from)?;
        let (known, fresh): (Vec<_>, Vec<_>) =
            assigned.into_iter().partition(|tp| committed.contains_key(tp));
        let mut positions: Offsets = known.into_iter().map(|tp| (tp.clone(), committed[&tp])).collect();
        positions.extend(plan::resolve(self.context, &fresh, from, read_committed).await?);
        let all: Vec<TopicPartition> = positions.keys().cloned().collect();
        let mut ends = match self.args.exit_at_end {
            true => plan::resolve(self.context, &all, Place::End, read_committed).await?,
            false => BTreeMap::new(),
        };
        if self.args.exit_at_end {
            ends.retain(|tp, end| positions[tp] < *end);
            if ends.is_empty() {
                return Ok(End::Done);
            }
            positions.retain(|tp, _| ends.contains_key(tp));
        }
        let mut fetcher = Fetcher::new(self.context.client.clone(), positions, read_committed);
        let mut heartbeat = tokio::time::interval_at(Instant::now() + HEARTBEAT_INTERVAL, HEARTBEAT_INTERVAL);
        self.follow(member, &mut fetcher, &mut ends, &mut heartbeat).await
    }

    async fn follow(
        &mut self,
        member: &mut GroupMember<'_>,
        fetcher: &mut Fetcher,
        ends: &mut Offsets,
        heartbeat: &mut Interval,
    ) -> Result<End, Failure> {
        loop {
            let idle = fetcher.positions().is_empty();
            let fetched = tokio::select! {
                biased;
                _ = tokio::signal::ctrl_c() => return Ok(End::Done),
                _ = heartbeat.tick() => {
                    if !member.heartbeat().await.map_err(Failure::from)? {
                        return Ok(End::Rebalance);
                    }
                    self.commit(member).await?;
                    continue;
                }
                fetched = fetcher.next(), if !idle => fetched.map_err(Failure::from)?,
            };
            let end = ends.get(&fetched.tp).copied();
            let step = self.printer.print(&fetched, end);
            self.note_printed(&fetched.tp, self.printer.position(), end);
            match step {
                Ok(Step::More) => {}
                Ok(Step::Enough) => return Ok(End::Done),
                Ok(Step::Unreadable(failure)) => return Ok(End::Failed(Err(failure))),
                Err(error) => return Ok(End::Failed(output_failed(error))),
            }
            if end.is_some_and(|end| fetched.next >= end) {
                fetcher.forget(&fetched.tp);
                ends.remove(&fetched.tp);
                if ends.is_empty() {
                    return Ok(End::Done);
                }
            }
        }
    }

    fn note_printed(&mut self, tp: &TopicPartition, position: Offset, end: Option<Offset>) {
        let position = end.map_or(position, |end| position.min(end));
        self.printed.insert(tp.clone(), position);
    }

    async fn commit(&mut self, member: &GroupMember<'_>) -> Result<(), Failure> {
        if self.printed.is_empty() {
            return Ok(());
        }
        let (generation, id) = member.identity();
        let committed = self.context.client.commit(self.group, generation, id, &self.printed).await;
        self.printed.clear();
        committed.map_err(Failure::from)
    }
}
