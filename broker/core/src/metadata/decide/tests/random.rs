//! Brokers come, go, are wiped and forgotten, leaders change ISRs, admins do what they can do; after every command the
//! image must be one that a cluster can live with.
//!
//! How: each seed draws commands for 3 to 6 brokers. Beside the image runs a model of what matters: which replicas hold
//! every committed record. A leader commits when enough are in sync, which leaves behind those that are not; a wiped
//! disk holds nothing. Whoever may lead without being asked uncleanly must be one of those that hold everything.
//!
//! `TIDEMARK_SEEDS=10000` runs so many seeds, `TIDEMARK_SEED=42` only that one.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

use tidemark_protocol::types::{BrokerId, PartitionIndex, TopicId};

use super::run;
use crate::metadata::command::{Command, Election};
use crate::metadata::image::{ClusterImage, PartitionImage};
use crate::metadata::partition_change::PartitionChange;
use crate::metadata::replication_rules::ReplicationRules;
use crate::metadata::reply::Reply;

mod workload;

use workload::{Chance, Workload};

/// Enough to take seconds in a debug build.
const SEEDS_DEFAULT: u64 = 300;
const STEPS: usize = 150;

type Key = (TopicId, PartitionIndex);

/// What happened how often: a workload in which something never happens proves nothing about it.
type Seen = BTreeMap<&'static str, u64>;

struct Check {
    image: ClusterImage,
    /// Replicas that hold every committed record.
    complete: BTreeMap<Key, BTreeSet<BrokerId>>,
    seen: Seen,
}

impl Check {
    fn step(&mut self, command: &Command) {
        let before = self.image.clone();
        let reply = run(&mut self.image, command);
        self.note(command, &reply);
        self.lose(command, &reply);
        let partitions: Vec<(Key, PartitionImage)> = partitions(&self.image).collect();
        for (key, partition) in &partitions {
            self.check_shape(partition);
            let old = before.topic_by_id(key.0).and_then(|topic| topic.partition(key.1));
            match old {
                Some(old) => {
                    check_epochs(old, partition, command);
                    self.check_data(*key, old, partition, command);
                }
                None => {
                    self.complete.insert(*key, partition.replicas.iter().copied().collect());
                }
            }
        }
        self.complete.retain(|key, _| partitions.iter().any(|(known, _)| known == key));
        self.check_brokers();
        let back = ClusterImage::decode_snapshot(&self.image.encode_snapshot()).unwrap();
        assert_eq!(back, self.image);
        assert_eq!(back.state_hash(), self.image.state_hash());
    }

    /// I6, and what makes a leader one.
    fn check_shape(&mut self, partition: &PartitionImage) {
        let PartitionImage { replicas, isr, elr, leader, .. } = partition;
        let min_isr_of = |topic_rules: ReplicationRules| topic_rules.min_isr(partition.replication_factor());
        assert!(isr.iter().chain(elr.iter()).all(|id| replicas.contains(id)), "{partition:?}");
        assert!(isr.iter().all(|id| self.image.is_usable(*id)), "unusable in sync: {partition:?}");
        assert!(isr.iter().all(|id| !elr.contains(id)), "in both: {partition:?}");
        assert_eq!(*leader == -1, isr.is_empty(), "{partition:?}");
        assert!(*leader == -1 || isr.contains(leader), "{partition:?}");
        assert!(partition.adding.iter().chain(partition.removing.iter()).all(|id| replicas.contains(id)));
        assert!(partition.adding.iter().all(|id| !partition.removing.contains(id)));
        assert_eq!(replicas.iter().collect::<BTreeSet<_>>().len(), replicas.len());
        assert!(*leader == -1 || partition.last_known_elr.is_empty(), "{partition:?}");
        if *leader == -1 {
            assert!(!elr.iter().any(|id| self.image.is_usable(*id)), "could be led: {partition:?}");
        }
        let defaults = ReplicationRules::of_cluster(&self.image);
        let topic = self.image.topics.values().find(|topic| topic.partitions.contains(partition)).unwrap();
        let rules = defaults.with_overrides_of(&self.image, &topic.name);
        assert!(isr.len() < min_isr_of(rules) || elr.is_empty(), "{partition:?}");
        let is_waiting = *leader == -1 && rules.allows_unclean;
        let due = PartitionChange::new(&self.image, partition, rules).build();
        assert!(is_waiting || due.is_none(), "{partition:?} should be {due:?}");
        for (what, is_so) in [
            ("leaderless", *leader == -1),
            ("two eligible", elr.len() > 1),
            ("moving", !partition.adding.is_empty()),
        ] {
            *self.seen.entry(what).or_default() += u64::from(is_so);
        }
    }

