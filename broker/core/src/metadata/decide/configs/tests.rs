//! Configuration changes: what each operation does, and one test for each refusal.

use std::collections::BTreeMap;

use tidemark_protocol::error_code::ErrorCode;

use crate::metadata::command::{Command, ConfigAlteration, ConfigOp, ConfigOpKind, ConfigOpKind::*};
use crate::metadata::decide::decide;
use crate::metadata::decide::tests::{alter, cluster, create, new_topic, run};
use crate::metadata::image::{ClusterImage, ConfigResource};
use crate::metadata::reply::{Failure, Reply};

fn orders() -> ConfigResource {
    ConfigResource::Topic("orders".to_owned())
}

fn with_topic() -> ClusterImage {
    let mut image = cluster(1);
    let topics = ["orders", "other"].map(|name| new_topic(&image, name, 1, 1)).to_vec();
    run(&mut image, &create(topics));
    image
}

fn results(reply: Reply) -> Vec<Result<(), Failure>> {
    match reply {
        Reply::ConfigsAltered(results) => results.into_iter().map(|result| result.result).collect(),
        other => panic!("not about configs: {other:?}"),
    }
}

fn accept(image: &mut ClusterImage, resource: ConfigResource, ops: &[(&str, ConfigOpKind, Option<&str>)]) {
    assert_eq!(results(run(image, &alter(resource, ops))), vec![Ok(())]);
}

fn refuse(
    image: &ClusterImage,
    resource: ConfigResource,
    ops: &[(&str, ConfigOpKind, Option<&str>)],
    code: ErrorCode,
    text: &str,
) {
    let outcome = decide(image, &alter(resource, ops), 99);
    assert!(outcome.records.is_empty());
    let failure = results(outcome.reply).remove(0).unwrap_err();
    assert_eq!((failure.code, failure.message.as_str()), (code, text));
}

#[test]
fn set_and_delete_change_one_key() {
    let mut image = with_topic();
    accept(&mut image, orders(), &[("retention.ms", Set, Some("10")), ("segment.ms", Set, Some("20"))]);
    accept(&mut image, orders(), &[("retention.ms", Delete, None)]);
    assert_eq!(
        **image.config(&orders()).unwrap(),
        BTreeMap::from([("segment.ms".to_owned(), "20".to_owned())])
    );
    accept(&mut image, orders(), &[("segment.ms", Delete, None), ("never.set", Delete, None)]);
    assert!(image.config(&orders()).is_none());
}

#[test]
fn what_changes_nothing_writes_nothing() {
    let mut image = with_topic();
    accept(&mut image, orders(), &[("retention.ms", Set, Some("10"))]);
    let again =
        alter(orders(), &[("retention.ms", Set, Some("10")), ("cleanup.policy", Subtract, Some("compact"))]);
    assert!(decide(&image, &again, 99).records.is_empty());
}

#[test]
fn lists_are_appended_to_and_subtracted_from() {
    let mut image = with_topic();
    let value = |image: &ClusterImage| image.overrides(&orders()).get("cleanup.policy").cloned();
    accept(&mut image, orders(), &[("cleanup.policy", Append, Some("compact"))]);
    assert_eq!(value(&image).as_deref(), Some("delete,compact"));
    accept(&mut image, orders(), &[("cleanup.policy", Append, Some("compact,delete"))]);
    assert_eq!(value(&image).as_deref(), Some("delete,compact"));
    accept(&mut image, orders(), &[("cleanup.policy", Subtract, Some("delete"))]);
    assert_eq!(value(&image).as_deref(), Some("compact"));
    accept(&mut image, orders(), &[("cleanup.policy", Subtract, Some("compact"))]);
    assert_eq!(value(&image).as_deref(), Some(""));
}

#[test]
fn only_lists_take_append_and_subtract() {
    let image = with_topic();
    let text = "Can't APPEND to key retention.ms because its type is not LIST.";
    refuse(&image, orders(), &[("retention.ms", Append, Some("1"))], ErrorCode::InvalidConfig, text);
    let text = "Can't SUBTRACT to key no.such because its type is not LIST.";
    refuse(&image, orders(), &[("no.such", Subtract, Some("1"))], ErrorCode::InvalidConfig, text);
}

#[test]
fn one_bad_key_keeps_all_others_of_the_resource_from_changing() {
    let mut image = with_topic();
    let set = |topic: &str, value: &str| ConfigAlteration {
        resource: ConfigResource::Topic(topic.to_owned()),
        replace: false,
        ops: [("segment.ms", "7"), ("retention.ms", value)]
            .map(|(name, value)| ConfigOp { name: name.to_owned(), kind: Set, value: Some(value.to_owned()) })
            .to_vec(),
    };
    let alterations = vec![set("orders", "soon"), set("other", "9")];
    let results = results(run(&mut image, &Command::AlterConfigs { alterations, statics: BTreeMap::new() }));
    assert_eq!(results[0].as_ref().unwrap_err().code, ErrorCode::InvalidConfig);
    assert_eq!(results[1], Ok(()));
    assert!(image.config(&orders()).is_none());
    assert_eq!(image.topic_config("other").unwrap().len(), 2);
}

