//! Topic changes on behalf of requests: what the proposer chooses (ids, placement) and the wait until it can be used.

use std::sync::Arc;
use std::time::Duration;

use tidemark_core::metadata::reply::TopicResult;
use tidemark_core::metadata::{
    ClusterImage, Command, Failure, NewPartitions, NewTopic, Reply, TopicKey, decide, placement,
};
use tidemark_protocol::error_code::ErrorCode;
use tidemark_protocol::types::{BrokerId, TopicId};
use uuid::Uuid;

use super::Ctx;
use super::error::of_submit;
use super::mutations::{self, Admission, Mutator};
use super::quota::Charge;

/// Bound on waiting for a committed change to reach this node's own partitions; far above what one node needs.
const APPLY_TIME_MAX: Duration = Duration::from_secs(30);

pub use tidemark_core::metadata::topic_name::is_internal;

/// Replicas whose broker is fenced or gone.
pub fn offline<'a>(image: &'a ClusterImage, replicas: &'a [BrokerId]) -> impl Iterator<Item = BrokerId> + 'a {
    replicas.iter().copied().filter(|id| image.brokers.get(id).is_none_or(|broker| broker.fenced))
}

/// A topic as a request asks for it; −1 takes the default.
pub struct TopicRequest {
    /// Name, not yet validated.
    pub name: String,
    /// Partitions or −1.
    pub partitions: i32,
    /// Replication factor or −1.
    pub replication_factor: i16,
    /// Replicas by partition, when the request assigns them.
    pub manual: Vec<(i32, Vec<BrokerId>)>,
    /// Overrides.
    pub configs: Vec<(String, Option<String>)>,
}

/// Creates topics, or only checks that they could be. The results keep the order of the request; when they are there,
/// this node serves the new partitions.
pub async fn create(
    ctx: &Ctx,
    requests: Vec<TopicRequest>,
    validate_only: bool,
    mutator: Mutator<'_>,
) -> Result<Vec<TopicResult>, Failure> {
    let image = ctx.image();
    let topics = requests.into_iter().map(|request| choose(ctx, &image, request)).collect();
    let command = Command::CreateTopics { topics, statics: ctx.statics() };
    change(ctx, &image, command, validate_only, mutator).await
}

/// Draws the identity of a topic and places its replicas.
fn choose(ctx: &Ctx, image: &ClusterImage, request: TopicRequest) -> NewTopic {
    let id = fresh_topic_id();
    let settings = ctx.settings();
    let partitions = if request.partitions == -1 { settings.num_partitions } else { request.partitions };
    let replication_factor = match request.replication_factor {
        -1 => settings.default_replication_factor,
        asked => asked,
    };
    let placement = match (usize::try_from(partitions), usize::try_from(replication_factor)) {
        (Ok(partitions), Ok(replicas)) if request.manual.is_empty() && partitions <= PARTITIONS_MAX => {
            placement::place(image, 0, partitions, replicas, id.0.as_u64_pair().1).unwrap_or_default()
        }
        _ => Vec::new(),
    };
    NewTopic {
        name: request.name,
        id,
        partitions: request.partitions,
        replication_factor: request.replication_factor,
        manual: request.manual,
        placement,
        configs: request.configs,
    }
}

/// Partitions a single request may ask for; a larger number is refused before anything is placed.
pub const PARTITIONS_MAX: usize = 100_000;

/// A random identity whose text does not look like an option to command-line tools.
fn fresh_topic_id() -> TopicId {
    loop {
        let id = TopicId(Uuid::new_v4());
        if !id.is_zero() && !id.to_string().starts_with('-') {
            return id;
        }
    }
}

/// A topic that shall have more partitions.
pub struct GrowRequest {
    /// The topic.
    pub topic: String,
    /// Partitions afterwards, in all.
    pub count: i32,
    /// Replicas of each new partition, when the request assigns them.
    pub manual: Option<Vec<Vec<BrokerId>>>,
}

/// Adds partitions to topics, or only checks.
pub async fn add_partitions(
    ctx: &Ctx,
    requests: Vec<GrowRequest>,
    validate_only: bool,
    mutator: Mutator<'_>,
) -> Result<Vec<TopicResult>, Failure> {
    let image = ctx.image();
    let topics = requests
        .into_iter()
        .map(|GrowRequest { topic, count, manual }| {
            let placement = match (&manual, image.topic(&topic)) {
                (None, Some(existing)) => place_more(&image, existing, count),
                _ => Vec::new(),
            };
            NewPartitions { topic, count, manual, placement }
        })
        .collect();
    change(ctx, &image, Command::CreatePartitions { topics }, validate_only, mutator).await
}

