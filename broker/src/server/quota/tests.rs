//! Limits as clients feel them, on a clock that moves by hand.

use std::collections::BTreeMap;

use tidemark_core::metadata::BrokerConfigs;
use tidemark_core::metadata::client_quota::QuotaEntity;
use tidemark_core::metadata::record::MetadataRecord;
use tidemark_protocol::types::Now;

use super::*;

const ADDRESS: [u8; 4] = [10, 0, 0, 1];
/// With two samples the allowance of a window is what passes in one second.
const WINDOW: [(&str, &str); 2] = [("quota.window.num", "2"), ("controller.quota.window.num", "2")];

struct Limited {
    quotas: Arc<Quotas>,
    clock: Clock,
    image: ClusterImage,
}

impl Limited {
    fn new() -> Self {
        let clock = Clock::manual(Now { mono: Duration::from_secs(100), wall_ms: 0 });
        let raw = WINDOW.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        let settings = BrokerConfigs::parse(&raw).unwrap().settings(&ClusterImage::default(), 1);
        let quotas = Quotas::new(&settings, clock.clone(), &Registry::new()).unwrap();
        Limited { quotas, clock, image: ClusterImage::default() }
    }

    /// Sets the only quota of an entity; none removes it.
    fn set(mut self, entity: &[(EntityType, Option<&str>)], quota: Option<(QuotaKey, f64)>) -> Self {
        let entity = entity.iter().map(|(kind, name)| (*kind, name.map(ToOwned::to_owned))).collect();
        let quotas: BTreeMap<String, f64> =
            quota.into_iter().map(|(key, value)| (key.name().to_owned(), value)).collect();
        self.image.apply(&MetadataRecord::ClientQuota { entity: QuotaEntity(entity), quotas });
        self.image.set_version(self.image.version + 1);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(self.quotas.apply(&self.image));
        self
    }

    fn charge(&self, payer: &mut Payer, client_id: &str) -> Option<Arc<Charge>> {
        self.quotas.charge(payer, Some(client_id))
    }

    /// Produces on a connection of its own; the rest that it was told.
    fn produce(&self, client_id: &str, bytes: usize) -> i32 {
        let charge = self.charge(&mut Payer::default(), client_id).unwrap();
        charge.produced(bytes);
        charge.settle()
    }
}

fn produce_rate(quota: f64) -> Option<(QuotaKey, f64)> {
    Some((QuotaKey::ProducerByteRate, quota))
}

#[test]
fn without_quotas_nothing_is_charged() {
    let limited = Limited::new();
    assert!(limited.charge(&mut Payer::default(), "a").is_none());
    let limited = limited.set(&[(EntityType::ClientId, Some("a"))], produce_rate(100.0));
    assert!(limited.charge(&mut Payer::default(), "a").is_some());
    assert!(limited.charge(&mut Payer::default(), "b").is_none(), "nothing limits this one");
    assert!(limited.quotas.charge(&mut Payer::default(), None).is_none());
    let limited = limited.set(&[(EntityType::ClientId, Some("a"))], None);
    assert!(limited.charge(&mut Payer::default(), "a").is_none());
}

#[test]
fn the_connection_is_asked_for_the_rest_that_the_answer_tells() {
    let limited = Limited::new().set(&[(EntityType::ClientId, None)], produce_rate(100.0));
    let mut payer = Payer::default();
    let charge = limited.charge(&mut payer, "a").unwrap();
    charge.produced(100);
    assert_eq!((charge.settle(), payer.throttle.take()), (0, None));
    charge.produced(50);
    assert_eq!(charge.settle(), 500);
    assert_eq!(payer.throttle.take(), Some(Duration::from_millis(500)));
    assert_eq!(payer.throttle.take(), None, "it is begun once");
}

#[test]
fn clients_of_a_user_share_its_quota_and_defaults_are_each_ones_own() {
    let shared = Limited::new().set(&[(EntityType::User, Some("ANONYMOUS"))], produce_rate(100.0));
    assert_eq!(shared.produce("a", 100), 0);
    assert!(shared.produce("b", 100) > 0);
    let own = Limited::new().set(&[(EntityType::ClientId, None)], produce_rate(100.0));
    assert_eq!(own.produce("a", 100), 0);
    assert_eq!(own.produce("b", 100), 0);
    assert!(own.produce("a", 100) > 0, "on another connection too");
    let of_another = Limited::new().set(&[(EntityType::User, Some("alice"))], produce_rate(1.0));
    assert!(of_another.charge(&mut Payer::default(), "a").is_none());
}

#[test]
fn a_connection_learns_of_a_new_limit_and_keeps_its_usage() {
    let limited = Limited::new().set(&[(EntityType::ClientId, Some("a"))], produce_rate(1000.0));
    let mut payer = Payer::default();
    let charge = limited.charge(&mut payer, "a").unwrap();
    charge.produced(900);
    assert_eq!(charge.settle(), 0);
    let limited = limited.set(&[(EntityType::ClientId, Some("a"))], produce_rate(100.0));
    let charge = limited.charge(&mut payer, "a").unwrap();
    charge.produced(1);
    assert!(charge.settle() > 0);
    limited.clock.advance(Duration::from_secs(2));
    let charge = limited.charge(&mut payer, "a").unwrap();
    charge.produced(1);
    assert_eq!(charge.settle(), 0, "the window has passed");
}

#[test]
fn an_older_image_does_not_bring_old_limits_back() {
    let old = ClusterImage::default();
    let limited = Limited::new().set(&[(EntityType::ClientId, None)], produce_rate(100.0));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(limited.quotas.apply(&old));
    assert!(limited.charge(&mut Payer::default(), "a").is_some());
}

