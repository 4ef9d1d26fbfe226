//! Random clients: whatever they do, the books balance.
//!
//! After every step: each request is answered at most once and waits in at most one place; every member is either
//! waiting here or watched by a session timer; generations never go back; and a node that loads the log knows what this
//! one has settled.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::super::state::State;
use super::super::turn::Timer;
use super::*;

#[derive(Clone, Debug)]
enum Step {
    Join { who: usize, fixed: bool, ask_id: bool, topic: bool },
    Sync { who: usize, stale: bool },
    Heartbeat { who: usize },
    Leave { who: usize },
    Commit { who: usize, offset: i64 },
    SimpleCommit { offset: i64 },
    Delete,
    Wait { ms: u64 },
    Refuse,
}

fn step() -> impl Strategy<Value = Step> {
    let who = 0..4usize;
    prop_oneof![
        4 => (who.clone(), any::<bool>(), any::<bool>(), any::<bool>())
            .prop_map(|(who, fixed, ask_id, topic)| Step::Join { who, fixed, ask_id, topic }),
        4 => (who.clone(), prop::bool::weighted(0.1)).prop_map(|(who, stale)| Step::Sync { who, stale }),
        2 => who.clone().prop_map(|who| Step::Heartbeat { who }),
        1 => who.clone().prop_map(|who| Step::Leave { who }),
        2 => (who, 0..100i64).prop_map(|(who, offset)| Step::Commit { who, offset }),
        1 => (0..100i64).prop_map(|offset| Step::SimpleCommit { offset }),
        1 => Just(Step::Delete),
        3 => prop_oneof![Just(0), Just(1), Just(4_000), Just(11_000), Just(61_000)]
            .prop_map(|ms| Step::Wait { ms }),
        1 => Just(Step::Refuse),
    ]
}

/// Four clients; each remembers the last id and generation it was told.
struct World {
    shard: Shard,
    ids: [String; 4],
    generations: [i32; 4],
    open: BTreeMap<Token, usize>,
    refuse_next: bool,
    refused_any: bool,
    highest: i32,
}

impl World {
    fn new() -> Self {
        World {
            shard: Shard::with(GroupSettings {
                initial_rebalance_delay_ms: 3_000,
                max_size: 3,
                ..settings()
            }),
            ids: Default::default(),
            generations: [0; 4],
            open: BTreeMap::new(),
            refuse_next: false,
            refused_any: false,
            highest: 0,
        }
    }

    fn run(&mut self, step: Step) {
        match step {
            Step::Join { who, fixed, ask_id, topic } => {
                let mut joiner =
                    if fixed { Joiner::fixed(&format!("i{who}")) } else { Joiner::known(&self.ids[who]) };
                joiner.request.member_id_required = ask_id;
                if topic {
                    joiner = joiner.subscribes(&["t", "u"]);
                }
                let uuid = u128::from(self.shard.last_token) + 1;
                self.send(who, GroupRequest::Join(joiner.request(uuid)));
            }
            Step::Sync { who, stale } => {
                let ids = self.ids.clone();
                let request = SyncRequest {
                    group_id: GROUP.into(),
                    member_id: self.ids[who].clone(),
                    group_instance_id: None,
                    generation_id: self.generations[who] - i32::from(stale),
                    protocol_type: None,
                    protocol_name: None,
                    assignments: ids.iter().map(|id| (id.clone(), text(&format!("for {id}")))).collect(),
                };
                self.send(who, GroupRequest::Sync(request));
            }
            Step::Heartbeat { who } => {
                let request = HeartbeatRequest {
                    group_id: GROUP.into(),
                    member_id: self.ids[who].clone(),
                    group_instance_id: None,
                    generation_id: self.generations[who],
                };
                self.send(who, GroupRequest::Heartbeat(request));
            }
            Step::Leave { who } => {
                let member = MemberIdentity { member_id: self.ids[who].clone(), group_instance_id: None };
                let request = LeaveRequest { group_id: GROUP.into(), members: vec![member] };
                self.send(who, GroupRequest::Leave(request));
            }
            Step::Commit { who, offset } => {
                let commit = Commit::by(&self.ids[who], self.generations[who], offset);
                self.send(who, GroupRequest::OffsetCommit(commit.request()));
            }
            Step::SimpleCommit { offset } => {
                self.send(0, GroupRequest::OffsetCommit(Commit::simple(offset).request()));
            }
            Step::Delete => {
                self.send(0, GroupRequest::Delete { group_id: GROUP.into() });
                // A group made anew counts from the start.
                self.highest = 0;
            }
            Step::Wait { ms } => self.shard.wait(ms),
            Step::Refuse => self.refuse_next = true,
        }
        self.hear();
        self.check();
    }