fn place_more(
    image: &ClusterImage,
    topic: &tidemark_core::metadata::TopicImage,
    count: i32,
) -> Vec<Vec<BrokerId>> {
    let existing = topic.partitions.len();
    let added = usize::try_from(count).unwrap_or(0).saturating_sub(existing);
    if added > PARTITIONS_MAX {
        return Vec::new();
    }
    let seed = topic.id.0.as_u64_pair().1;
    placement::place(image, existing, added, topic.replication_factor(), seed).unwrap_or_default()
}

/// Deletes topics.
pub async fn delete(
    ctx: &Ctx,
    topics: Vec<TopicKey>,
    mutator: Mutator<'_>,
) -> Result<Vec<TopicResult>, Failure> {
    change(ctx, &ctx.image(), Command::DeleteTopics { topics }, false, mutator).await
}

/// Runs a change of topics, without those that a quota refuses.
async fn change(
    ctx: &Ctx,
    image: &ClusterImage,
    mut command: Command,
    validate_only: bool,
    mutator: Mutator<'_>,
) -> Result<Vec<TopicResult>, Failure> {
    let admission = mutations::admit(image, &mut command, mutator);
    if admission.as_ref().is_some_and(Admission::is_nothing_left) {
        return Ok(admission.map_or_else(Vec::new, |admission| admission.merge(Vec::new())));
    }
    let reply = run(ctx, image, command, validate_only).await?;
    let results = mutations::topic_results(reply).map_err(|other| unexpected(&other))?;
    Ok(match admission {
        Some(admission) => admission.merge(results),
        None => results,
    })
}

/// Proposes a command and waits until this node has applied it; for `validate_only` only decides it.
pub async fn run(
    ctx: &Ctx,
    image: &ClusterImage,
    command: Command,
    validate_only: bool,
) -> Result<Reply, Failure> {
    if validate_only {
        return Ok(decide(image, &command, image.version + 1).reply);
    }
    let reply = ctx.controller.submit(command).await.map_err(|error| of_submit(&error))?;
    let version = ctx.image().version;
    let applied = tokio::time::timeout(APPLY_TIME_MAX, ctx.replicas.wait_applied(version)).await;
    applied.map_err(|_| {
        Failure::new(
            ErrorCode::RequestTimedOut,
            "The change is committed, but this broker has not applied it yet.",
        )
    })?;
    Ok(reply)
}

/// Refuses what is meant for another cluster.
pub fn check_cluster(ctx: &Ctx, asked: Option<&str>) -> Result<(), Failure> {
    let image = ctx.image();
    match asked {
        Some(asked) if asked != image.cluster_id => {
            let message =
                format!("The request is for cluster {asked}, and this is cluster {}.", image.cluster_id);
            Err(Failure::new(ErrorCode::InconsistentClusterId, message))
        }
        _ => Ok(()),
    }
}

/// The failure of a command that was answered by the reply to another: a bug of ours.
pub fn unexpected(reply: &Reply) -> Failure {
    Failure::new(ErrorCode::UnknownServerError, format!("the controller answered something else: {reply:?}"))
}

/// Creates the topics that a client named in Metadata and that do not exist; failures show in the answer that follows.
/// They count as any, but none is refused: Metadata cannot say so.
pub async fn auto_create(ctx: &Arc<Ctx>, names: Vec<String>, charge: Option<&Charge>) {
    let requests = names
        .into_iter()
        .filter(|name| !is_internal(name) && *name != "__cluster_metadata")
        .map(|name| TopicRequest {
            name,
            partitions: -1,
            replication_factor: -1,
            manual: Vec::new(),
            configs: Vec::new(),
        })
        .collect::<Vec<_>>();
    if requests.is_empty() {
        return;
    }
    match create(ctx, requests, false, Mutator { charge, is_strict: false }).await {
        Ok(results) => {
            for result in results {
                match (&result.name, &result.result) {
                    (Some(topic), Ok(shape)) => {
                        tracing::info!(topic, partitions = shape.partitions, "topic created on first use");
                    }
                    (topic, Err(failure)) => {
                        tracing::debug!(?topic, %failure, "topic not created on first use")
                    }
                    _ => {}
                }
            }
        }
        Err(failure) => tracing::warn!(%failure, "topics not created on first use"),
    }
}
