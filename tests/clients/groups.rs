//! Consumer groups as librdkafka drives them: commit and resume, two members sharing, commits from outside.

use std::collections::BTreeSet;
use std::sync::Arc;

use rdkafka::ClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance, StreamConsumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use tidemark_tests::librdkafka::{PATIENCE, numbers, receive};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::node::Node;

/// Tells which partitions the member has; the eager protocol hands out all of them anew each time.
struct Assigned(watch::Sender<BTreeSet<i32>>);

impl ClientContext for Assigned {}

impl ConsumerContext for Assigned {
    fn post_rebalance(&self, _consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        let partitions = match rebalance {
            Rebalance::Assign(list) => list.elements().iter().map(|element| element.partition()).collect(),
            Rebalance::Revoke(_) | Rebalance::Error(_) => BTreeSet::new(),
        };
        self.0.send_replace(partitions);
    }
}

/// A member that reads in the background, as a program would; what it reads goes to one channel for all.
struct Member {
    consumer: Arc<StreamConsumer<Assigned>>,
    assigned: watch::Receiver<BTreeSet<i32>>,
    reading: JoinHandle<()>,
}

impl Member {
    fn join(node: &Node, group: &str, topic: &str, seen: mpsc::UnboundedSender<i32>) -> Member {
        let (sender, assigned) = watch::channel(BTreeSet::new());
        let consumer: StreamConsumer<Assigned> =
            node.group_config(group).create_with_context(Assigned(sender)).expect("good settings");
        consumer.subscribe(&[topic]).expect("a subscription");
        let consumer = Arc::new(consumer);
        let reader = Arc::clone(&consumer);
        let reading = tokio::spawn(async move {
            loop {
                let record = reader.recv().await.expect("a record").detach();
                let [number] = numbers(&[record])[..] else { unreachable!("one record, one number") };
                seen.send(number).expect("the test listens");
            }
        });
        Member { consumer, assigned, reading }
    }

    async fn has(&mut self, wanted: impl Fn(&BTreeSet<i32>) -> bool) -> BTreeSet<i32> {
        let assigned = tokio::time::timeout(PATIENCE, self.assigned.wait_for(wanted)).await;
        assigned.expect("the assignment comes in time").expect("the member lives").clone()
    }

    async fn leave(self) {
        self.reading.abort();
        // Ended by the abort, so the consumer's last owner is this member; dropping it leaves the group.
        let _ = self.reading.await;
        drop(self.consumer);
    }
}

async fn await_numbers(seen: &mut mpsc::UnboundedReceiver<i32>, count: usize) -> BTreeSet<i32> {
    let mut numbers = BTreeSet::new();
    for i in 0..count {
        let next = tokio::time::timeout(PATIENCE, seen.recv()).await;
        let number = next.unwrap_or_else(|_| panic!("{i} of {count} records came")).expect("members live");
        assert!(numbers.insert(number), "{number} came twice");
    }
    numbers
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_resumes_where_it_committed() {
    let node = Node::start().await;
    node.create_topic("resume", 1, &[]).await;
    node.produce_numbers("resume", 0, 100, 1).await;
    let consumer: StreamConsumer = node.group_config("resume").create().expect("good settings");
    consumer.subscribe(&["resume"]).expect("a subscription");
    receive(&consumer, 40).await.expect("records");
    let mut offsets = TopicPartitionList::new();
    offsets.add_partition_offset("resume", 0, Offset::Offset(40)).expect("a partition");
    consumer.commit(&offsets, CommitMode::Sync).expect("a commit");
    drop(consumer);

    let consumer: StreamConsumer = node.group_config("resume").create().expect("good settings");
    consumer.subscribe(&["resume"]).expect("a subscription");
    let rest = receive(&consumer, 60).await.expect("records");
    assert_eq!(rest[0].offset(), 40);
    assert_eq!(numbers(&rest), (40..100).collect::<Vec<_>>());
    // A list that came from librdkafka holds on to its partitions; while one is alive, dropping the consumer waits for it.
    let committed = consumer.committed(PATIENCE).expect("committed offsets").elements()[0].offset();
    assert_eq!(committed, Offset::Offset(40));
    drop(consumer);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_members_share_the_partitions_and_no_record_is_lost() {
    let node = Node::start().await;
    node.create_topic("share", 4, &[]).await;
    let all = BTreeSet::from([0, 1, 2, 3]);
    let (sender, mut seen) = mpsc::unbounded_channel();
    let mut one = Member::join(&node, "share", "share", sender.clone());
    one.has(|assigned| *assigned == all).await;

    let mut two = Member::join(&node, "share", "share", sender);
    let second = two.has(|assigned| assigned.len() == 2).await;
    let first = one.has(|assigned| assigned.len() == 2).await;
    assert_eq!(&first | &second, all, "the two share all partitions");
    node.produce_numbers("share", 0, 200, 4).await;
    assert_eq!(await_numbers(&mut seen, 200).await, (0..200).collect());
    for member in [&one, &two] {
        member.consumer.commit_consumer_state(CommitMode::Sync).expect("a commit");
    }

    two.leave().await;
    one.has(|assigned| *assigned == all).await;
    node.produce_numbers("share", 200, 240, 4).await;
    assert_eq!(await_numbers(&mut seen, 40).await, (200..240).collect());
    one.leave().await;
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_from_outside_of_a_group_with_members_is_refused() {
    let node = Node::start().await;
    node.create_topic("outside", 1, &[]).await;
    let (sender, _seen) = mpsc::unbounded_channel();
    let mut member = Member::join(&node, "outside", "outside", sender);
    member.has(|assigned| assigned.len() == 1).await;

    let outsider: BaseConsumer = node.group_config("outside").create().expect("good settings");
    let mut offsets = TopicPartitionList::new();
    offsets.add_partition_offset("outside", 0, Offset::Offset(5)).expect("a partition");
    let refused = outsider.commit(&offsets, CommitMode::Sync).expect_err("it is no member");
    assert_eq!(refused, KafkaError::ConsumerCommit(RDKafkaErrorCode::UnknownMemberId));
    member.leave().await;
    node.stop().await;
}
