use bytes::Bytes;
use tidemark_protocol::batch::{BatchBuilder, BuilderOptions, RecordHeader};

use super::input::InputFormat;
use super::*;
use crate::client::produce::OutRecord;

/// What `format` prints of one record.
fn printed(format: &str, key: Option<&[u8]>, value: Option<&[u8]>) -> String {
    let mut builder = BatchBuilder::new(BuilderOptions { base_offset: 7, ..BuilderOptions::default() });
    let headers = [RecordHeader { key: b"a", value: Some(b"1") }, RecordHeader { key: b"b", value: None }];
    builder.append(7, 1_784_884_353_120, key, value, &headers);
    let records = builder.build().records(1 << 20).expect("records");
    let record = records.iter().next().expect("one").expect("whole");
    let located = Located { topic: "t", partition: 3, timestamp_type: TimestampType::CreateTime, record };
    let mut out = Vec::new();
    OutputFormat::parse(format).expect("format").write(&mut out, &located).expect("written");
    String::from_utf8(out).expect("text")
}

fn records(format: &str, input: &[u8]) -> Result<Vec<OutRecord>, String> {
    let format = InputFormat::parse(format)?;
    let (mut rest, mut found) = (input, Vec::new());
    while let Some((record, used)) = format.next(rest, true)? {
        rest = &rest[used..];
        found.push(record);
    }
    Ok(found)
}

fn pair(key: Option<&'static str>, value: Option<&'static str>) -> OutRecord {
    OutRecord { key: key.map(Bytes::from), value: value.map(Bytes::from), ..OutRecord::default() }
}

#[test]
fn every_field_is_printed() {
    let all = printed("%t/%p/%o %k=%v %h %T %D %K %S 100%%\\n", Some(b"key"), Some(b"value"));
    assert_eq!(all, "t/3/7 key=value a=1,b 1784884353120 2026-07-24T09:12:33.120Z 3 5 100%\n");
    assert_eq!(printed("%k|%s|%K|%S", None, None), "||-1|-1");
    assert_eq!(printed("\\x41\\t\\\\", None, None), "A\t\\");
    assert_eq!(printed("%k{hex} %v{base64} %v{json}", Some(&[0, 255]), Some(b"hi\n")), "00ff aGkK \"hi\\n\"");
    assert_eq!(printed("raw", Some(b"k"), Some(b"v")), "v");
    assert_eq!(printed("hex", Some(b"k"), Some(b"v")), "6b\t76\n");
}

#[test]
fn wrong_formats_say_what_is_right() {
    for format in ["%", "%x", "\\q", "\\xZ1", "%k{zip}", "%o{hex}"] {
        let error = OutputFormat::parse(format).expect_err(format);
        assert!(error.contains("format"), "{error}");
    }
    for format in ["%k%v\\n", "%o\\n", "%v{hex}\\n", ""] {
        assert!(InputFormat::parse(format).is_err(), "{format}");
    }
}

#[test]
fn json_goes_out_and_comes_back() {
    let line = printed("json", Some(&[0, 255]), Some("grüße".as_bytes()));
    let value: serde_json::Value = serde_json::from_str(&line).expect("json");
    assert_eq!(value["key_base64"], "AP8=");
    assert_eq!(value["value"], "grüße");
    assert_eq!(value["headers"][1]["value"], serde_json::Value::Null);
    let back = records("json", line.as_bytes()).expect("read");
    assert_eq!(back[0].key.as_deref(), Some(&[0, 255][..]));
    assert_eq!(back[0].value.as_deref(), Some("grüße".as_bytes()));
    assert_eq!(back[0].headers, vec![("a".to_owned(), Some(Bytes::from("1"))), ("b".to_owned(), None)]);
    assert_eq!((back[0].partition, back[0].timestamp), (Some(3), Some(1_784_884_353_120)));
}

#[test]
fn base64_has_the_rfc_s_own_examples() {
    for (plain, coded) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
        assert_eq!(json::base64(plain.as_bytes()), coded);
    }
}

#[test]
fn input_is_cut_at_its_delimiters() {
    let lines = records("%v\\n", b"one\ntwo\n\nlast").expect("read");
    let expected = ["one", "two", "", "last"].map(|value| pair(None, Some(value)));
    assert_eq!(lines, expected);
    let pairs = records("%k:%v", b"a:1\nb:2:3\n").expect("read");
    assert_eq!(pairs, [pair(Some("a"), Some("1")), pair(Some("b"), Some("2:3"))]);
    assert_eq!(records("%p %T %h %v\\n", b"2 99 x=y v\n").expect("read")[0].partition, Some(2));
    assert_eq!(
        records("json", b"{\"value\":{\"a\":1}}\n\n{}\n").expect("read"),
        [pair(None, Some("{\"a\":1}")), pair(None, None)]
    );
}

#[test]
fn input_that_does_not_fit_is_an_error() {
    assert!(records("%k\\t%v\\n", b"no tab here\n").is_err());
    assert!(records("json", b"{\"valeu\":1}").is_err());
    assert!(records("json", b"[]").is_err());
    assert!(records("%p %v\\n", b"x y\n").is_err());
}

#[test]
fn more_bytes_are_asked_for_until_the_delimiter_is_there() {
    let format = InputFormat::parse("%v\\r\\n").expect("format");
    assert_eq!(format.next(b"part\r", false), Ok(None));
    assert_eq!(format.next(b"part\r\nx", false), Ok(Some((pair(None, Some("part")), 6))));
}
