//! Heartbeats and silence.

use super::*;
use crate::metadata::command::Recovery;
use crate::metadata::decide::tests::run;
use crate::metadata::decide::tests::world::World;

mod life;

const TIMEOUT: Duration = Duration::from_secs(9);

fn at(seconds: u64) -> Now {
    Now { mono: Duration::from_secs(seconds), ..Now::default() }
}

fn sessions() -> BrokerSessions {
    BrokerSessions::new(TIMEOUT)
}

/// A heartbeat of a broker that has applied everything and wants nothing.
fn beat(world: &World, id: BrokerId) -> Heartbeat {
    Heartbeat {
        id,
        epoch: world.epoch(id),
        applied_index: world.image.version,
        want_fence: false,
        want_shutdown: false,
        offline_directories: Vec::new(),
    }
}

fn told(fenced: bool, caught_up: bool, should_shutdown: bool) -> HeartbeatReply {
    HeartbeatReply { fenced, caught_up, should_shutdown, renewed: true }
}

#[test]
fn a_fenced_broker_is_unfenced_when_it_knows_its_own_registration() {
    let mut world = World::new(1);
    world.register(1, Recovery::Clean);
    let mut sessions = sessions();
    let mut early = beat(&world, 1);
    early.applied_index -= 1;
    assert_eq!(sessions.heartbeat(&world.image, &early, at(0)), Ok((told(true, false, false), None)));
    let unfence = Command::UnfenceBroker { id: 1, epoch: world.epoch(1) };
    let reply = sessions.heartbeat(&world.image, &beat(&world, 1), at(1));
    assert_eq!(reply, Ok((told(true, true, false), Some(unfence.clone()))));
    run(&mut world.image, &unfence);
    let reply = sessions.heartbeat(&world.image, &beat(&world, 1), at(2));
    assert_eq!(reply, Ok((told(false, true, false), None)));
}

#[test]
fn who_wants_to_be_fenced_is_and_stays_so() {
    let mut world = World::new(1);
    let mut sessions = sessions();
    let wish = Heartbeat { want_fence: true, ..beat(&world, 1) };
    let fence = Command::FenceBroker { id: 1, epoch: world.epoch(1) };
    let reply = sessions.heartbeat(&world.image, &wish, at(0));
    assert_eq!(reply, Ok((told(false, true, false), Some(fence.clone()))));
    run(&mut world.image, &fence);
    let wish = Heartbeat { want_fence: true, ..beat(&world, 1) };
    let reply = sessions.heartbeat(&world.image, &wish, at(1));
    assert_eq!(reply, Ok((told(true, true, false), None)));
}

#[test]
fn a_broker_without_a_directory_left_is_fenced() {
    let mut world = World::new(1);
    let mut sessions = sessions();
    let offline_directories = world.image.brokers[&1].directories.clone();
    let hurt = Heartbeat { offline_directories, ..beat(&world, 1) };
    let (_, command) = sessions.heartbeat(&world.image, &hurt, at(0)).unwrap();
    assert_eq!(command, Some(Command::FenceBroker { id: 1, epoch: world.epoch(1) }));
    world.fence(1);
    assert_eq!(sessions.heartbeat(&world.image, &hurt, at(1)).unwrap().1, None);
}

#[test]
fn strangers_and_the_dead_are_refused() {
    let mut world = World::new(1);
    let mut sessions = sessions();
    let old = beat(&world, 1);
    world.register(1, Recovery::Clean);
    let refused = sessions.heartbeat(&world.image, &old, at(0)).unwrap_err();
    assert_eq!(refused, HeartbeatRefused::StaleEpoch { epoch: old.epoch, registered: world.epoch(1) });
    let stranger = Heartbeat { id: 9, ..old };
    let refused = sessions.heartbeat(&world.image, &stranger, at(0)).unwrap_err();
    assert_eq!(refused, HeartbeatRefused::NotRegistered { id: 9 });
    assert_eq!(sessions.next_deadline(), None);
}

