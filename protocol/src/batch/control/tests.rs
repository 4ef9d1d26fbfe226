use super::*;
use crate::batch::tests::fixture;

#[test]
fn markers_are_the_bytes_of_kafka() {
    for (name, control_type, offset) in
        [("commit", ControlType::Commit, 42), ("abort", ControlType::Abort, 43)]
    {
        let marker = EndTransactionMarker { control_type, coordinator_epoch: 9 };
        let batch = marker.batch(offset, 1_700_000_000_000, 4711, 7);
        assert_eq!(batch.place(offset, 3).to_bytes(), fixture(name).bytes());

        let theirs = fixture(name);
        assert!(theirs.header().is_control() && theirs.header().is_transactional());
        let records = theirs.records(0).unwrap();
        let record = records.iter().next().unwrap().unwrap();
        assert_eq!(EndTransactionMarker::parse(&record), Some(marker));
    }
}

fn parse(key: Option<&[u8]>, value: Option<&[u8]>) -> (Option<ControlType>, Option<EndTransactionMarker>) {
    let mut builder = BatchBuilder::new(BuilderOptions::default());
    builder.append(0, 0, key, value, &[]);
    let batch = builder.build();
    let records = batch.records(0).unwrap();
    let record = records.iter().next().unwrap().unwrap();
    (ControlType::parse(&record), EndTransactionMarker::parse(&record))
}

#[test]
fn later_versions_may_add_fields() {
    let marker = EndTransactionMarker { control_type: ControlType::Commit, coordinator_epoch: 5 };
    let (_, parsed) = parse(Some(&[0, 1, 0, 1, 9, 9]), Some(&[0, 1, 0, 0, 0, 5, 7, 7]));
    assert_eq!(parsed, Some(marker));
}

#[test]
fn what_is_no_marker_is_none() {
    assert_eq!(parse(None, None), (None, None));
    assert_eq!(parse(Some(&[0, 0, 0]), None), (None, None));
    assert_eq!(parse(Some(&[0xff, 0xff, 0, 1]), Some(&[0; 6])), (None, None));
    assert_eq!(parse(Some(&[0, 0, 0, 2]), Some(&[0; 6])), (Some(ControlType::Other(2)), None));
    assert_eq!(parse(Some(&[0, 0, 0, 1]), Some(&[0; 5])), (Some(ControlType::Commit), None));
}
