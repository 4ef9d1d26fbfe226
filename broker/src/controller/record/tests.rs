//! Stored records: round trips, versions, and bytes that are not records.

use proptest::prelude::*;
use tidemark_core::metadata::{Command, TopicKey};
use uuid::Uuid;

use super::*;

fn positions() -> impl Strategy<Value = LogPosition> {
    (any::<u64>(), any::<u64>()).prop_map(|(term, index)| LogPosition { term, index })
}

fn payloads() -> impl Strategy<Value = StoredPayload> {
    let proposal = (any::<u128>(), any::<u64>(), ".*").prop_map(|(session, sequence, name)| {
        let command = Command::DeleteTopics { topics: vec![TopicKey::Name(name)] };
        StoredPayload::Proposal(Arc::new(Proposal { session: Uuid::from_u128(session), sequence, command }))
    });
    let members = proptest::collection::btree_map(any::<u64>(), ".*", 1..4).prop_map(|addresses| {
        let configs = vec![addresses.keys().copied().collect()];
        let voter = |address| Voter { broker_id: 7, directory_id: Uuid::nil(), address, may_vote: true };
        let nodes = addresses.into_iter().map(|(id, address)| (id, voter(address))).collect();
        StoredPayload::Membership(StoredMembers { configs, nodes })
    });
    prop_oneof![Just(StoredPayload::Blank), proposal, members]
}

fn records() -> impl Strategy<Value = LogRecord> {
    prop_oneof![
        (positions(), payloads())
            .prop_map(|(position, payload)| LogRecord::Entry(StoredEntry { position, payload })),
        (any::<u64>(), any::<u64>(), any::<bool>())
            .prop_map(|(term, candidate, granted)| LogRecord::Vote(Ballot { term, candidate, granted })),
        proptest::option::of(positions()).prop_map(LogRecord::Committed),
        proptest::option::of(positions()).prop_map(LogRecord::Truncate),
        positions().prop_map(LogRecord::Purge),
    ]
}

proptest! {
    #[test]
    fn a_record_reads_back_as_it_was(record in records()) {
        prop_assert_eq!(LogRecord::decode(&record.encode()), Ok(record));
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(record) = LogRecord::decode(&bytes) {
            prop_assert_eq!(LogRecord::decode(&record.encode()), Ok(record));
        }
    }
}

#[test]
fn the_layout_of_version_1_stays() {
    let vote = LogRecord::Vote(Ballot { term: 300, candidate: 2, granted: true });
    assert_eq!(vote.encode(), [1, 1, 0xac, 0x02, 2, 1]);
    let blank = StoredEntry { position: LogPosition { term: 1, index: 5 }, payload: StoredPayload::Blank };
    assert_eq!(LogRecord::Entry(blank).encode(), [1, 0, 1, 5, 0]);
}

#[test]
fn another_version_and_leftover_bytes_are_refused() {
    assert_eq!(LogRecord::decode(&[]), Err(RecordError::Empty));
    assert_eq!(LogRecord::decode(&[2, 0]), Err(RecordError::Version(2)));
    let mut bytes = LogRecord::Committed(None).encode();
    bytes.push(0);
    assert!(matches!(LogRecord::decode(&bytes), Err(RecordError::Malformed(_))));
}