#[test]
fn what_a_fetch_withholds_does_not_count() {
    let quota = Some((QuotaKey::ConsumerByteRate, 100.0));
    let limited = Limited::new().set(&[(EntityType::ClientId, None)], quota);
    let charge = || limited.charge(&mut Payer::default(), "a").unwrap();
    assert_eq!(charge().fetch_bytes_max(), 100);
    assert!(charge().fetched(80));
    let over = charge();
    assert!(!over.fetched(40));
    assert_eq!(over.settle(), 200);
    assert!(charge().fetched(20), "the 40 were not counted");
    assert!(charge().fetched(0), "an empty answer may always leave");
}

#[test]
fn a_batch_larger_than_the_window_leaves_after_a_quiet_one() {
    let quota = Some((QuotaKey::ConsumerByteRate, 100.0));
    let limited = Limited::new().set(&[(EntityType::ClientId, None)], quota);
    let charge = || limited.charge(&mut Payer::default(), "a").unwrap();
    let large = charge();
    assert!(large.fetched(1000));
    assert_eq!(large.settle(), 9000, "and rests for it");
    assert!(!charge().fetched(1000));
}

#[test]
fn request_time_is_the_time_of_its_turns() {
    let quota = Some((QuotaKey::RequestPercentage, 10.0));
    let limited = Limited::new().set(&[(EntityType::ClientId, None)], quota);
    let busy = |seconds| {
        let charge = limited.charge(&mut Payer::default(), "a").unwrap();
        let clock = limited.clock.clone();
        let work = {
            let charge = Arc::clone(&charge);
            async move {
                clock.advance(Duration::from_millis(seconds));
                charge.settle()
            }
        };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(timed(Some(charge), work))
    };
    assert_eq!(busy(100), 0, "a tenth of a thread for a second");
    let rest = busy(50);
    assert!((1..=1000).contains(&rest), "{rest}");
    limited.clock.advance(Duration::from_secs(3));
    assert_eq!(busy(30_000), 1000, "never longer than a sample");
}

#[test]
fn waiting_is_no_request_time() {
    let quota = Some((QuotaKey::RequestPercentage, 1.0));
    let limited = Limited::new().set(&[(EntityType::ClientId, None)], quota);
    let charge = limited.charge(&mut Payer::default(), "a").unwrap();
    let clock = limited.clock.clone();
    let mut is_waiting = true;
    let work = {
        let charge = Arc::clone(&charge);
        std::future::poll_fn(move |_| {
            if std::mem::take(&mut is_waiting) {
                return std::task::Poll::Pending;
            }
            std::task::Poll::Ready(charge.settle())
        })
    };
    let mut work = std::pin::pin!(timed(Some(charge), work));
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(work.as_mut().poll(&mut cx).is_pending());
    clock.advance(Duration::from_secs(1));
    assert_eq!(work.as_mut().poll(&mut cx), std::task::Poll::Ready(0));
}

#[test]
fn strict_mutations_are_refused_while_tokens_are_owed_and_others_rest() {
    let quota = Some((QuotaKey::ControllerMutationRate, 1.0));
    let limited = Limited::new().set(&[(EntityType::ClientId, None)], quota);
    let charge = || limited.charge(&mut Payer::default(), "a").unwrap();
    let first = charge();
    assert!(first.mutated(5, true), "two tokens are there, and it may owe");
    assert_eq!(first.settle(), 0);
    let refused = charge();
    assert!(!refused.mutated(1, true));
    assert_eq!(refused.settle(), 3000);
    let older = charge();
    assert!(older.mutated(1, false));
    assert_eq!(older.settle(), 4000);
    limited.clock.advance(Duration::from_secs(4));
    assert!(charge().mutated(1, true));
}

#[test]
fn an_address_over_its_rate_is_held_and_others_are_not() {
    let quota = Some((QuotaKey::ConnectionCreationRate, 2.0));
    let limited = Limited::new().set(&[(EntityType::Ip, Some("10.0.0.1"))], quota);
    let connect = |address: IpAddr| limited.quotas.connected(address).map_err(|held| held.rest);
    let address = IpAddr::from(ADDRESS);
    assert_eq!(connect(address), Ok(()));
    assert_eq!(connect(std::net::Ipv4Addr::from(ADDRESS).to_ipv6_mapped().into()), Ok(()));
    assert_eq!(connect(address), Err(Duration::from_millis(500)));
    assert_eq!(connect(address), Err(Duration::from_millis(500)), "what was not served did not count");
    assert_eq!(connect([10, 0, 0, 2].into()), Ok(()));
    limited.clock.advance(Duration::from_secs(2));
    assert_eq!(connect(address), Ok(()));
}

#[test]
fn the_default_of_addresses_is_each_ones_own() {
    let quota = |rate| Some((QuotaKey::ConnectionCreationRate, rate));
    let limited = Limited::new()
        .set(&[(EntityType::Ip, None)], quota(1.0))
        .set(&[(EntityType::Ip, Some("10.0.0.1"))], quota(3.0));
    let count =
        |address: [u8; 4]| (0..10).filter(|_| limited.quotas.connected(address.into()).is_ok()).count();
    assert_eq!([count(ADDRESS), count([10, 0, 0, 2]), count([10, 0, 0, 3])], [3, 1, 1]);
}

#[test]
fn a_host_s_quota_is_that_of_its_address() {
    let quota = Some((QuotaKey::ConnectionCreationRate, 1.0));
    let limited = Limited::new().set(&[(EntityType::Ip, Some("localhost"))], quota);
    let loopback: [IpAddr; 2] = [[127, 0, 0, 1].into(), std::net::Ipv6Addr::LOCALHOST.into()];
    let served = loopback.map(|address| (0..5).filter(|_| limited.quotas.connected(address).is_ok()).count());
    assert!(served.contains(&1), "whichever address the system gives first: {served:?}");
}
