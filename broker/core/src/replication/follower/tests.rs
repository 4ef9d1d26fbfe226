use super::*;
use crate::replication::epochs::{Agreement, compare};

/// A log given by the epoch of each record, from offset `start` on, and by the epochs that begin at its end.
struct Epochs {
    start: Offset,
    records: Vec<LeaderEpoch>,
    /// An epoch that has no record yet.
    empty: Option<LeaderEpoch>,
}

fn log(start: Offset, records: &[LeaderEpoch]) -> Epochs {
    Epochs { start, records: records.to_vec(), empty: None }
}

impl EpochLog for Epochs {
    fn log_start(&self) -> Offset {
        self.start
    }

    fn log_end(&self) -> Offset {
        self.start + self.records.len() as Offset
    }

    fn epoch_at(&self, offset: Offset) -> Option<LeaderEpoch> {
        if offset >= self.log_end() {
            return self.empty.or(self.records.last().copied());
        }
        usize::try_from(offset - self.start).ok().map(|at| self.records[at])
    }

    fn epoch_end(&self, asked: LeaderEpoch) -> (LeaderEpoch, Offset) {
        let known: Vec<LeaderEpoch> = self.records.iter().copied().chain(self.empty).collect();
        let after = known.partition_point(|epoch| *epoch <= asked);
        let floor = known[..after].last().copied();
        match known.get(after) {
            Some(_) => (floor.unwrap_or(asked), self.start + after as Offset),
            None if floor == Some(asked) => (asked, self.log_end()),
            None => (-1, -1),
        }
    }
}

const EPOCH: LeaderEpoch = 9;

/// Asks with `own`, answers with `answer`.
fn ask(own: &Epochs, answer: FetchAnswer) -> FollowerStep {
    let mut follower = FollowerState::new(2, EPOCH);
    let asked = follower.position(own).unwrap();
    follower.on_answer(&asked, &answer, own)
}

/// Follows `leader` until the position agrees; returns what was cut, and the common log's end.
fn follow(mut own: Epochs, leader: &Epochs) -> (Vec<FollowerStep>, Offset) {
    let mut steps = Vec::new();
    let mut follower = FollowerState::new(2, EPOCH);
    loop {
        let asked = follower.position(&own).unwrap();
        let log_start = leader.log_start();
        let answer = match compare(&asked, leader) {
            Agreement::Agrees => return (steps, asked.fetch_offset),
            Agreement::Diverges { epoch, end_offset } => {
                FetchAnswer::Diverging { epoch, end_offset, log_start }
            }
            Agreement::OutOfRange => FetchAnswer::OutOfRange { log_start, log_end: leader.log_end() },
        };
        let step = follower.on_answer(&asked, &answer, &own);
        match step {
            FollowerStep::Truncate { to } => own.records.truncate((to - own.start) as usize),
            FollowerStep::Restart { at } => own = log(at, &[]),
            other => panic!("{other:?}"),
        }
        steps.push(step);
        assert!(steps.len() < 10, "{steps:?}");
    }
}

fn cut(to: Offset) -> FollowerStep {
    FollowerStep::Truncate { to }
}

#[test]
fn the_next_fetch_is_from_the_logs_end_with_the_epoch_of_its_last_record() {
    let follower = FollowerState::new(2, EPOCH);
    let position = |own: &Epochs| follower.position(own).unwrap();
    let asked = FetchPosition { leader_epoch: EPOCH, last_fetched_epoch: Some(3), fetch_offset: 8 };
    assert_eq!(position(&log(5, &[1, 1, 3])), asked);
    let led_without_writing = Epochs { empty: Some(4), ..log(5, &[1, 1, 3]) };
    assert_eq!(position(&led_without_writing), asked);
    assert_eq!(position(&log(5, &[])).last_fetched_epoch, None);
}

#[test]
fn records_at_the_expected_offset_are_appended_and_the_marks_clamped_to_the_log() {
    let answer =
        |high_watermark, log_start| FetchAnswer::Records { range: Some((8, 12)), high_watermark, log_start };
    let append = |high_watermark, log_start| FollowerStep::Append { high_watermark, log_start };
    let own = log(5, &[1, 1, 3]);
    assert_eq!(ask(&own, answer(10, 2)), append(10, 5));
    assert_eq!(ask(&own, answer(50, 7)), append(12, 7));
    assert_eq!(ask(&own, answer(0, 5)), append(5, 5), "a new leader may know less of what is committed");
}

