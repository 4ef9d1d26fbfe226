//! Levels are described and altered in Kafka's words.

use super::*;

fn op(name: &str, kind: ConfigOpKind, value: Option<&str>) -> ConfigOp {
    ConfigOp { name: name.to_owned(), kind, value: value.map(ToOwned::to_owned) }
}

fn level(loggers: &Loggers, name: &str) -> Option<String> {
    let described = describe(loggers, 1, "1").unwrap();
    let found = described.into_iter().find(|entry| &*entry.name == name)?;
    assert_eq!(found.config_source, 6);
    found.value.map(|value| value.to_string())
}

#[test]
fn levels_are_set_and_given_back() {
    let loggers = Loggers::new("info", None);
    let alter = |op, validate_only| alter(&loggers, 1, "1", &[op], validate_only).unwrap();
    assert_eq!(level(&loggers, "root").as_deref(), Some("INFO"));
    alter(op("tidemark_storage", ConfigOpKind::Set, Some("DEBUG")), true);
    assert_eq!(level(&loggers, "tidemark_storage").as_deref(), Some("INFO"), "only checked");
    alter(op("tidemark_storage", ConfigOpKind::Set, Some("DEBUG")), false);
    assert_eq!(level(&loggers, "tidemark_storage").as_deref(), Some("DEBUG"));
    alter(op("root", ConfigOpKind::Set, Some("FATAL")), false);
    assert_eq!(level(&loggers, "tidemark_broker").as_deref(), Some("ERROR"));
    alter(op("tidemark_storage", ConfigOpKind::Delete, None), false);
    assert_eq!(level(&loggers, "tidemark_storage").as_deref(), Some("ERROR"));
}

#[test]
fn refusals_are_those_of_kafka_and_change_nothing() {
    use ConfigOpKind::{Append, Delete, Set};
    let loggers = Loggers::new("info", None);
    let cases = [
        ("1", op("kafka", Set, Some("INFO")), 40, "Logger kafka does not exist!"),
        (
            "1",
            op("root", Set, Some("info")),
            40,
            "Cannot set the log level of root to info as it is not a supported log level. Valid log levels are DEBUG, ERROR, FATAL, INFO, TRACE, WARN",
        ),
        ("1", op("root", Set, None), 42, "Null value not supported for : root"),
        ("1", op("root", Delete, None), 42, "Removing the log level of the root logger is not allowed"),
        (
            "1",
            op("root", Append, Some("INFO")),
            42,
            "APPEND operation is not allowed for the BROKER_LOGGER resource",
        ),
        ("99", op("root", Set, Some("INFO")), 42, "Unexpected node id. Expected 1, but received 99"),
        ("abc", op("root", Set, Some("INFO")), 42, "Node id must be an integer, but it is: abc"),
        ("", op("root", Set, Some("INFO")), 42, "Node id must be an integer, but it is: "),
    ];
    for (name, op, code, message) in cases {
        let good = ConfigOp { name: "openraft".to_owned(), kind: Set, value: Some("TRACE".to_owned()) };
        let failure = alter(&loggers, 1, name, &[good, op], false).unwrap_err();
        assert_eq!((failure.code.code(), failure.message.as_str()), (code, message));
    }
    let twice = [op("root", Set, Some("INFO")), op("root", Set, Some("WARN"))];
    assert_eq!(
        alter(&loggers, 1, "1", &twice, false).unwrap_err().message,
        "Error due to duplicate config keys"
    );
    assert_eq!(level(&loggers, "openraft").as_deref(), Some("INFO"));
    for (name, message) in [
        ("", "Broker id must not be empty"),
        ("x", "Broker id must be an integer, but it is: x"),
        ("99", "Unexpected broker id, expected 1 but received 99"),
    ] {
        assert_eq!(describe(&loggers, 1, name).unwrap_err().message, message);
    }
}