    fn send(&mut self, who: usize, request: GroupRequest) {
        let token = self.shard.token();
        self.open.insert(token, who);
        let outcome = self.shard.machine.handle(token, request, self.shard.now);
        if outcome.records.is_empty() || !std::mem::take(&mut self.refuse_next) {
            return self.shard.commit(outcome);
        }
        self.refused_any = true;
        for record in &outcome.records {
            self.shard.machine.replay(0, record, self.shard.now.wall_ms);
        }
        let error = ErrorCode::NotEnoughReplicas;
        for (token, reply) in self.shard.machine.on_append_failed(vec![outcome], error, self.shard.now) {
            assert!(self.shard.answers.insert(token, reply).is_none(), "token {token} is answered twice");
        }
    }

    /// Clients read their answers.
    fn hear(&mut self) {
        for (token, reply) in std::mem::take(&mut self.shard.answers) {
            let who = self.open.remove(&token).expect("an answer to an open request");
            if let GroupReply::Join(reply) = reply {
                if !reply.member_id.is_empty() {
                    self.ids[who] = reply.member_id;
                }
                if reply.error == ErrorCode::UnknownMemberId {
                    self.ids[who] = String::new();
                }
                if reply.error == ErrorCode::None {
                    self.generations[who] = reply.generation_id;
                }
            }
        }
    }

    fn check(&mut self) {
        let machine = &self.shard.machine;
        let mut waiting = BTreeSet::new();
        for group in machine.groups.values() {
            for member in group.members() {
                assert!(member.join.is_none() || member.sync.is_none(), "a member waits in two places");
                for token in [member.join, member.sync].into_iter().flatten() {
                    assert!(waiting.insert(token), "two members wait with one token");
                }
                let watched = machine.timers.get(&Timer::Session(group.id.clone(), member.id.clone()));
                assert!(watched.is_some() || member.may_be_silent(), "nobody watches {}", member.id);
            }
            assert_eq!(group.leader.is_some(), group.size() > 0);
            assert!(group.leader.iter().chain(&group.pending_sync).all(|id| group.member(id).is_some()));
            assert!(group.pending_members.iter().all(|id| group.member(id).is_none()));
            match group.state() {
                State::Empty => assert_eq!(group.size(), 0),
                State::PreparingRebalance => {
                    assert!(machine.timers.get(&Timer::Join(group.id.clone())).is_some());
                }
                State::CompletingRebalance | State::Stable => assert!(group.size() > 0),
            }
            assert!(group.generation >= self.highest, "the generation went back");
            self.highest = group.generation;
        }
        let open: BTreeSet<Token> = self.open.keys().copied().collect();
        assert_eq!(open, waiting, "an unanswered request waits in no member");
        assert!(machine.timers.next().is_none_or(|at| at >= self.shard.now.mono));
        self.check_reload();
    }

    /// What is settled is what another node would load. After a refused write of an empty group the log is behind, and
    /// rightly so: it tells of members whose sessions will run out.
    fn check_reload(&self) {
        if self.refused_any {
            return;
        }
        let live = &self.shard.machine;
        let mut loaded = GroupCoordinator::new(live.settings.clone());
        for record in &self.shard.log {
            loaded.replay(0, record, 0);
        }
        assert_eq!(loaded.offsets, live.offsets);
        for group in live.groups.values() {
            let from_log = loaded.groups.get(&group.id);
            assert!(from_log.is_none_or(|stored| stored.generation <= group.generation));
            let settled = matches!(group.state(), State::Stable | State::Empty) && group.persisted;
            if settled {
                let stored = from_log.expect("a settled group is in the log");
                let facts = |group: &super::super::group::Group| {
                    group.to_metadata(|member| member.assignment.clone())
                };
                assert_eq!(facts(stored), facts(group));
                assert_eq!(stored.state(), group.state());
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]
    #[test]
    fn the_books_balance(steps in prop::collection::vec(step(), 1..80)) {
        let mut world = World::new();
        for step in steps {
            world.run(step);
        }
        // In the end everybody who waits is answered: silence does not last.
        world.shard.wait(1_000_000);
        world.hear();
        prop_assert!(world.open.is_empty());
    }
}