#[test]
fn an_answer_without_records_moves_the_marks_only() {
    let answer = FetchAnswer::Records { range: None, high_watermark: 50, log_start: 6 };
    let step = FollowerStep::Append { high_watermark: 8, log_start: 6 };
    assert_eq!(ask(&log(5, &[1, 1, 3]), answer), step);
}

#[test]
fn records_may_begin_later_than_asked_for_but_not_before() {
    let answer = |first| FetchAnswer::Records { range: Some((first, 20)), high_watermark: 0, log_start: 0 };
    let own = log(5, &[1, 1, 3]);
    assert!(matches!(ask(&own, answer(11)), FollowerStep::Append { .. }), "the gap was compacted away");
    assert_eq!(ask(&own, answer(7)), FollowerStep::Retry(ErrorCode::CorruptMessage));
}

#[test]
fn a_longer_log_of_the_same_epochs_is_cut_to_the_leaders_end_of_the_last_one() {
    let leader = Epochs { empty: Some(EPOCH), ..log(0, &[1, 1, 1]) };
    assert_eq!(follow(log(0, &[1, 1, 1, 1, 1]), &leader), (vec![cut(3)], 3));
}

#[test]
fn an_old_leaders_tail_is_cut_and_what_it_shares_stays() {
    // 1 returns with 12 records of epoch 1; 2 leads since 10.
    let leader = log(0, &[1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2]);
    assert_eq!(follow(log(0, &[1; 12]), &leader), (vec![cut(10)], 10));
}

#[test]
fn logs_that_alternated_are_compared_in_several_rounds() {
    // Neither knows the other's last epochs: each round goes down one epoch of the follower.
    let leader = log(0, &[1, 1, 2, 4, 4, 6]);
    let (steps, end) = follow(log(0, &[1, 1, 1, 3, 3, 5, 5]), &leader);
    assert_eq!((steps, end), (vec![cut(5), cut(3), cut(2)], 2));
}

#[test]
fn an_epoch_that_the_follower_never_had_is_no_place_to_cut_at() {
    // The leader says that epoch 2 ends at 4; for the follower epoch 1 goes to 5 and 3 follows.
    let own = log(0, &[1, 1, 1, 1, 1, 3]);
    let answer = FetchAnswer::Diverging { epoch: 2, end_offset: 4, log_start: 0 };
    assert_eq!(ask(&own, answer), cut(5));
}

#[test]
fn a_log_without_anything_of_the_leaders_starts_anew() {
    let (steps, end) = follow(log(4, &[3, 3]), &log(2, &[1, 5]));
    assert_eq!((steps, end), (vec![FollowerStep::Restart { at: 2 }], 2));
    let (steps, end) = follow(log(2, &[3, 3]), &log(2, &[1, 5]));
    assert_eq!((steps, end), (vec![cut(2)], 2));
}

#[test]
fn a_log_of_epochs_that_the_leader_has_deleted_starts_anew() {
    // Its records below 4 may be those of a leader that lost; nothing at the leader could tell.
    let restart = vec![FollowerStep::Restart { at: 4 }];
    assert_eq!(follow(log(0, &[1, 1, 1, 1]), &log(4, &[2, 2])), (restart.clone(), 4));
    assert_eq!(follow(log(0, &[1, 1, 1, 1, 1]), &log(4, &[2, 2])), (restart.clone(), 4));
    let emptied = Epochs { empty: Some(2), ..log(4, &[]) };
    assert_eq!(follow(log(0, &[1, 1, 1, 1]), &emptied), (restart, 4));
    assert_eq!(follow(log(0, &[1, 1, 2, 2]), &emptied), (vec![], 4), "there epoch 2 goes on");
}

#[test]
fn a_follower_behind_the_leaders_start_starts_there() {
    let (steps, end) = follow(log(0, &[1, 1]), &log(7, &[1, 2]));
    assert_eq!((steps, end), (vec![FollowerStep::Restart { at: 7 }], 7));
}

#[test]
fn an_empty_log_beyond_the_leaders_end_starts_anew() {
    let (steps, end) = follow(log(20, &[]), &log(0, &[1, 2]));
    assert_eq!((steps, end), (vec![FollowerStep::Restart { at: 0 }], 0));
}

