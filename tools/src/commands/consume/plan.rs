//! What `consume` reads: partitions with their first offset and, when reading ends by itself, their last.

use std::collections::BTreeMap;

use tidemark_protocol::types::{Offset, PartitionIndex, TopicPartition};

use super::ConsumeArgs;
use crate::client::error::ClientError;
use crate::client::offsets::{EARLIEST, LATEST};
use crate::commands::Context;
use crate::exit::{Exit, Failure};
use crate::offset_spec::{Place, Span};

/// Positions and ends by partition.
#[derive(Debug, Default)]
pub struct Plan {
    /// Where to start.
    pub positions: BTreeMap<TopicPartition, Offset>,
    /// Where to stop, exclusive; partitions that are followed are missing.
    pub ends: BTreeMap<TopicPartition, Offset>,
}

/// Offsets of partitions.
pub type Offsets = BTreeMap<TopicPartition, Offset>;

impl Plan {
    /// Asks the cluster where everything starts and ends.
    pub async fn make(context: &Context, args: &ConsumeArgs) -> Result<Plan, Failure> {
        let span = span(args, context.now_ms())?;
        let partitions = partitions(context, &args.topics, &args.partitions).await?;
        let read_committed = !args.read_uncommitted;
        let positions = resolve(context, &partitions, span.from, read_committed).await?;
        let to = span.to.or(args.exit_at_end.then_some(Place::End));
        let ends = match to {
            Some(to) => resolve(context, &partitions, to, read_committed).await?,
            None => Offsets::new(),
        };
        Ok(Plan { positions, ends })
    }
}

/// What the flags ask for.
pub fn span(args: &ConsumeArgs, now_ms: i64) -> Result<Span, Failure> {
    if let Some(tail) = args.tail {
        let count = i64::try_from(tail).map_err(|_| Failure::usage("--tail is too large"))?;
        return Ok(Span { from: Place::BeforeEnd(count), to: None });
    }
    Span::parse(args.offset.as_deref().unwrap_or("start"), now_ms).map_err(Failure::usage)
}

/// The partitions of these topics, or those chosen.
pub async fn partitions(
    context: &Context,
    topics: &[String],
    chosen: &[PartitionIndex],
) -> Result<Vec<TopicPartition>, Failure> {
    let mut partitions = Vec::new();
    for name in topics {
        let topic = context.client.topic(name, false).await.map_err(Failure::from)?;
        if let Some(missing) = chosen.iter().find(|index| !topic.partitions.contains_key(index)) {
            let count = topic.partitions.len();
            return Err(Failure::new(
                Exit::NotFound,
                format!("topic {name} has {count} partitions, there is no {missing}"),
            ));
        }
        let wanted = topic.partitions.keys().filter(|index| chosen.is_empty() || chosen.contains(index));
        partitions.extend(wanted.map(|index| TopicPartition::new(name.as_str(), *index)));
    }
    partitions.sort();
    partitions.dedup();
    Ok(partitions)
}

/// The offset of a place in each partition.
pub async fn resolve(
    context: &Context,
    partitions: &[TopicPartition],
    place: Place,
    read_committed: bool,
) -> Result<Offsets, Failure> {
    if let Place::At(offset) = place {
        return Ok(partitions.iter().map(|tp| (tp.clone(), offset)).collect());
    }
    let client = &context.client;
    let lookup = async {
        let starts = client.offsets_at(partitions, EARLIEST, read_committed).await?;
        let ends = client.offsets_at(partitions, LATEST, read_committed).await?;
        let times = match place {
            Place::Time(timestamp) => client.offsets_at(partitions, timestamp, read_committed).await?,
            _ => BTreeMap::new(),
        };
        Ok::<_, ClientError>((starts, ends, times))
    };
    let (starts, ends, times) = lookup.await.map_err(Failure::from)?;
    let known = |offsets: &BTreeMap<TopicPartition, Option<Offset>>, tp: &TopicPartition| {
        offsets.get(tp).copied().flatten()
    };
    let offset = |tp: &TopicPartition| {
        let (start, end) = (known(&starts, tp).unwrap_or(0), known(&ends, tp).unwrap_or(0));
        (tp.clone(), place.resolve(start, end, known(&times, tp)))
    };
    Ok(partitions.iter().map(offset).collect())
}
