use super::*;

#[test]
fn rows_are_sorted_by_key_and_found_by_it() {
    assert!(APIS.windows(2).all(|two| two[0].key < two[1].key));
    for api in APIS {
        assert_eq!(api.key.api(), api);
    }
    assert_eq!(api(4), None, "LeaderAndIsr is gone since Kafka 4");
    assert_eq!(api(-1), None);
}

#[test]
fn versions_of_each_row_are_a_range() {
    for api in APIS {
        assert!(api.advertised_min <= api.min && api.min <= api.max, "{api:?}");
    }
}

#[test]
fn only_produce_advertises_versions_it_does_not_serve() {
    let differing: Vec<_> =
        APIS.iter().filter(|api| api.advertised_min != api.min).map(|api| api.name).collect();
    assert_eq!(differing, ["Produce"]);
    assert_eq!(ApiKey::Produce.api().advertised_min, 0);
}

#[test]
fn minima_librdkafka_relies_on_are_kept() {
    for (key, min) in [
        (ApiKey::OffsetForLeaderEpoch, 2),
        (ApiKey::ListOffsets, 1),
        (ApiKey::DescribeConfigs, 1),
        (ApiKey::JoinGroup, 0),
        (ApiKey::SyncGroup, 0),
        (ApiKey::Heartbeat, 0),
    ] {
        assert_eq!(key.api().advertised_min, min, "{key:?}");
    }
}