#[test]
fn a_log_ahead_of_the_leader_whose_epoch_the_leader_cannot_place_is_cut_and_compared_again() {
    let leader = log(0, &[1, 1, 1]);
    let (steps, end) = follow(log(0, &[1, 1, 1, 1, 7]), &leader);
    assert_eq!((steps, end), (vec![cut(3)], 3));
}

#[test]
fn a_log_that_cannot_be_compared_is_dropped() {
    let leader = log(0, &[1, 1, 1, 1, 1]);
    let (steps, end) = follow(log(0, &[1, 1, 7]), &leader);
    assert_eq!((steps, end), (vec![FollowerStep::Restart { at: 0 }], 0), "the leader knows no epoch 7");
}

#[test]
fn a_divergence_that_cuts_nothing_is_not_believed() {
    let own = log(0, &[1, 1, 3]);
    for (epoch, end_offset) in [(3, 3), (3, 9), (4, 1), (-1, -1)] {
        let answer = FetchAnswer::Diverging { epoch, end_offset, log_start: 0 };
        assert_eq!(
            ask(&own, answer),
            FollowerStep::Retry(ErrorCode::UnknownServerError),
            "({epoch}, {end_offset})"
        );
    }
}

#[test]
fn a_fenced_leader_epoch_ends_the_asking_until_the_metadata_bring_the_next() {
    let own = log(0, &[1]);
    let mut follower = FollowerState::new(2, EPOCH);
    let asked = follower.position(&own).unwrap();
    let fenced = FetchAnswer::Error(ErrorCode::FencedLeaderEpoch);
    assert_eq!(follower.on_answer(&asked, &fenced, &own), FollowerStep::AwaitMetadata);
    assert_eq!(follower.position(&own), None);
    let late = FetchAnswer::Records { range: Some((1, 2)), high_watermark: 0, log_start: 0 };
    assert_eq!(follower.on_answer(&asked, &late, &own), FollowerStep::Ignore);
}

#[test]
fn a_leader_that_does_not_know_of_its_role_yet_is_asked_again() {
    for code in [ErrorCode::UnknownLeaderEpoch, ErrorCode::NotLeaderOrFollower, ErrorCode::KafkaStorageError]
    {
        assert_eq!(ask(&log(0, &[1]), FetchAnswer::Error(code)), FollowerStep::Retry(code));
    }
}

#[test]
fn an_answer_to_another_offset_or_epoch_is_ignored() {
    let own = log(0, &[1, 1, 3]);
    let asked = FetchPosition { leader_epoch: EPOCH, last_fetched_epoch: Some(3), fetch_offset: 3 };
    let answers = [
        FetchAnswer::Records { range: Some((3, 5)), high_watermark: 0, log_start: 0 },
        FetchAnswer::Diverging { epoch: 1, end_offset: 1, log_start: 0 },
        FetchAnswer::OutOfRange { log_start: 10, log_end: 12 },
        FetchAnswer::Error(ErrorCode::FencedLeaderEpoch),
    ];
    for answer in answers {
        let mut follower = FollowerState::new(2, EPOCH);
        let mut hears = |asked| follower.on_answer(&asked, &answer, &own);
        assert_eq!(hears(FetchPosition { fetch_offset: 2, ..asked }), FollowerStep::Ignore);
        assert_eq!(hears(FetchPosition { leader_epoch: EPOCH - 1, ..asked }), FollowerStep::Ignore);
        assert_eq!(hears(FetchPosition { last_fetched_epoch: Some(1), ..asked }), FollowerStep::Ignore);
        assert_ne!(hears(asked), FollowerStep::Ignore);
    }
}

#[test]
fn a_log_agrees_only_after_the_leader_has_found_so() {
    let own = log(0, &[1, 1, 3]);
    let mut follower = FollowerState::new(2, EPOCH);
    let asked = follower.position(&own).unwrap();
    let diverging = FetchAnswer::Diverging { epoch: 1, end_offset: 1, log_start: 0 };
    assert_eq!(follower.on_answer(&asked, &diverging, &own), cut(1));
    assert!(!follower.agrees(), "what is synced now may be cut yet");
    let own = log(0, &[1]);
    let asked = follower.position(&own).unwrap();
    let records = FetchAnswer::Records { range: None, high_watermark: 0, log_start: 0 };
    follower.on_answer(&asked, &records, &own);
    assert!(follower.agrees());
}
