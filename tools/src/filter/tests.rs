use tidemark_protocol::batch::{BatchBuilder, BuilderOptions, RecordHeader};

use super::*;

fn shows(filter: &str, key: Option<&[u8]>, value: Option<&[u8]>) -> bool {
    let mut builder = BatchBuilder::new(BuilderOptions::default());
    builder.append(0, 0, key, value, &[RecordHeader { key: b"kind", value: Some(b"order") }]);
    let records = builder.build().records(1 << 20).expect("records");
    let record = records.iter().next().expect("one").expect("whole");
    filter.parse::<Filter>().expect("filter").matches(&record)
}

#[test]
fn keys_values_and_headers_are_matched() {
    assert!(shows("k:^user-", Some(b"user-1"), None));
    assert!(!shows("k:^user-", Some(b"order-1"), None));
    assert!(shows("v:err(or)?", None, Some(b"an error")));
    assert!(!shows("v:!err", None, Some(b"an error")));
    assert!(shows("v:!err", None, None));
    assert!(shows("h:kind=^order$", None, None));
    assert!(!shows("h:kind=!order", None, None));
    assert!(!shows("h:other=.", None, None));
    assert!(shows("v:\\xff", None, Some("ÿ".as_bytes())));
}

#[test]
fn wrong_filters_say_the_forms() {
    for filter in ["", "x:y", "h:noequals", "plain"] {
        assert!(filter.parse::<Filter>().expect_err(filter).contains("h:NAME=REGEX"));
    }
    assert!("k:(".parse::<Filter>().is_err());
}