    /// Whoever may lead without being asked uncleanly holds every committed record.
    fn check_data(&mut self, key: Key, old: &PartitionImage, new: &PartitionImage, command: &Command) {
        let name = &self.image.topic_by_id(key.0).unwrap().name;
        let rules = ReplicationRules::of_cluster(&self.image).with_overrides_of(&self.image, name);
        let complete = self.complete.get_mut(&key).unwrap();
        if let Command::AlterPartition { .. } = command
            && old != new
        {
            // The leader took into its ISR who had caught up with it.
            complete.extend(new.isr.iter());
            complete.extend(alteration(command, key));
        }
        complete.retain(|id| new.replicas.contains(id));
        if new.leader >= 0 && new.leader_epoch > old.leader_epoch && !complete.contains(&new.leader) {
            let is_asked = matches!(command, Command::ElectLeaders { election: Election::Unclean, .. });
            assert!(is_asked || rules.allows_unclean, "{old:?} became {new:?}");
            assert_eq!((&*new.isr, new.elr.len()), (&[new.leader][..], 0));
            *complete = BTreeSet::from([new.leader]);
            *self.seen.entry("unclean election").or_default() += 1;
        }
        assert!(
            new.isr.iter().chain(new.elr.iter()).all(|id| complete.contains(id)),
            "{new:?}: {complete:?}"
        );
        if old.leader == -1 && old.elr.contains(&new.leader) {
            *self.seen.entry("elected from the ELR").or_default() += 1;
        }
        if !old.adding.is_empty() && new.adding.is_empty() && old.replicas != new.replicas {
            *self.seen.entry("reassignment over").or_default() += 1;
        }
    }

    fn check_brokers(&self) {
        for id in self.image.brokers.keys() {
            let held = partitions(&self.image).filter(|(_, partition)| partition.has_replica(*id));
            assert_eq!(held.count(), self.image.replicas_of_broker(*id));
            let leads = partitions(&self.image).any(|(_, partition)| partition.leader == *id);
            assert_eq!(leads, self.image.leads_any(*id));
        }
    }

    /// Disks that the command tells to be gone, or that nobody vouches for.
    fn lose(&mut self, command: &Command, reply: &Reply) {
        let lost = match (command, reply) {
            (Command::RegisterBroker { id, .. }, Reply::BrokerRegistered(Ok(_))) => {
                workload::is_lost(command).then_some(*id)
            }
            (Command::UnregisterBroker { id }, Reply::BrokerChanged(Ok(()))) => Some(*id),
            (Command::QuarantineReplicas { broker, partitions, .. }, Reply::BrokerChanged(Ok(()))) => {
                for tp in partitions {
                    if let Some(complete) = self.complete.get_mut(&(tp.topic_id, tp.partition)) {
                        complete.remove(broker);
                    }
                }
                None
            }
            _ => None,
        };
        if let Some(id) = lost {
            self.complete.values_mut().for_each(|complete| {
                complete.remove(&id);
            });
        }
    }

    /// Leaders with enough in sync commit a record: whoever is not in sync lacks it.
    fn commit(&mut self, chance: &mut Chance) {
        for (key, partition) in partitions(&self.image).collect::<Vec<_>>() {
            let name = &self.image.topic_by_id(key.0).unwrap().name;
            let rules = ReplicationRules::of_cluster(&self.image).with_overrides_of(&self.image, name);
            let is_enough = partition.isr.len() >= rules.min_isr(partition.replication_factor());
            if partition.leader >= 0 && is_enough && chance.one_in(3) {
                self.complete.insert(key, partition.isr.iter().copied().collect());
                *self.seen.entry("commit").or_default() += 1;
            }
        }
    }

    fn note(&mut self, command: &Command, reply: &Reply) {
        let what = match reply {
            Reply::BrokerRegistered(Err(_)) => "duplicate",
            Reply::BrokerChanged(Err(_)) => "stale broker",
            Reply::PartitionsAltered(Ok(results)) => match &results[0].result {
                Ok(_) => "isr changed",
                Err(failure) => failure.code.name(),
            },
            Reply::PartitionsReassigned(results) => match results.first().map(|topic| &topic.partitions[0].1)
            {
                Some(Ok(())) => "reassigned",
                Some(Err(_)) => "not reassigned",
                None => return,
            },
            _ => match command {
                Command::RegisterBroker { .. } => "registered",
                Command::UnregisterBroker { .. } => "unregistered",
                _ => return,
            },
        };
        *self.seen.entry(what).or_default() += 1;
    }
}

