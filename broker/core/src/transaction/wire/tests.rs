use super::*;

#[test]
fn clients_that_do_not_know_producer_fenced_are_told_its_older_name() {
    let first_to_know =
        [(Api::InitProducerId, 4), (Api::AddPartitionsToTxn, 2), (Api::AddOffsetsToTxn, 2), (Api::EndTxn, 2)];
    for (api, first) in first_to_know {
        for version in 0..=6 {
            let told = error_for(api, version, ErrorCode::ProducerFenced);
            let knows = told == ErrorCode::ProducerFenced;
            assert_eq!(knows, version >= first, "{api:?} {version}");
            assert!(knows || told == ErrorCode::InvalidProducerEpoch);
        }
    }
}

#[test]
fn only_the_newest_versions_are_told_that_a_transaction_can_be_aborted() {
    let first_to_know =
        [(Api::InitProducerId, 5), (Api::AddPartitionsToTxn, 5), (Api::AddOffsetsToTxn, 4), (Api::EndTxn, 4)];
    for (api, first) in first_to_know {
        for version in 0..=6 {
            let told = error_for(api, version, ErrorCode::TransactionAbortable);
            let knows = told == ErrorCode::TransactionAbortable;
            assert_eq!(knows, version >= first, "{api:?} {version}");
            assert!(knows || told == ErrorCode::InvalidTxnState);
        }
    }
}

#[test]
fn other_errors_have_one_name() {
    for error in [ErrorCode::None, ErrorCode::ConcurrentTransactions, ErrorCode::InvalidProducerIdMapping] {
        assert_eq!(error_for(Api::EndTxn, 0, error), error);
    }
}

#[test]
fn a_producer_is_told_to_send_again_while_the_coordinator_cannot_say() {
    let passing = [
        ErrorCode::CoordinatorLoadInProgress,
        ErrorCode::CoordinatorNotAvailable,
        ErrorCode::NotCoordinator,
        ErrorCode::NetworkException,
    ];
    for error in passing {
        for adds in [false, true] {
            assert_eq!(produce_error_for(error, true, adds), ErrorCode::NotEnoughReplicas);
        }
    }
    let concurrent = ErrorCode::ConcurrentTransactions;
    assert_eq!(produce_error_for(concurrent, true, false), ErrorCode::NotEnoughReplicas);
    assert_eq!(produce_error_for(concurrent, true, true), concurrent);
}

#[test]
fn a_producer_is_never_told_producer_fenced_and_abortable_only_if_it_knows() {
    assert_eq!(produce_error_for(ErrorCode::ProducerFenced, true, true), ErrorCode::InvalidProducerEpoch);
    let abortable = ErrorCode::TransactionAbortable;
    assert_eq!(produce_error_for(abortable, true, false), abortable);
    assert_eq!(produce_error_for(abortable, false, false), ErrorCode::InvalidTxnState);
    let mapping = ErrorCode::InvalidProducerIdMapping;
    assert_eq!(produce_error_for(mapping, false, false), mapping);
}