#[test]
fn legacy_alter_replaces_the_whole_set() {
    let mut image = with_topic();
    accept(&mut image, orders(), &[("retention.ms", Set, Some("10")), ("segment.ms", Set, Some("20"))]);
    let op = ConfigOp { name: "segment.ms".to_owned(), kind: Set, value: Some("30".to_owned()) };
    let legacy = |ops| Command::AlterConfigs {
        alterations: vec![ConfigAlteration { resource: orders(), replace: true, ops }],
        statics: BTreeMap::new(),
    };
    assert_eq!(results(run(&mut image, &legacy(vec![op]))), vec![Ok(())]);
    assert_eq!(
        **image.config(&orders()).unwrap(),
        BTreeMap::from([("segment.ms".to_owned(), "30".to_owned())])
    );
    run(&mut image, &legacy(Vec::new()));
    assert!(image.config(&orders()).is_none());
}

#[test]
fn contradictory_requests_are_refused() {
    let image = with_topic();
    let twice = [("retention.ms", Set, Some("1")), ("retention.ms", Delete, None)];
    let text = "Error due to duplicate config keys";
    refuse(&image, orders(), &twice, ErrorCode::InvalidRequest, text);
    let text = "Null value not supported for : retention.ms";
    refuse(&image, orders(), &[("retention.ms", Set, None)], ErrorCode::InvalidRequest, text);
    let Command::AlterConfigs { mut alterations, statics } = alter(orders(), &[]) else { unreachable!() };
    alterations.push(alterations[0].clone());
    let outcome = decide(&image, &Command::AlterConfigs { alterations, statics }, 99);
    for result in results(outcome.reply) {
        let failure = result.unwrap_err();
        assert_eq!(failure.code, ErrorCode::InvalidRequest);
        assert_eq!(failure.message, "Each resource must appear at most once.");
    }
}

#[test]
fn values_have_a_longest() {
    let mut image = with_topic();
    let key = "leader.replication.throttled.replicas";
    let fits = format!("{}0:1", "0:1,".repeat(8191));
    assert_eq!(fits.len(), super::VALUE_LEN_MAX);
    accept(&mut image, orders(), &[(key, Set, Some(&fits))]);
    let text =
        "The configuration value cannot be added because it exceeds the maximum value size of 32767 bytes.";
    let long = format!("{fits}0");
    refuse(&image, orders(), &[(key, Set, Some(&long))], ErrorCode::InvalidConfig, text);
}

#[test]
fn resources_must_exist_where_that_can_be_known() {
    let mut image = with_topic();
    let set = [("retention.ms", Set, Some("1"))];
    let cases = [
        (ConfigResource::Topic("nope".to_owned()), ErrorCode::UnknownTopicOrPartition),
        (ConfigResource::Topic(String::new()), ErrorCode::InvalidRequest),
        (ConfigResource::Topic("a b".to_owned()), ErrorCode::InvalidTopicException),
        (ConfigResource::Broker(9), ErrorCode::BrokerIdNotRegistered),
        (ConfigResource::Broker(-1), ErrorCode::InvalidRequest),
        (ConfigResource::Group(String::new()), ErrorCode::InvalidRequest),
        (ConfigResource::ClientMetrics(String::new()), ErrorCode::InvalidRequest),
    ];
    for (resource, code) in cases {
        let failure = results(run(&mut image, &alter(resource.clone(), &set))).remove(0).unwrap_err();
        assert_eq!(failure.code, code, "{resource}");
    }
    let group = ConfigResource::Group("not-there-yet".to_owned());
    accept(&mut image, group, &[("consumer.session.timeout.ms", Set, Some("50000"))]);
}

#[test]
fn brokers_take_dynamic_keys_only() {
    let mut image = with_topic();
    for resource in [ConfigResource::Broker(1), ConfigResource::BrokerDefault] {
        accept(&mut image, resource.clone(), &[("log.retention.ms", Set, Some("5000"))]);
        let fixed = [("num.partitions", Set, Some("4"))];
        let text = "Cannot update these configs dynamically: [num.partitions]";
        refuse(&image, resource.clone(), &fixed, ErrorCode::InvalidRequest, text);
        let unknown = [("log.retenton.ms", Set, Some("4"))];
        let text = "Unknown broker config name: log.retenton.ms. Did you mean log.retention.ms?";
        refuse(&image, resource.clone(), &unknown, ErrorCode::InvalidConfig, text);
        let bad = [("message.max.bytes", Set, Some("-1"))];
        let text = "Invalid value -1 for configuration message.max.bytes: Value must be at least 0";
        refuse(&image, resource, &bad, ErrorCode::InvalidRequest, text);
    }
}

#[test]
fn validation_looks_at_the_merged_result() {
    let mut image = with_topic();
    accept(&mut image, orders(), &[("max.compaction.lag.ms", Set, Some("100"))]);
    let text = "conflict topic config setting min.compaction.lag.ms (200) > max.compaction.lag.ms (100)";
    refuse(&image, orders(), &[("min.compaction.lag.ms", Set, Some("200"))], ErrorCode::InvalidConfig, text);
    accept(&mut image, orders(), &[("max.compaction.lag.ms", Delete, None)]);
    accept(&mut image, orders(), &[("min.compaction.lag.ms", Set, Some("200"))]);
}
