//! The task of a shard against a log that holds back, refuses and goes away on command.

use std::sync::{Mutex, MutexGuard};

use tidemark_core::group::request::{OffsetCommitPartition, OffsetCommitTopic, OffsetFetchTopic};
use tidemark_core::group::request::{OffsetCommitRequest, OffsetFetchRequest};
use tidemark_core::group::{GroupCoordinator, GroupReply, GroupRequest, GroupSettings};
use tidemark_core::machine::CoordinatorRecord;
use tidemark_protocol::types::TopicId;
use tokio::sync::Notify;

use super::super::log::Chunk;
use super::*;

/// A log in memory. Its high watermark moves when told to, or with each append.
#[derive(Clone, Default)]
struct TestLog {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    news: Notify,
}

#[derive(Default)]
struct State {
    records: Vec<CoordinatorRecord>,
    committed: Offset,
    /// Commits do not follow appends.
    held: bool,
    refuse: Option<ErrorCode>,
    lost: bool,
    batches: usize,
}

impl TestLog {
    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap()
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.shared.news.notify_one();
    }

    fn end(&self) -> Offset {
        self.state().records.len() as Offset
    }

    fn commit_all(&self) {
        self.change(|state| {
            state.held = false;
            state.committed = state.records.len() as Offset;
        });
    }

    /// Returns once the log has so many records.
    async fn reaches(&self, end: Offset) {
        while self.end() < end {
            tokio::task::yield_now().await;
        }
    }
}

impl ShardLog for TestLog {
    async fn open(&mut self) -> Result<(Offset, Offset), LoadError> {
        Ok((0, self.end()))
    }

    async fn read(&mut self, from: Offset, end: Offset) -> Result<Chunk, LoadError> {
        let state = self.state();
        // Two at a time, so that loading takes several reads.
        let next = end.min(from + 2);
        let records = (from..next).map(|at| (at, state.records[at as usize].clone(), 0)).collect();
        Ok(Chunk { records, next })
    }

    async fn append(&mut self, batch: RecordBatch) -> Result<Offset, ErrorCode> {
        let mut state = self.state();
        if let Some(error) = state.refuse.take() {
            return Err(error);
        }
        for record in &batch.records(1 << 20).unwrap() {
            let record = record.unwrap();
            let key = bytes::Bytes::copy_from_slice(record.key.unwrap());
            let value = record.value.map(bytes::Bytes::copy_from_slice);
            state.records.push(CoordinatorRecord { key, value });
        }
        state.batches += 1;
        if !state.held {
            state.committed = state.records.len() as Offset;
        }
        Ok(state.records.len() as Offset)
    }

    fn committed(&mut self) -> Option<Offset> {
        let state = self.state();
        (!state.lost).then_some(state.committed)
    }

    async fn changed(&mut self) {
        self.shared.news.notified().await;
    }
}

type Handle = ShardHandle<GroupCoordinator>;

fn shard(log: &TestLog) -> Handle {
    shard_with(log, Duration::from_secs(60), Duration::from_secs(60))
}

fn shard_with(log: &TestLog, commit_timeout: Duration, load_patience: Duration) -> Handle {
    let machine = GroupCoordinator::new(Arc::new(GroupSettings::default()));
    let loads = Arc::new(Semaphore::new(1));
    let options = ShardOptions {
        tasks: tokio::runtime::Handle::current(),
        clock: Clock::system(),
        commit_timeout,
        load_patience,
        loads,
    };
    start("test-0".into(), machine, log.clone(), options).0
}

fn commit(offset: Offset) -> GroupRequest {
    GroupRequest::OffsetCommit(OffsetCommitRequest {
        group_id: "g".into(),
        member_id: String::new(),
        group_instance_id: None,
        generation_id: -1,
        retention_time_ms: None,
        group_id_not_found: true,
        topics: vec![OffsetCommitTopic {
            topic: "t".into(),
            topic_id: TopicId::ZERO,
            partitions: vec![OffsetCommitPartition {
                partition: 0,
                offset,
                leader_epoch: -1,
                metadata: String::new(),
            }],
        }],
    })
}

/// Commits; the partition's result.
async fn committed(shard: &Handle, offset: Offset) -> Result<ErrorCode, ErrorCode> {
    match shard.clone().ask(commit(offset)).await? {
        GroupReply::OffsetCommit(reply) => Ok(reply.topics[0].1[0].1),
        other => panic!("not a commit: {other:?}"),
    }
}

/// Reads the offset of t-0.
async fn fetched(shard: &Handle) -> Result<Offset, ErrorCode> {
    let topics =
        Some(vec![OffsetFetchTopic { topic: "t".into(), topic_id: TopicId::ZERO, partitions: vec![0] }]);
    let request = OffsetFetchRequest { group_id: "g".into(), require_stable: false, topics };
    match shard.clone().ask(GroupRequest::OffsetFetch(request)).await? {
        GroupReply::OffsetFetch(reply) if reply.error == ErrorCode::None => {
            Ok(reply.topics[0].partitions[0].offset)
        }
        GroupReply::OffsetFetch(reply) => Err(reply.error),
        other => panic!("not a fetch: {other:?}"),
    }
}

#[tokio::test]
async fn a_commit_is_answered_and_survives_the_shard() {
    let log = TestLog::default();
    assert_eq!(committed(&shard(&log), 7).await, Ok(ErrorCode::None));
    assert_eq!(fetched(&shard(&log)).await, Ok(7));
}

