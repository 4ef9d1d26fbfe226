//! What is listed waits, what is not passes, and bytes pass at the rate.

use super::*;
use crate::metadata::decide::tests::world::World;
use crate::metadata::record::MetadataRecord;

const KEY: &str = "leader.replication.throttled.replicas";

/// Two partitions of topic `t` on a world where its replicas are throttled as listed.
fn throttle(
    listed: &str,
    me: BrokerId,
    rate: i64,
) -> (ReplicationThrottle, impl Fn(i32) -> TopicIdPartition) {
    let mut world = World::with_topic(3, &[1, 2, 3]);
    let changes = BTreeMap::from([(KEY.to_owned(), Some(listed.to_owned()))]);
    world.image.apply(&MetadataRecord::Config { resource: ConfigResource::Topic("t".to_owned()), changes });
    let topic_id = world.image.topic("t").unwrap().id;
    let mut throttle = ReplicationThrottle::default();
    throttle.configure(&world.image, me, ThrottledSide::Leader, rate);
    (throttle, move |partition| TopicIdPartition { topic_id, partition })
}

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

#[test]
fn only_what_is_listed_for_this_broker_waits() {
    let (mut first, at) = throttle("0:1,1:2", 1, 1000);
    first.spend(at(0), 3000, seconds(0.0));
    assert_eq!(first.rest(at(0), seconds(0.0)), seconds(2.0));
    assert_eq!(first.rest(at(1), seconds(0.0)), Duration::ZERO);
    let (second, _) = throttle("0:1,1:2", 3, 1000);
    assert!(second.is_idle());
    let (all, at) = throttle("*", 3, 1000);
    assert!(!all.is_idle() && all.covers(at(0)) && all.covers(at(7)));
    let (unlimited, at) = throttle("*", 3, i64::MAX);
    assert!(unlimited.is_idle() && !unlimited.covers(at(0)));
}

#[test]
fn bytes_pass_at_the_rate() {
    let (mut throttle, at) = throttle("*", 1, 1_000_000);
    let (mut now, mut sent) = (Duration::ZERO, 0);
    while now < seconds(10.0) {
        let rest = throttle.rest(at(0), now);
        if rest.is_zero() {
            throttle.spend(at(0), 300_000, now);
            sent += 300_000;
        }
        now += rest.max(Duration::from_millis(1));
    }
    assert!((10_000_000..=11_500_000).contains(&sent), "{sent}");
}

#[test]
fn a_rate_of_zero_lets_nothing_through() {
    let (throttle, at) = throttle("*", 1, 0);
    assert!(!throttle.is_idle());
    assert!(!throttle.rest(at(0), seconds(100.0)).is_zero());
}
