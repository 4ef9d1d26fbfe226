use super::*;

fn report() -> Report {
    let mut table = Table::new([left("TOPIC"), right("PARTS"), left("ID").wide()]);
    table.row([Cell::from("a"), Cell::from(12), Cell::from("x")]);
    table.row([Cell::from("longer"), Cell::of("3 or so", 3), Cell::from("y")]);
    Report::new("topic.list", json!({ "topics": [{ "name": "a", "partitions": 12 }, { "name": "longer" }] }))
        .table(table)
}

#[test]
fn tables_are_aligned_and_hide_wide_columns() {
    assert_eq!(report().render(Format::Table), "TOPIC     PARTS\na            12\nlonger  3 or so\n");
    assert!(report().render(Format::Wide).starts_with("TOPIC     PARTS  ID\n"));
}

#[test]
fn json_is_an_envelope_with_kind_data_and_errors() {
    let json: Value = serde_json::from_str(&report().render(Format::Json)).expect("json");
    assert_eq!(json["kind"], "tidemark.topic.list/v1");
    assert_eq!(json["data"]["topics"][0]["partitions"], 12);
    assert_eq!(json["errors"], json!([]));
}

#[test]
fn lines_of_json_are_the_rows() {
    let text = report().render(Format::Jsonl);
    assert_eq!(text.lines().count(), 2);
    assert_eq!(text.lines().next(), Some(r#"{"name":"a","partitions":12}"#));
}

#[test]
fn tabs_separate_raw_values() {
    assert_eq!(report().render(Format::Tsv), "topic\tparts\tid\na\t12\tx\nlonger\t3\ty\n");
}

#[test]
fn one_failed_item_fails_the_command_and_is_listed() {
    let error = ItemError::local("topic b", "UNKNOWN_TOPIC_OR_PARTITION", "no such topic", Exit::NotFound);
    let other = ItemError::local("topic c", "CLIENT_ERROR", "broken", Exit::Unreachable);
    let failed = report().errors(vec![error.clone()]);
    assert_eq!(failed.exit(), Some(Exit::NotFound));
    let json: Value = serde_json::from_str(&failed.render(Format::Json)).expect("json");
    assert_eq!(json["errors"][0]["code"], "UNKNOWN_TOPIC_OR_PARTITION");
    assert_eq!(report().errors(vec![error, other]).exit(), Some(Exit::Failed));
}
