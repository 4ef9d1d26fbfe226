//! No key is accepted and ignored, all problems are reported at once, and descriptions say where a value comes from.

use super::*;
use crate::metadata::config_value::{ConfigSource, ConfigType};
use crate::metadata::image::ConfigResource;
use crate::metadata::record::MetadataRecord;
use crate::metadata::topic_config::table::TOPIC_CONFIGS;

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn problems(pairs: &[(&str, &str)]) -> Vec<String> {
    let problems = BrokerConfigs::parse(&map(pairs)).unwrap_err();
    problems.into_iter().map(|problem| problem.message).collect()
}

fn settings(pairs: &[(&str, &str)]) -> BrokerSettings {
    BrokerConfigs::parse(&map(pairs)).unwrap().settings(&ClusterImage::default(), 1)
}

#[test]
fn the_table_is_sorted_and_legal() {
    assert!(BROKER_CONFIGS.is_sorted_by_key(|key| key.def.name));
    for key in BROKER_CONFIGS {
        assert!(key.def.default.is_none_or(|value| key.def.check(value).is_ok()), "{}", key.def.name);
        assert!(key.def.doc.ends_with('.') && !key.def.doc.contains("  "), "{}", key.def.doc);
        assert_eq!(table::find(key.def.name).unwrap().def.name, key.def.name);
    }
    for (name, others) in table::FALLBACKS {
        assert!(table::find(name).is_some() && others.iter().all(|other| table::find(other).is_some()));
    }
}

#[test]
fn every_key_that_can_be_set_takes_effect() {
    let default = settings(&[]);
    let of_topics: Vec<&str> = TOPIC_CONFIGS.iter().flat_map(|key| key.synonyms).copied().collect();
    for key in BROKER_CONFIGS.iter().filter(|key| !matches!(key.set, Settable::Reported(_))) {
        let name = key.def.name;
        if of_topics.contains(&name) {
            continue;
        }
        let value = match key.def.kind {
            ConfigType::Boolean if key.def.default == Some("true") => "false",
            ConfigType::Boolean => "true",
            ConfigType::Short => "7",
            _ if name == "default.replication.factor" => "7",
            _ if name == "replica.selector.class" => table::BY_RACK,
            // At most half of the session.
            _ if name == "broker.heartbeat.interval.ms" => "700",
            _ => "1500000",
        };
        assert_ne!(settings(&[(name, value)]), default, "{name}");
    }
}

#[test]
fn defaults_are_kafkas() {
    let settings = settings(&[]);
    assert_eq!((settings.num_partitions, settings.default_replication_factor), (1, 1));
    assert!(settings.auto_create_topics && settings.delete_topic_enable);
    assert_eq!(settings.offsets_topic_num_partitions, 50);
    assert_eq!(settings.offsets_retention_ms, 7 * 24 * 3_600_000);
    assert_eq!(settings.socket_request_max_bytes, 104_857_600);
    assert_eq!(settings.group_initial_rebalance_delay_ms, 3000);
}

#[test]
fn people_may_write_units() {
    let configs = BrokerConfigs::parse(&map(&[
        ("log.retention.ms", "7d"),
        ("log.retention.hours", "3d"),
        ("offsets.retention.minutes", "1d"),
        ("log.segment.bytes", "64MiB"),
        ("num.partitions", " 6 "),
    ]));
    let plain = map(&[
        ("log.retention.ms", "604800000"),
        ("log.retention.hours", "72"),
        ("offsets.retention.minutes", "1440"),
        ("log.segment.bytes", "67108864"),
        ("num.partitions", "6"),
    ]);
    assert_eq!(**configs.unwrap().statics(), plain);
}

#[test]
fn all_problems_are_reported_at_once() {
    let found = problems(&[
        ("log.retenton.ms", "7d"),
        ("num.partitions", "0"),
        ("log.retention.hours", "90m"),
        ("message.max.bytes", "big"),
        ("node.id", "4"),
        ("zookeeper.connect", "zk:2181"),
        ("auto.create.topics.enable", "maybe"),
    ]);
    assert_eq!(
        found,
        [
            "Invalid value maybe for configuration auto.create.topics.enable: Expected value to be either true or false",
            "Invalid value 90m for configuration log.retention.hours: not a whole number of the key's unit",
            "Unknown broker config name: log.retenton.ms. Did you mean log.retention.ms?",
            "Invalid value big for configuration message.max.bytes: not a size: a number and one of B, KiB, MiB, GiB, \
             TiB, kB, MB, GB, TB, or plain bytes",
            "node.id cannot be set: it follows from the [node] and [[listener]] sections of tidemark.toml",
            "Invalid value 0 for configuration num.partitions: Value must be at least 1",
            "Unknown broker config name: zookeeper.connect",
        ]
    );
}

#[test]
fn topic_names_of_keys_lead_to_the_brokers_names() {
    assert_eq!(
        problems(&[("retention.ms", "5")]),
        ["Unknown broker config name: retention.ms. Did you mean log.retention.ms?"]
    );
}