fn partitions(image: &ClusterImage) -> impl Iterator<Item = (Key, PartitionImage)> + '_ {
    image.topics.values().flat_map(|topic| {
        (0..).zip(&topic.partitions).map(|(index, partition)| ((topic.id, index), partition.clone()))
    })
}

/// The ISR that an AlterPartition asked for, if it is for this partition.
fn alteration(command: &Command, key: Key) -> Vec<BrokerId> {
    let Command::AlterPartition { partitions, .. } = command else { return Vec::new() };
    let of_key = partitions.iter().filter(|asked| (asked.topic_id, asked.index) == key);
    of_key.flat_map(|asked| asked.isr.iter().map(|(id, _)| *id)).collect()
}

/// Epochs count every change and every leader, one by one. Only a broker that restarts unfenced can change a partition
/// twice at once: it leads anew, and with other configuration other rules hold.
fn check_epochs(old: &PartitionImage, new: &PartitionImage, command: &Command) {
    let changes = new.partition_epoch - old.partition_epoch;
    let is_twice = changes == 2 && matches!(command, Command::RegisterBroker { fenced: false, .. });
    assert!(is_twice || changes == i32::from(old != new), "{old:?} became {new:?}");
    let leaders = new.leader_epoch - old.leader_epoch;
    assert!((0..=changes).contains(&leaders), "{old:?} became {new:?}");
    let lost_replica = old.replicas.iter().any(|id| !new.replicas.contains(id));
    assert!(leaders > 0 || old.leader == new.leader && !lost_replica, "{old:?} became {new:?}");
}

fn env(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

fn run_seed(seed: u64) -> Result<(Seen, u64), String> {
    let mut last = String::new();
    let result = catch_unwind(AssertUnwindSafe(|| {
        let is_traced = env("TIDEMARK_SEED").is_some();
        let mut chance = Chance(seed);
        let mut workload = Workload::new(&mut chance);
        let mut check =
            Check { image: ClusterImage::new("tidal"), complete: BTreeMap::new(), seen: Seen::new() };
        for step in 0..STEPS {
            for command in workload.next(&check.image, &mut chance) {
                last = format!("step {step}: {command:?}");
                if is_traced {
                    println!("{last}");
                }
                check.step(&command);
            }
            check.commit(&mut chance);
        }
        (check.seen, check.image.state_hash())
    }));
    result.map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
        format!("{last}\n  {}", text.unwrap_or_default())
    })
}

#[test]
fn random_commands_leave_a_cluster_that_loses_nothing() {
    let seeds = match env("TIDEMARK_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..env("TIDEMARK_SEEDS").unwrap_or(SEEDS_DEFAULT),
    };
    let many = seeds.end - seeds.start >= SEEDS_DEFAULT;
    let mut seen = Seen::new();
    for seed in seeds {
        match run_seed(seed) {
            Ok((counts, _)) => counts.into_iter().for_each(|(what, n)| *seen.entry(what).or_default() += n),
            Err(why) => panic!(
                "seed {seed}, {why}\n  replay: TIDEMARK_SEED={seed} cargo test -p tidemark-core random_commands"
            ),
        }
    }
    println!("{seen:#?}");
    let wanted = [
        "commit",
        "duplicate",
        "elected from the ELR",
        "FENCED_LEADER_EPOCH",
        "INELIGIBLE_REPLICA",
        "INVALID_REQUEST",
        "INVALID_UPDATE_VERSION",
        "isr changed",
        "leaderless",
        "moving",
        "NEW_LEADER_ELECTED",
        "NOT_CONTROLLER",
        "not reassigned",
        "reassigned",
        "reassignment over",
        "registered",
        "stale broker",
        "two eligible",
        "unclean election",
        "unregistered",
    ];
    let missing: Vec<_> = wanted.iter().filter(|what| !seen.contains_key(*what)).collect();
    assert!(!many || missing.is_empty(), "never happened: {missing:?}");
}

#[test]
fn one_seed_is_one_history_of_the_controller() {
    for seed in 0..5 {
        assert_eq!(run_seed(seed).unwrap(), run_seed(seed).unwrap());
    }
}
