use super::*;

fn validated(key: &str, value: &str) -> Result<(), Failure> {
    validate(&BTreeMap::from([(key.to_owned(), value.to_owned())]))
}

fn refusal(key: &str, value: &str) -> (ErrorCode, String) {
    let failure = validated(key, value).expect_err("the value is illegal");
    (failure.code, failure.message)
}

#[test]
fn an_interval_is_a_number_from_a_tenth_of_a_second_to_an_hour() {
    assert_eq!(validated("interval.ms", "100"), Ok(()));
    assert_eq!(validated("interval.ms", "3600000"), Ok(()));
    for value in ["99", "3600001", "0", "-1"] {
        let words = format!(
            "Invalid value {value} for interval.ms, interval must be between 100 and 3600000 (1 hour)"
        );
        assert_eq!(refusal("interval.ms", value), (ErrorCode::InvalidRequest, words));
    }
    let words = "Invalid value x for configuration interval.ms: Not a number of type INT".to_owned();
    assert_eq!(refusal("interval.ms", "x"), (ErrorCode::InvalidConfig, words));
}

#[test]
fn patterns_look_at_what_is_known_of_a_client() {
    for value in ["", "client_id=abc.*,client_software_name=x", " client_id = a ", "client_id=a,client_id=b"]
    {
        assert_eq!(validated("match", value), Ok(()), "{value}");
    }
    for value in ["foo=bar", "client_id", "client_id=", "client_id=a=b", "client_id=["] {
        let words = format!("Illegal client matching pattern: {value}");
        assert_eq!(refusal("match", value), (ErrorCode::InvalidConfig, words));
    }
}

#[test]
fn expressions_are_refused_where_brackets_or_repetitions_hang() {
    for text in ["a", "a|b", "(a|b)*c+", "[^]a-z]{2,3}", "(?:a)?", "a*?b++", r"\d+\.", "[a[b]]", "^$"] {
        assert!(is_regex(text), "{text}");
    }
    for text in ["(", ")", "[", "[]", "*a", "a**", r"a\", "(+)", "a|*", "[a[b]"] {
        assert!(!is_regex(text), "{text}");
    }
}

#[test]
fn an_unknown_key_is_an_invalid_request() {
    let words = "Unknown client metrics configuration: nope".to_owned();
    assert_eq!(refusal("nope", "1"), (ErrorCode::InvalidRequest, words));
}

#[test]
fn described_are_all_keys_and_where_they_are_set() {
    let entries = describe(&BTreeMap::from([("metrics".to_owned(), "*".to_owned())]));
    let seen: Vec<_> =
        entries.iter().map(|e| (e.name, e.value.as_deref(), e.source, e.synonyms.len())).collect();
    assert_eq!(
        seen,
        [
            ("interval.ms", Some("300000"), ConfigSource::Default, 0),
            ("match", Some(""), ConfigSource::Default, 0),
            ("metrics", Some("*"), ConfigSource::ClientMetrics, 1),
        ]
    );
}