#[test]
fn keys_that_contradict_each_other_are_refused() {
    let found = problems(&[
        ("group.min.session.timeout.ms", "5000"),
        ("group.max.session.timeout.ms", "4000"),
        ("log.cleaner.min.compaction.lag.ms", "9"),
        ("log.cleaner.max.compaction.lag.ms", "8"),
    ]);
    assert_eq!(
        found,
        [
            "group.max.session.timeout.ms (4000) must not be below group.min.session.timeout.ms (5000)",
            "log.cleaner.min.compaction.lag.ms (9) must not be above log.cleaner.max.compaction.lag.ms (8)",
        ]
    );
}

#[test]
fn dynamic_values_are_over_static_ones() {
    let configs = BrokerConfigs::parse(&map(&[("max.connections", "10")])).unwrap();
    let mut image = ClusterImage::default();
    let mut set = |resource, value: &str| {
        let changes = BTreeMap::from([("max.connections".to_owned(), Some(value.to_owned()))]);
        image.apply(&MetadataRecord::Config { resource, changes });
        [configs.settings(&image, 1).max_connections, configs.settings(&image, 2).max_connections]
    };
    assert_eq!(set(ConfigResource::BrokerDefault, "20"), [20, 20]);
    assert_eq!(set(ConfigResource::Broker(1), "30"), [30, 20]);
}

#[test]
fn dynamic_changes_are_validated_together_with_the_rest() {
    let statics = map(&[("log.cleaner.max.compaction.lag.ms", "8")]);
    let layers = ConfigLayers { statics: Some(&statics), ..ConfigLayers::default() };
    let check = |pairs: &[(&str, &str)]| validate_dynamic(&map(pairs), &layers);
    assert_eq!(check(&[("log.cleaner.min.compaction.lag.ms", "8")]), Ok(()));
    for bad in [("log.cleaner.min.compaction.lag.ms", "9"), ("node.id", "9"), ("max.connections", "x")] {
        assert!(matches!(check(&[bad]), Err(DynamicProblem::Refused(_))), "{bad:?}");
    }
    assert!(matches!(check(&[("nonsense", "1")]), Err(DynamicProblem::Unknown(_))));
}

#[test]
fn a_broker_describes_every_key_and_the_facts_of_its_node() {
    let statics = map(&[("log.retention.hours", "24")]);
    let dynamic = map(&[("log.retention.ms", "99")]);
    let layers =
        ConfigLayers { dynamic_broker: Some(&dynamic), statics: Some(&statics), ..ConfigLayers::default() };
    let facts = NodeFacts { values: BTreeMap::from([("node.id", "7".to_owned())]) };
    let entries = describe(&layers, &facts);
    assert_eq!(entries.len(), BROKER_CONFIGS.len());
    let entry = |name: &str| entries.iter().find(|entry| entry.name == name).unwrap();
    let node_id = entry("node.id");
    assert_eq!((node_id.value.as_deref(), node_id.source), (Some("7"), ConfigSource::StaticBroker));
    assert!(node_id.read_only);
    let retention = entry("log.retention.ms");
    assert_eq!((retention.value.as_deref(), retention.source), (Some("99"), ConfigSource::DynamicBroker));
    assert!(!retention.read_only);
    let names: Vec<(&str, ConfigSource)> = retention.synonyms.iter().map(|s| (s.name, s.source)).collect();
    assert_eq!(
        names,
        [
            ("log.retention.ms", ConfigSource::DynamicBroker),
            ("log.retention.hours", ConfigSource::StaticBroker),
            ("log.retention.hours", ConfigSource::Default),
        ]
    );
    assert_eq!(entry("num.partitions").value.as_deref(), Some("1"));
    assert!(entry("num.partitions").read_only);
}

#[test]
fn the_cluster_default_describes_only_what_is_set_there() {
    let (statics, dynamic) = (map(&[("log.retention.hours", "24")]), map(&[("log.retention.ms", "99")]));
    let layers =
        ConfigLayers { dynamic_default: Some(&dynamic), statics: Some(&statics), ..ConfigLayers::default() };
    let entries = describe_default(&layers);
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0].source, ConfigSource::DynamicDefaultBroker);
    assert_eq!(entries[0].synonyms.len(), 1);
}

#[test]
fn what_tools_read_back_is_there() {
    for name in [
        "advertised.listeners",
        "auto.create.topics.enable",
        "broker.id",
        "broker.rack",
        "compression.type",
        "default.replication.factor",
        "delete.topic.enable",
        "inter.broker.protocol.version",
        "listeners",
        "log.cleanup.policy",
        "log.dirs",
        "log.local.retention.bytes",
        "log.retention.bytes",
        "log.retention.hours",
        "log.retention.minutes",
        "log.retention.ms",
        "log.roll.hours",
        "log.roll.ms",
        "log.segment.bytes",
        "message.max.bytes",
        "min.insync.replicas",
        "node.id",
        "num.partitions",
        "offsets.retention.minutes",
        "process.roles",
        "remote.log.storage.system.enable",
        "transaction.max.timeout.ms",
        "transactional.id.expiration.ms",
        "unclean.leader.election.enable",
    ] {
        assert!(table::find(name).is_some(), "{name}");
    }
}
