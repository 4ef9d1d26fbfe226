//! Conversations with `decide`: what every command has in common.

use std::collections::BTreeMap;

use proptest::prelude::*;
use tidemark_protocol::types::TopicId;
use uuid::Uuid;

use super::*;
use crate::metadata::client_quota::QuotaAlteration;
use crate::metadata::command::{ConfigAlteration, ConfigOp, ConfigOpKind, NewTopic, Recovery, TopicKey};
use crate::metadata::image::{ConfigResource, Endpoint};
use crate::metadata::placement;

mod random;
pub(crate) mod world;

/// An image of cluster "tidal" with brokers 1 to `brokers`.
pub(crate) fn cluster(brokers: i32) -> ClusterImage {
    let mut image = ClusterImage::new("tidal");
    for id in 1..=brokers {
        run(&mut image, &registration(id, 7));
    }
    image
}

/// Registers broker `id` with an incarnation of this number.
pub(crate) fn registration(id: i32, incarnation: u128) -> Command {
    Command::RegisterBroker {
        id,
        cluster_id: "tidal".to_owned(),
        incarnation: Uuid::from_u128(incarnation),
        rack: None,
        endpoints: vec![Endpoint { listener: "client".to_owned(), host: "localhost".to_owned(), port: 9092 }],
        directories: vec![Uuid::from_u128(1)],
        statics: BTreeMap::new(),
        fenced: false,
        previous_epoch: -1,
        recovery: Recovery::Intact,
        session_is_live: false,
    }
}

/// Decides and applies as the quorum does.
pub(crate) fn run(image: &mut ClusterImage, command: &Command) -> Reply {
    let index = image.version + 1;
    let outcome = decide(image, command, index);
    for record in &outcome.records {
        image.apply(record);
    }
    image.set_version(index);
    outcome.reply
}

/// A topic placed by the proposer.
pub(crate) fn new_topic(image: &ClusterImage, name: &str, partitions: i32, replicas: i16) -> NewTopic {
    let count = usize::try_from(partitions).unwrap_or(0);
    let factor = usize::try_from(replicas).unwrap_or(0);
    let sum = name.bytes().fold(1_u64, |sum, byte| sum.wrapping_mul(131).wrapping_add(u64::from(byte)));
    let id = u128::from(image.version) << 64 | u128::from(sum);
    NewTopic {
        name: name.to_owned(),
        id: TopicId(Uuid::from_u128(id)),
        partitions,
        replication_factor: replicas,
        manual: Vec::new(),
        placement: placement::place(image, 0, count, factor, 0).unwrap_or_default(),
        configs: Vec::new(),
    }
}

/// Creates topics with a proposer that has no static configuration.
pub(crate) fn create(topics: Vec<NewTopic>) -> Command {
    Command::CreateTopics { topics, statics: BTreeMap::new() }
}

/// Changes one resource.
pub(crate) fn alter(resource: ConfigResource, ops: &[(&str, ConfigOpKind, Option<&str>)]) -> Command {
    let ops = ops
        .iter()
        .map(|(name, kind, value)| ConfigOp {
            name: (*name).to_owned(),
            kind: *kind,
            value: value.map(str::to_owned),
        })
        .collect();
    let alterations = vec![ConfigAlteration { resource, replace: false, ops }];
    Command::AlterConfigs { alterations, statics: BTreeMap::new() }
}

fn any_command() -> impl Strategy<Value = Command> {
    let name = prop::sample::select(vec!["a", "b", "a.b", "a_b", "bad name", ""]);
    let config = prop::sample::select(vec![
        ("retention.ms", "1000"),
        ("retention.ms", "soon"),
        ("cleanup.policy", "compact"),
        ("no.such.key", "1"),
    ]);
    let topic =
        (name.clone(), any::<u128>(), -2..4_i32, -2..4_i16, prop::collection::vec(config.clone(), 0..3));
    let topics = prop::collection::vec(topic, 0..4).prop_map(|topics| {
        let to_topic =
            |(name, id, partitions, replicas, configs): (&str, u128, i32, i16, Vec<(&str, &str)>)| {
                let placement =
                    vec![vec![1; usize::try_from(replicas).unwrap_or(0)]; partitions.max(0) as usize];
                let configs = configs.into_iter().map(|(k, v)| (k.to_owned(), Some(v.to_owned()))).collect();
                NewTopic {
                    name: name.to_owned(),
                    id: TopicId(Uuid::from_u128(id)),
                    partitions,
                    replication_factor: replicas,
                    manual: Vec::new(),
                    placement,
                    configs,
                }
            };
        create(topics.into_iter().map(to_topic).collect())
    });
    let deletion = prop::collection::vec(name.clone(), 0..3).prop_map(|names| Command::DeleteTopics {
        topics: names.into_iter().map(|name| TopicKey::Name(name.to_owned())).collect(),
    });
    let alteration = (name, config).prop_map(|(name, (key, value))| {
        alter(ConfigResource::Topic(name.to_owned()), &[(key, ConfigOpKind::Set, Some(value))])
    });
    let quota = (prop::sample::select(vec!["user", "ip", "other"]), prop::option::of(0..3_i32));
    let quota = quota.prop_map(|(kind, value)| Command::AlterClientQuotas {
        items: vec![QuotaAlteration {
            entity: vec![(kind.to_owned(), Some("x".to_owned())), ("client-id".to_owned(), None)],
            ops: vec![("producer_byte_rate".to_owned(), value.map(f64::from))],
            is_host_known: true,
        }],
    });
    prop_oneof![
        1 => quota,
        3 => topics,
        1 => deletion,
        2 => alteration,
        1 => (0..3_i32, 0..3_u128).prop_map(|(id, incarnation)| registration(id, incarnation)),
        1 => (0..3_i32, 0..5_i64)
            .prop_map(|(broker, broker_epoch)| Command::AllocateProducerIds { broker, broker_epoch }),
    ]
}

proptest! {
    /// Two voters that apply the same commands hold equal images, also when one restarts from a snapshot between any two.
    #[test]
    fn voters_agree_whatever_is_proposed(commands in prop::collection::vec(any_command(), 0..40)) {
        let (mut steady, mut restarting) = (cluster(1), cluster(1));
        for command in &commands {
            let encoded = Command::decode(&command.encode()).unwrap();
            prop_assert_eq!(&encoded, command);
            let reply = run(&mut steady, command);
            prop_assert_eq!(&reply, &run(&mut restarting, &encoded));
            let stored: Reply = postcard::from_bytes(&postcard::to_stdvec(&reply).unwrap()).unwrap();
            prop_assert_eq!(stored, reply);
            restarting = ClusterImage::decode_snapshot(&restarting.encode_snapshot()).unwrap();
            prop_assert_eq!(&steady, &restarting);
            prop_assert_eq!(steady.state_hash(), restarting.state_hash());
        }
    }
}

#[test]
fn deciding_alone_changes_nothing() {
    let image = cluster(1);
    let before = image.clone();
    let command = create(vec![new_topic(&image, "orders", 3, 1)]);
    let outcome = decide(&image, &command, 99);
    assert!(!outcome.records.is_empty());
    assert_eq!(image, before);
}
