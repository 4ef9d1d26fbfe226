//! DescribeTransactions and ListTransactions.

use super::*;

#[test]
fn a_description_shows_the_open_transaction() {
    let mut shard = Shard::new();
    let owner = shard.ongoing();
    let described = shard.describe();
    assert_eq!(
        described,
        TransactionDescription {
            state: State::Ongoing,
            producer_id: owner.producer_id,
            producer_epoch: owner.epoch,
            timeout_ms: TIMEOUT_MS,
            start_ms: 1_000_000,
            partitions: partitions(&["t-0"]),
        }
    );
    shard.end(owner, COMMIT);
    assert_eq!(shard.describe().start_ms, 1_000_000);
    shard.finish();
    let described = shard.describe();
    assert_eq!((described.start_ms, described.partitions.len()), (-1, 0));
}

#[test]
fn an_unknown_id_is_not_found_and_an_empty_one_refused() {
    let mut shard = Shard::new();
    assert_eq!(shard.try_describe(), Err(ErrorCode::TransactionalIdNotFound));
    let token = shard.send(TransactionRequest::Describe { transactional_id: "".into() });
    assert_eq!(shard.answer(token), TransactionReply::Describe(Err(ErrorCode::InvalidRequest)));
}

/// The ids that pass.
fn listed(shard: &mut Shard, request: ListRequest) -> Vec<String> {
    let token = shard.send(TransactionRequest::List(request));
    match shard.answer(token) {
        TransactionReply::List(listings) => {
            listings.expect("a list").iter().map(|listing| listing.transactional_id.to_string()).collect()
        }
        other => panic!("not a list: {other:?}"),
    }
}

fn all() -> ListRequest {
    ListRequest { duration_ms: -1, ..ListRequest::default() }
}

#[test]
fn a_list_is_filtered_by_state_owner_and_duration() {
    let mut shard = Shard::new();
    for id in ["a", "b"] {
        let request = InitRequest { transactional_id: id.into(), ..init_request(None) };
        shard.init_with(request).expect("an owner");
    }
    let request =
        AddRequest { transactional_id: "b".into(), ..Shard::add_request(Owner::of(1_001, 0), &["t-0"]) };
    shard.add_with(request);
    shard.wait(5_000);
    assert_eq!(listed(&mut shard, all()), ["a", "b"]);
    let states = |name: &str| ListRequest { states: vec![name.into()], ..all() };
    assert_eq!(listed(&mut shard, states("Ongoing")), ["b"]);
    assert_eq!(listed(&mut shard, states("Empty")), ["a"]);
    assert!(listed(&mut shard, states("ongoing")).is_empty());
    let owners = ListRequest { producer_ids: vec![1_000, 7], ..all() };
    assert_eq!(listed(&mut shard, owners), ["a"]);
    let longer_than = |duration_ms| ListRequest { duration_ms, ..all() };
    assert_eq!(listed(&mut shard, longer_than(4_999)), ["b"]);
    assert!(listed(&mut shard, longer_than(5_000)).is_empty());
}

#[test]
fn kafkas_names_of_states_are_known_even_those_never_seen() {
    for name in ["Empty", "Ongoing", "PrepareCommit", "PrepareAbort", "CompleteCommit", "CompleteAbort"] {
        assert!(State::is_known_name(name));
    }
    assert!(State::is_known_name("Dead") && State::is_known_name("PrepareEpochFence"));
    assert!(!State::is_known_name("ongoing") && !State::is_known_name(""));
}
