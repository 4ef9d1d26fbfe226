//! The table is Kafka's, every key takes effect, every rule refuses in Kafka's words, and descriptions say where a value
//! comes from.

use std::collections::BTreeSet;

use super::table::TOPIC_CONFIGS;
use super::*;
use crate::metadata::config_value::{ConfigSynonym, ConfigType};

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn layers(statics: &BTreeMap<String, String>) -> ConfigLayers<'_> {
    ConfigLayers { statics: Some(statics), ..ConfigLayers::default() }
}

fn problem(pairs: &[(&str, &str)]) -> String {
    validate(&map(&[]), &map(pairs), &ConfigLayers::default()).unwrap_err().message
}

/// A legal value of the key that is not its default.
fn other_value(name: &str) -> &'static str {
    match name {
        "cleanup.policy" => "compact",
        "compression.type" => "zstd",
        "message.timestamp.type" => "LogAppendTime",
        "tidemark.flush" => "async",
        "min.cleanable.dirty.ratio" => "0.25",
        "leader.replication.throttled.replicas" | "follower.replication.throttled.replicas" => "0:1",
        "compression.gzip.level" | "compression.lz4.level" | "compression.zstd.level" => "7",
        name if table::find(name).unwrap().def.kind == ConfigType::Boolean => "true",
        _ => "2000000",
    }
}

#[test]
fn the_table_is_sorted_complete_and_legal() {
    assert!(TOPIC_CONFIGS.is_sorted_by_key(|key| key.def.name));
    let shown = TOPIC_CONFIGS.iter().filter(|key| !key.hidden);
    assert_eq!(shown.filter(|key| key.def.name != "tidemark.flush").count(), 33);
    for key in TOPIC_CONFIGS {
        assert!(key.def.default.is_none_or(|value| key.def.check(value).is_ok()), "{}", key.def.name);
        assert!(key.def.doc.ends_with('.') && !key.def.doc.contains("  "), "{}", key.def.doc);
        for synonym in key.synonyms {
            assert!(broker_config::table::find(synonym).is_some(), "{synonym}");
        }
    }
}

#[test]
fn every_key_takes_effect() {
    let none = map(&[]);
    let default = TopicSettings::resolve(&none, &ConfigLayers::default());
    for key in TOPIC_CONFIGS {
        let name = key.def.name;
        let overrides = map(&[(name, other_value(name))]);
        key.def.check(other_value(name)).unwrap();
        assert_ne!(TopicSettings::resolve(&overrides, &ConfigLayers::default()), default, "{name}");
    }
}

#[test]
fn every_broker_default_takes_effect() {
    let none = map(&[]);
    let default = TopicSettings::resolve(&none, &ConfigLayers::default());
    for key in TOPIC_CONFIGS {
        for synonym in key.synonyms {
            let value = if synonym.ends_with(".hours") { "3" } else { other_value(key.def.name) };
            broker_config::table::find(synonym).unwrap().def.check(value).unwrap();
            let statics = map(&[(synonym, value)]);
            assert_ne!(TopicSettings::resolve(&none, &layers(&statics)), default, "{synonym}");
        }
    }
}

#[test]
fn defaults_are_kafkas() {
    let settings = TopicSettings::resolve(&map(&[]), &ConfigLayers::default());
    assert!(settings.cleanup_delete && !settings.cleanup_compact);
    assert_eq!(settings.retention_ms, 604_800_000);
    assert_eq!(settings.effective_local_retention_ms(), 604_800_000);
    assert_eq!((settings.retention_bytes, settings.effective_local_retention_bytes()), (-1, -1));
    assert_eq!(settings.max_message_bytes, 1_048_588);
    assert_eq!(settings.compression, CompressionSetting::Producer);
    assert_eq!(settings.flush, FlushMode::Commit);
    assert_eq!(settings.flush_ms, i64::MAX);
    assert_eq!(settings.segment_bytes, 1 << 30);
}

#[test]
fn longer_units_give_way_to_shorter_ones() {
    let retention =
        |pairs: &[(&str, &str)]| TopicSettings::resolve(&map(&[]), &layers(&map(pairs))).retention_ms;
    assert_eq!(retention(&[("log.retention.hours", "2")]), 7_200_000);
    assert_eq!(retention(&[("log.retention.hours", "2"), ("log.retention.minutes", "1")]), 60_000);
    let all = [("log.retention.hours", "2"), ("log.retention.minutes", "1"), ("log.retention.ms", "5")];
    assert_eq!(retention(&all), 5);
    assert_eq!(retention(&[("log.retention.hours", "-1")]), -1);
}

