//! Counts of replicas follow what was noted.

use super::*;

fn topic(number: u128) -> TopicId {
    TopicId(Uuid::from_u128(number))
}

#[test]
fn a_broker_is_asked_for_its_topics_alone_and_in_their_order() {
    let mut hosting = Hosting::default();
    for number in [3, 1, u128::MAX] {
        hosting.add(topic(number), [1, 2, 1].into_iter());
    }
    hosting.add(topic(2), [2].into_iter());
    assert_eq!(hosting.topics_of(1).collect::<Vec<_>>(), [topic(1), topic(3), topic(u128::MAX)]);
    assert_eq!((hosting.replicas_of(1), hosting.replicas_of(2), hosting.replicas_of(3)), (6, 4, 0));
}

#[test]
fn what_is_forgotten_leaves_no_trace() {
    let mut hosting = Hosting::default();
    hosting.add(topic(1), [1, 2, 1].into_iter());
    hosting.remove(topic(1), [1].into_iter());
    assert_eq!(hosting.replicas_of(1), 1);
    hosting.remove(topic(1), [2, 1].into_iter());
    assert_eq!(hosting, Hosting::default());
}