#[tokio::test]
async fn an_answer_waits_for_the_high_watermark() {
    let log = TestLog::default();
    log.change(|state| state.held = true);
    let shard = shard(&log);
    let answer = tokio::spawn({
        let shard = shard.clone();
        async move { committed(&shard, 7).await }
    });
    log.reaches(1).await;
    tokio::task::yield_now().await;
    assert!(!answer.is_finished());
    log.commit_all();
    assert_eq!(answer.await.unwrap(), Ok(ErrorCode::None));
}

#[tokio::test]
async fn a_read_never_tells_of_an_offset_that_may_yet_be_lost() {
    let log = TestLog::default();
    log.change(|state| state.held = true);
    let shard = shard(&log);
    let write = tokio::spawn({
        let shard = shard.clone();
        async move { committed(&shard, 7).await }
    });
    log.reaches(1).await;
    let read = tokio::spawn({
        let shard = shard.clone();
        async move { fetched(&shard).await }
    });
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    assert!(!read.is_finished());
    log.commit_all();
    assert_eq!(read.await.unwrap(), Ok(7));
    assert_eq!(write.await.unwrap(), Ok(ErrorCode::None));
}

#[tokio::test]
async fn what_never_commits_is_answered_in_time() {
    let log = TestLog::default();
    log.change(|state| state.held = true);
    let shard = shard_with(&log, Duration::ZERO, Duration::from_secs(60));
    assert_eq!(committed(&shard, 7).await, Ok(ErrorCode::CoordinatorNotAvailable));
}

#[tokio::test]
async fn a_read_that_waited_too_long_may_come_again() {
    let log = TestLog::default();
    log.change(|state| state.held = true);
    let shard = shard_with(&log, Duration::ZERO, Duration::from_secs(60));
    assert_eq!(committed(&shard, 7).await, Ok(ErrorCode::CoordinatorNotAvailable));
    assert_eq!(fetched(&shard).await, Err(ErrorCode::CoordinatorLoadInProgress));
    log.commit_all();
    assert_eq!(fetched(&shard).await, Ok(7), "what was late was committed all the same");
}

#[tokio::test]
async fn requests_that_come_together_share_a_batch() {
    let log = TestLog::default();
    let shard = shard(&log);
    let together = futures_util::future::join_all((0..100).map(|offset| committed(&shard, offset)));
    assert!(together.await.into_iter().all(|answer| answer == Ok(ErrorCode::None)));
    assert_eq!(log.end(), 100);
    assert!(log.state().batches < 10, "{} batches", log.state().batches);
    assert_eq!(fetched(&shard).await, Ok(99), "the last one asked is the last one kept");
}

#[tokio::test]
async fn what_the_log_refuses_has_not_happened() {
    let log = TestLog::default();
    let shard = shard(&log);
    assert_eq!(committed(&shard, 1).await, Ok(ErrorCode::None));
    log.change(|state| state.refuse = Some(ErrorCode::NotEnoughReplicas));
    assert_eq!(committed(&shard, 2).await, Ok(ErrorCode::CoordinatorNotAvailable));
    assert_eq!(fetched(&shard).await, Ok(1));
    assert_eq!(committed(&shard, 3).await, Ok(ErrorCode::None));
}

#[tokio::test]
async fn a_shard_opens_only_when_what_it_loaded_is_committed() {
    let log = TestLog::default();
    let before = shard(&log);
    for offset in 0..5 {
        assert_eq!(committed(&before, offset).await, Ok(ErrorCode::None));
    }
    log.change(|state| state.committed = 3);
    let after = shard_with(&log, Duration::from_secs(60), Duration::ZERO);
    assert_eq!(fetched(&after).await, Err(ErrorCode::CoordinatorLoadInProgress));
    log.commit_all();
    let answer = loop {
        match fetched(&after).await {
            Err(ErrorCode::CoordinatorLoadInProgress) => tokio::task::yield_now().await,
            other => break other,
        }
    };
    assert_eq!(answer, Ok(4));
}

#[tokio::test]
async fn when_the_leadership_is_lost_everybody_is_told() {
    let log = TestLog::default();
    log.change(|state| state.held = true);
    let shard = shard(&log);
    let waiting = tokio::spawn({
        let shard = shard.clone();
        async move { committed(&shard, 7).await }
    });
    log.reaches(1).await;
    log.change(|state| state.lost = true);
    assert_eq!(waiting.await.unwrap(), Err(ErrorCode::NotCoordinator));
    assert_eq!(fetched(&shard).await, Err(ErrorCode::NotCoordinator));
    assert!(shard.is_closed());
}

#[tokio::test]
async fn a_request_that_waits_does_not_keep_its_shard_alive() {
    let log = TestLog::default();
    log.change(|state| state.held = true);
    let shard = shard(&log);
    let waiting = tokio::spawn({
        let shard = shard.clone();
        async move { shard.ask(commit(7)).await.map(|_| ()) }
    });
    log.reaches(1).await;
    drop(shard);
    assert_eq!(waiting.await.unwrap(), Err(ErrorCode::NotCoordinator));
}

#[tokio::test]
async fn the_task_ends_when_nobody_can_ask_any_more() {
    let log = TestLog::default();
    let machine = GroupCoordinator::new(Arc::new(GroupSettings::default()));
    let options = ShardOptions {
        tasks: tokio::runtime::Handle::current(),
        clock: Clock::system(),
        commit_timeout: Duration::from_secs(5),
        load_patience: Duration::from_secs(5),
        loads: Arc::new(Semaphore::new(1)),
    };
    let (handle, task) = start("test-0".into(), machine, log, options);
    drop(handle);
    task.await.unwrap();
}