#[test]
fn stronger_layers_win() {
    let (statics, dynamic) = (map(&[("log.retention.ms", "1")]), map(&[("log.retention.ms", "2")]));
    let own = map(&[("log.retention.ms", "3")]);
    let file = layers(&statics);
    let cluster = ConfigLayers { dynamic_default: Some(&dynamic), ..file };
    let broker = ConfigLayers { dynamic_broker: Some(&own), ..cluster };
    let retention = |overrides: &[(&str, &str)], layers: &ConfigLayers<'_>| {
        TopicSettings::resolve(&map(overrides), layers).retention_ms
    };
    assert_eq!([&file, &cluster, &broker].map(|layers| retention(&[], layers)), [1, 2, 3]);
    assert_eq!(retention(&[("retention.ms", "4")], &broker), 4);
    assert_eq!(retention(&[("retention.ms", "written by another version")], &broker), 3);
}

#[test]
fn min_isr_is_never_more_than_there_are_replicas() {
    let settings = TopicSettings::resolve(&map(&[]), &ConfigLayers::default());
    assert_eq!([1, 2, 3].map(|replicas| settings.min_isr(replicas)), [1, 2, 2]);
    let three = TopicSettings::resolve(&map(&[("min.insync.replicas", "3")]), &ConfigLayers::default());
    assert_eq!([1, 3, 5].map(|replicas| three.min_isr(replicas)), [1, 3, 3]);
}

#[test]
fn local_retention_stays_within_the_total() {
    let settings = |pairs: &[(&str, &str)]| TopicSettings::resolve(&map(pairs), &ConfigLayers::default());
    let within = settings(&[("retention.ms", "100"), ("local.retention.ms", "40")]);
    assert_eq!(within.effective_local_retention_ms(), 40);
    let statics = map(&[("log.local.retention.ms", "500")]);
    let shorter = TopicSettings::resolve(&map(&[("retention.ms", "100")]), &layers(&statics));
    assert_eq!(shorter.effective_local_retention_ms(), 100);
    let unlimited = settings(&[("retention.bytes", "-1"), ("local.retention.bytes", "7")]);
    assert_eq!(unlimited.effective_local_retention_bytes(), 7);
}

#[test]
fn values_are_refused_in_kafkas_words() {
    let cases = [
        (("no.such.key", "1"), "Unknown topic config name: no.such.key"),
        (
            ("message.downconversion.enable", "true"),
            "Unknown topic config name: message.downconversion.enable",
        ),
        (
            ("max.message.bytes", "abc"),
            "Invalid value abc for configuration max.message.bytes: Not a number of type INT",
        ),
        (
            ("retention.ms", "-2"),
            "Invalid value -2 for configuration retention.ms: Value must be at least -1",
        ),
        (
            ("segment.bytes", "1000"),
            "Invalid value 1000 for configuration segment.bytes: Value must be at least 1048576",
        ),
        (
            ("cleanup.policy", "shred"),
            "Invalid value shred for configuration cleanup.policy: String must be one of: compact, delete",
        ),
        (
            ("compression.type", "lzma"),
            "Invalid value lzma for configuration compression.type: String must be one of: uncompressed, zstd, lz4, \
             snappy, gzip, producer",
        ),
        (
            ("remote.storage.enable", "true"),
            "Tiered Storage functionality is disabled in the broker. Topic cannot be configured with remote log \
             storage.",
        ),
        (
            ("tidemark.flush", "never"),
            "Invalid value never for configuration tidemark.flush: String must be one of: commit, async",
        ),
    ];
    for (pair, expected) in cases {
        assert_eq!(problem(&[pair]), expected);
    }
}

#[test]
fn keys_that_contradict_each_other_are_refused() {
    assert_eq!(
        problem(&[("min.compaction.lag.ms", "9"), ("max.compaction.lag.ms", "8")]),
        "conflict topic config setting min.compaction.lag.ms (9) > max.compaction.lag.ms (8)"
    );
    assert_eq!(
        problem(&[("retention.ms", "100"), ("local.retention.ms", "101")]),
        "Invalid value 101 for configuration local.retention.ms: Value must not be more than retention.ms property \
         value: 100"
    );
    assert_eq!(
        problem(&[("retention.bytes", "100"), ("local.retention.bytes", "-1")]),
        "Invalid value -1 for configuration local.retention.bytes: Value must not be -1 as retention.bytes value is \
         set as 100."
    );
}

