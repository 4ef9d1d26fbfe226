//! The table, its bounds, and where values come from.

use super::*;

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn check(pairs: &[(&str, &str)]) -> Result<(), String> {
    validate(&map(pairs), &ConfigLayers::default()).map_err(|problem| problem.message)
}

#[test]
fn the_table_is_sorted_and_legal() {
    assert!(GROUP_CONFIGS.is_sorted_by_key(|key| key.def.name));
    assert_eq!(GROUP_CONFIGS.len(), 17);
    for key in GROUP_CONFIGS {
        let default = key.def.default.unwrap();
        assert_eq!(check(&[(key.def.name, default)]), Ok(()), "{}", key.def.name);
    }
}

#[test]
fn every_consumer_key_takes_effect() {
    let default = GroupSettings::resolve(&map(&[]), &ConfigLayers::default());
    for (name, value) in [
        ("consumer.session.timeout.ms", "50000"),
        ("consumer.heartbeat.interval.ms", "6000"),
        ("consumer.assignment.interval.ms", "7"),
    ] {
        assert_ne!(GroupSettings::resolve(&map(&[(name, value)]), &ConfigLayers::default()), default);
    }
}

#[test]
fn bad_values_are_refused() {
    let cases = [
        (("no.such", "1"), "Unknown group config name: no.such"),
        (
            ("consumer.session.timeout.ms", "44999"),
            "consumer.session.timeout.ms must be greater than or equal to group.consumer.min.session.timeout.ms",
        ),
        (
            ("consumer.session.timeout.ms", "60001"),
            "consumer.session.timeout.ms must be less than or equal to group.consumer.max.session.timeout.ms",
        ),
        (
            ("share.isolation.level", "dirty"),
            "Invalid value dirty for configuration share.isolation.level: String must be one of: read_committed, \
             read_uncommitted",
        ),
        (
            ("streams.num.standby.replicas", "3"),
            "streams.num.standby.replicas must be less than or equal to group.streams.max.standby.replicas",
        ),
    ];
    for (pair, text) in cases {
        assert_eq!(check(&[pair]), Err(text.to_owned()));
    }
}

#[test]
fn a_group_describes_every_key() {
    let entries = describe(&map(&[("consumer.session.timeout.ms", "50000")]), &ConfigLayers::default());
    assert_eq!(entries.len(), GROUP_CONFIGS.len());
    let entry = entries.iter().find(|entry| entry.name == "consumer.session.timeout.ms").unwrap();
    assert_eq!((entry.value.as_deref(), entry.source), (Some("50000"), ConfigSource::Group));
    let sources: Vec<ConfigSource> = entry.synonyms.iter().map(|synonym| synonym.source).collect();
    assert_eq!(sources, [ConfigSource::Group, ConfigSource::Default]);
    let entry = entries.iter().find(|entry| entry.name == "share.auto.offset.reset").unwrap();
    assert_eq!((entry.value.as_deref(), entry.source), (Some("latest"), ConfigSource::Default));
    assert!(entry.synonyms.is_empty());
}