#[test]
fn silence_fences_and_is_said_again_until_it_did() {
    let mut world = World::new(2);
    let mut sessions = sessions();
    for id in [1, 2] {
        sessions.heartbeat(&world.image, &beat(&world, id), at(0)).unwrap();
    }
    sessions.heartbeat(&world.image, &beat(&world, 2), at(5)).unwrap();
    assert_eq!(sessions.next_deadline(), Some(TIMEOUT));
    assert!(sessions.expired(&world.image, at(8)).is_empty());
    assert!(sessions.is_live(1, world.epoch(1)));
    let fence = Command::FenceBroker { id: 1, epoch: world.epoch(1) };
    assert_eq!(sessions.expired(&world.image, at(9)), std::slice::from_ref(&fence));
    assert!(!sessions.is_live(1, world.epoch(1)) && sessions.is_live(2, world.epoch(2)));
    assert!(sessions.expired(&world.image, at(9)).is_empty());
    assert_eq!(sessions.expired(&world.image, at(10)), [fence]);
    world.fence(1);
    assert!(sessions.expired(&world.image, at(11)).is_empty());
    assert_eq!(sessions.next_deadline(), Some(Duration::from_secs(14)), "nothing is left of broker 1");
}

#[test]
fn a_word_in_time_keeps_the_session() {
    let world = World::new(1);
    let mut sessions = sessions();
    for second in (0..90).step_by(8) {
        assert!(sessions.expired(&world.image, at(second)).is_empty());
        sessions.heartbeat(&world.image, &beat(&world, 1), at(second)).unwrap();
    }
}

#[test]
fn a_word_too_late_does_not_keep_the_broker_from_being_fenced() {
    let mut world = World::new(2);
    let mut sessions = sessions();
    sessions.heartbeat(&world.image, &beat(&world, 1), at(0)).unwrap();
    assert_eq!(sessions.expired(&world.image, at(9)).len(), 1);
    let (late, _) = sessions.heartbeat(&world.image, &beat(&world, 1), at(9)).unwrap();
    assert!(!late.renewed && !sessions.is_live(1, world.epoch(1)));
    assert_eq!(sessions.expired(&world.image, at(10)).len(), 1, "it is fenced all the same");
    world.fence(1);
    let (fenced, _) = sessions.heartbeat(&world.image, &beat(&world, 1), at(10)).unwrap();
    assert!(fenced.renewed && fenced.fenced);
}

#[test]
fn who_was_fenced_serves_again_when_it_knows_that_it_was() {
    let mut world = World::new(2);
    let mut sessions = sessions();
    let unaware = beat(&world, 1);
    sessions.heartbeat(&world.image, &unaware, at(0)).unwrap();
    world.fence(1);
    let (told, next) = sessions.heartbeat(&world.image, &unaware, at(1)).unwrap();
    assert!(told.fenced && !told.caught_up && next.is_none());
    let aware = Heartbeat { applied_index: world.image.version, ..unaware };
    let (told, next) = sessions.heartbeat(&world.image, &aware, at(2)).unwrap();
    assert!(told.caught_up && matches!(next, Some(Command::UnfenceBroker { id: 1, .. })));
}

#[test]
fn after_a_failover_everybody_has_a_fresh_session() {
    let mut world = World::new(3);
    world.fence(3);
    let mut sessions = sessions();
    sessions.reset(&world.image, at(100));
    assert!(sessions.is_live(1, world.epoch(1)) && !sessions.is_live(3, world.epoch(3)));
    assert!(sessions.expired(&world.image, at(108)).is_empty());
    assert_eq!(sessions.expired(&world.image, at(109)).len(), 2);
}

#[test]
fn who_was_silent_during_an_election_has_less_of_a_session_left() {
    let world = World::new(2);
    let first = |silence| {
        let mut sessions = BrokerSessions::after_silence(TIMEOUT, Duration::from_secs(silence));
        sessions.reset(&world.image, at(100));
        let first = sessions.next_deadline().unwrap();
        (1..=2).for_each(|id| drop(sessions.heartbeat(&world.image, &beat(&world, id), at(101))));
        (first, sessions.next_deadline().unwrap())
    };
    assert_eq!(first(2), (at(107).mono, at(110).mono));
    assert_eq!(first(8), (at(100).mono + TIMEOUT / 2, at(110).mono), "half of it is left in any case");
}