#[test]
fn a_brokers_default_local_retention_does_not_forbid_short_retention() {
    let statics = map(&[("log.local.retention.ms", "43200000")]);
    assert_eq!(validate(&map(&[]), &map(&[("retention.ms", "1000")]), &layers(&statics)), Ok(()));
}

#[test]
fn remote_storage_needs_a_tier_and_keeps_its_data() {
    let statics = map(&[("remote.log.storage.system.enable", "true")]);
    let check = |before: &[(&str, &str)], after: &[(&str, &str)]| {
        validate(&map(before), &map(after), &layers(&statics)).map_err(|problem| problem.key)
    };
    let on = [("remote.storage.enable", "true")];
    assert_eq!(check(&[], &on), Ok(()));
    assert_eq!(check(&on, &[]), Err("remote.storage.enable".to_owned()));
    assert_eq!(check(&on, &[("remote.log.delete.on.disable", "true")]), Ok(()));
    let read_only = [("remote.storage.enable", "true"), ("remote.log.copy.disable", "true")];
    assert_eq!(check(&on, &read_only), Ok(()));
    let shorter = [read_only[0], read_only[1], ("local.retention.ms", "5")];
    assert_eq!(check(&on, &shorter), Err("local.retention.ms".to_owned()));
}

#[test]
fn a_topic_without_overrides_describes_the_table() {
    let entries = describe(&map(&[]), &ConfigLayers::default(), 3);
    let shown: Vec<_> = TOPIC_CONFIGS.iter().filter(|key| !key.hidden).collect();
    assert_eq!(entries.len(), shown.len());
    for (entry, key) in entries.iter().zip(shown) {
        assert_eq!(entry.name, key.def.name);
        assert_eq!(entry.value.as_deref(), key.def.default);
        assert_eq!(entry.source, ConfigSource::Default);
        assert_eq!((entry.kind, entry.documentation), (key.def.kind, key.def.doc));
        assert!(!entry.read_only && !entry.sensitive);
        let names: BTreeSet<&str> = entry.synonyms.iter().map(|synonym| synonym.name).collect();
        assert!(names.is_subset(&key.synonyms.iter().copied().collect()));
    }
    assert!(entries.is_sorted_by_key(|entry| entry.name));
}

#[test]
fn a_topic_with_one_replica_needs_one_in_sync() {
    let value = |overrides: &[(&str, &str)], replicas| {
        let entries = describe(&map(overrides), &ConfigLayers::default(), replicas);
        entries.into_iter().find(|entry| entry.name == "min.insync.replicas").unwrap().value.unwrap()
    };
    assert_eq!([1, 2, 3].map(|replicas| value(&[], replicas)), ["1", "2", "2"]);
    assert_eq!(value(&[("min.insync.replicas", "3")], 1), "3");
}

#[test]
fn synonyms_keep_their_names_values_and_order() {
    let statics = map(&[("log.retention.hours", "24"), ("log.retention.minutes", "30")]);
    let dynamic = map(&[("log.retention.ms", "99")]);
    let mut layers = layers(&statics);
    let retention = |overrides: &[(&str, &str)], layers: &ConfigLayers<'_>| {
        let entries = describe(&map(overrides), layers, 1);
        entries.into_iter().find(|entry| entry.name == "retention.ms").unwrap()
    };
    let synonym = |name, value: &str, source| ConfigSynonym { name, value: Some(value.to_owned()), source };
    let statically = [
        synonym("log.retention.minutes", "30", ConfigSource::StaticBroker),
        synonym("log.retention.hours", "24", ConfigSource::StaticBroker),
        synonym("log.retention.hours", "168", ConfigSource::Default),
    ];
    let entry = retention(&[], &layers);
    assert_eq!((entry.value.as_deref(), entry.source), (Some("1800000"), ConfigSource::StaticBroker));
    assert_eq!(entry.synonyms, statically);

    layers.dynamic_default = Some(&dynamic);
    let entry = retention(&[("retention.ms", "7")], &layers);
    assert_eq!((entry.value.as_deref(), entry.source), (Some("7"), ConfigSource::Topic));
    assert_eq!(entry.synonyms[0], synonym("retention.ms", "7", ConfigSource::Topic));
    assert_eq!(entry.synonyms[1], synonym("log.retention.ms", "99", ConfigSource::DynamicDefaultBroker));
    assert_eq!(entry.synonyms[2..], statically);
}
