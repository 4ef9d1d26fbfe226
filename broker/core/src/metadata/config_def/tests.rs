//! Every rule refuses with Kafka's text.

use super::*;

fn def(kind: ConfigType, rule: Rule) -> ConfigDef {
    ConfigDef { name: "key", kind, default: None, rule, doc: "" }
}

fn text(kind: ConfigType, rule: Rule, value: &str) -> String {
    def(kind, rule).check(value).map_or_else(|problem| problem.message, |()| "fine".to_owned())
}

#[test]
fn types_are_checked() {
    let cases = [
        (
            ConfigType::Boolean,
            "yes",
            "Invalid value yes for configuration key: Expected value to be either true or false",
        ),
        (ConfigType::Boolean, " TRUE ", "fine"),
        (
            ConfigType::Int,
            "2147483648",
            "Invalid value 2147483648 for configuration key: Not a number of type INT",
        ),
        (ConfigType::Int, "-2147483648", "fine"),
        (ConfigType::Int, "1.5", "Invalid value 1.5 for configuration key: Not a number of type INT"),
        (ConfigType::Short, "40000", "Invalid value 40000 for configuration key: Not a number of type SHORT"),
        (ConfigType::Long, "abc", "Invalid value abc for configuration key: Not a number of type LONG"),
        (ConfigType::Long, "", "Invalid value  for configuration key: Not a number of type LONG"),
        (ConfigType::Long, "9223372036854775807", "fine"),
        (ConfigType::Double, "half", "Invalid value half for configuration key: Not a number of type DOUBLE"),
        (ConfigType::String, "anything", "fine"),
    ];
    for (kind, value, expected) in cases {
        assert_eq!(text(kind, Rule::Any, value), expected);
    }
}

#[test]
fn ranges_are_checked() {
    let below = "Invalid value -1 for configuration key: Value must be at least 0";
    assert_eq!(text(ConfigType::Long, Rule::AtLeast(0), "-1"), below);
    assert_eq!(text(ConfigType::Int, Rule::Between(0, 4), "-1"), below);
    let above = "Invalid value 5 for configuration key: Value must be no more than 4";
    assert_eq!(text(ConfigType::Int, Rule::Between(0, 4), "5"), above);
    let ratio = Rule::Between(0, 1);
    assert_eq!(text(ConfigType::Double, ratio, "0.75"), "fine");
    let above = "Invalid value 1.5 for configuration key: Value must be no more than 1";
    assert_eq!(text(ConfigType::Double, ratio, "1.5"), above);
    assert!(text(ConfigType::Double, ratio, "NaN").ends_with("Value must be at least 0"));
    let level = Rule::MinusOneOrBetween(1, 9);
    assert_eq!(text(ConfigType::Int, level, "-1"), "fine");
    let outside = "Invalid value 0 for configuration key: Value must be between 1 and 9 or equal to -1";
    assert_eq!(text(ConfigType::Int, level, "0"), outside);
    assert_eq!(text(ConfigType::Long, Rule::UnlimitedOrPositive, "-1"), "fine");
    assert!(
        text(ConfigType::Long, Rule::UnlimitedOrPositive, "0")
            .ends_with("must be unlimited (-1) or, equal or greater than 1")
    );
}

#[test]
fn words_are_checked() {
    let words = &["compact", "delete"];
    let expected = "Invalid value x for configuration key: String must be one of: compact, delete";
    assert_eq!(text(ConfigType::String, Rule::OneOf(words), "x"), expected);
    assert_eq!(text(ConfigType::List, Rule::EachOf(words), "delete,x"), expected);
    for fine in ["", "delete", "compact, delete"] {
        assert_eq!(text(ConfigType::List, Rule::EachOf(words), fine), "fine");
    }
    let twice = "Configuration 'key' values must not be duplicated.";
    assert_eq!(text(ConfigType::List, Rule::EachOf(words), "delete,delete"), twice);
}

#[test]
fn throttled_replicas_are_checked() {
    for fine in ["", "*", "0:1", "0:1, 12:3"] {
        assert_eq!(text(ConfigType::List, Rule::ThrottledReplicas, fine), "fine");
    }
    for bad in ["**", "0", "0:", ":1", "a:1", "0:1,", "0:1:2"] {
        let message = text(ConfigType::List, Rule::ThrottledReplicas, bad);
        assert!(
            message.contains("key must be the literal '*' or a list of replicas in the following format: "),
            "{bad}"
        );
    }
}

#[test]
fn share_offset_resets_are_checked() {
    for fine in ["latest", "Earliest", "by_duration:PT1H", "by_duration:P1DT2H3M4.5S", "by_duration:P2D"] {
        assert_eq!(text(ConfigType::String, Rule::ShareOffsetReset, fine), "fine", "{fine}");
    }
    for bad in
        ["", "none", "by_duration:", "by_duration:1h", "by_duration:P", "by_duration:PT", "by_duration:PT1X"]
    {
        assert_ne!(text(ConfigType::String, Rule::ShareOffsetReset, bad), "fine", "{bad}");
    }
}