#[test]
fn the_session_of_an_incarnation_is_not_that_of_the_next() {
    let mut world = World::new(1);
    let mut sessions = sessions();
    sessions.heartbeat(&world.image, &beat(&world, 1), at(0)).unwrap();
    let before = world.epoch(1);
    world.register(1, Recovery::Clean);
    sessions.heartbeat(&world.image, &beat(&world, 1), at(1)).unwrap();
    assert!(!sessions.is_live(1, before) && sessions.is_live(1, world.epoch(1)));
}

#[test]
fn a_broker_stops_when_it_leads_nothing_and_all_others_know() {
    let mut world = World::with_topic(3, &[1, 2, 3]);
    let mut sessions = sessions();
    sessions.reset(&world.image, at(0));
    let stop = |world: &World| Heartbeat { want_shutdown: true, ..beat(world, 1) };
    for id in [2, 3] {
        sessions.heartbeat(&world.image, &beat(&world, id), at(0)).unwrap();
    }
    let before = beat(&world, 3);
    let begin = Command::BeginControlledShutdown { id: 1, epoch: world.epoch(1) };
    let reply = sessions.heartbeat(&world.image, &stop(&world), at(1));
    assert_eq!(reply, Ok((told(false, true, false), Some(begin.clone()))));
    run(&mut world.image, &begin);
    let reply = sessions.heartbeat(&world.image, &stop(&world), at(2));
    assert_eq!(reply, Ok((told(false, true, false), None)), "nobody knows yet");
    sessions.heartbeat(&world.image, &beat(&world, 2), at(2)).unwrap();
    sessions.heartbeat(&world.image, &before, at(2)).unwrap();
    assert!(!sessions.heartbeat(&world.image, &stop(&world), at(3)).unwrap().0.should_shutdown);
    sessions.heartbeat(&world.image, &beat(&world, 3), at(3)).unwrap();
    let fence = Command::FenceBroker { id: 1, epoch: world.epoch(1) };
    let reply = sessions.heartbeat(&world.image, &stop(&world), at(4));
    assert_eq!(reply, Ok((told(false, true, true), Some(fence))));
}

#[test]
fn the_silent_hold_up_nobody_who_stops() {
    let mut world = World::with_topic(3, &[1, 2]);
    let mut sessions = sessions();
    sessions.reset(&world.image, at(0));
    world.shut_down(1);
    let stop = Heartbeat { want_shutdown: true, ..beat(&world, 1) };
    for id in [1, 2] {
        sessions.heartbeat(&world.image, &beat(&world, id), at(5)).unwrap();
    }
    assert!(!sessions.heartbeat(&world.image, &stop, at(5)).unwrap().0.should_shutdown);
    assert_eq!(sessions.expired(&world.image, at(9)).len(), 1);
    assert!(sessions.heartbeat(&world.image, &stop, at(9)).unwrap().0.should_shutdown);
}

#[test]
fn who_stops_with_all_others_waits_for_none_of_them() {
    let mut world = World::with_topic(3, &[1, 2, 3]);
    let mut sessions = sessions();
    sessions.reset(&world.image, at(0));
    (1..=3).for_each(|id| world.shut_down(id));
    let stop = Heartbeat { want_shutdown: true, ..beat(&world, 1) };
    assert!(sessions.heartbeat(&world.image, &stop, at(1)).unwrap().0.should_shutdown);
}

#[test]
fn a_fenced_broker_may_stop_at_once() {
    let mut world = World::new(2);
    world.fence(1);
    let stop = Heartbeat { want_shutdown: true, ..beat(&world, 1) };
    let reply = sessions().heartbeat(&world.image, &stop, at(0));
    assert_eq!(reply, Ok((told(true, true, true), None)));
}
