use super::*;

#[test]
fn codes_are_contiguous_and_round_trip() {
    for (at, row) in ROWS.iter().enumerate() {
        assert_eq!(row.code.code(), FIRST_CODE + at as i16);
        assert_eq!(ErrorCode::from_code(row.code.code()), Some(row.code));
    }
    assert_eq!(ErrorCode::from_code(-2), None);
    assert_eq!(ErrorCode::from_code(ROWS.len() as i16 - 1), None);
    assert_eq!(ErrorCode::from_code(i16::MAX), None);
    assert_eq!(ErrorCode::from_code(i16::MIN), None);
}

#[test]
fn every_code_says_something() {
    for code in ErrorCode::all() {
        assert!(!code.message().is_empty() && !code.name().is_empty());
    }
}

#[test]
fn retriable_agrees_with_the_java_client() {
    assert!(ErrorCode::NotLeaderOrFollower.is_retriable());
    assert!(ErrorCode::CorruptMessage.is_retriable());
    assert!(!ErrorCode::RebalanceInProgress.is_retriable());
    assert!(!ErrorCode::UnknownServerError.is_retriable());
}

#[test]
fn names_agree_with_an_independent_list() {
    use kafka_protocol::ResponseError;
    for code in ErrorCode::all().filter(|code| code.is_error()) {
        let Some(theirs) = ResponseError::try_from_code(code.code()) else { continue };
        let name = format!("{theirs:?}").to_uppercase();
        if !name.starts_with("UNKNOWN(") {
            assert_eq!(name, code.name().replace('_', ""));
        }
    }
}
