//! The numbers of a node that live with their owners and are read when somebody scrapes.
//!
//! Series per topic are the only ones whose number is not known beforehand, so they have a bound; what is beyond it is summed
//! up under one name, so that sums over topics stay right.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use tidemark_core::metadata::ClusterImage;
use tidemark_protocol::types::BrokerId;
use tidemark_storage::log::LogContext;

use super::families::Families;
use crate::controller::ControllerHandle;
use crate::replica::ReplicaManager;
use crate::server::budget::RequestBudget;

/// Topics with series of their own: each has a handful, and a scrape of some ten thousand series is what Prometheus takes well.
const TOPIC_SERIES_MAX: usize = 2000;
/// The name under which the other topics are summed up; no topic can have it.
const OTHER_TOPICS: &str = "(other)";

/// Whose numbers are read.
pub struct NodeSources {
    /// This node.
    pub node_id: BrokerId,
    /// The metadata quorum.
    pub controller: ControllerHandle,
    /// The partitions of this node.
    pub replicas: Arc<ReplicaManager>,
    /// What the logs share: their counters, the memory of recent batches, the disk.
    pub log: Arc<LogContext>,
    /// Memory of requests in work.
    pub request_budget: RequestBudget,
    /// Where on the disk the data are.
    pub data_dir: PathBuf,
}

/// What a topic's partitions on this node did.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct TopicNumbers {
    in_bytes: u64,
    out_bytes: u64,
    size_bytes: u64,
    partitions: u64,
}

impl NodeSources {
    /// Adds all families.
    pub fn collect(&self, families: &mut Families) {
        let image = self.controller.image();
        self.identity(&image, families);
        self.quorum(families);
        self.cluster(&image, families);
        self.partitions(families);
        self.logs(families);
        self.log_threads(families);
        self.memory_and_disk(families);
    }

    fn identity(&self, image: &ClusterImage, families: &mut Families) {
        let build = vec![("version", env!("CARGO_PKG_VERSION").to_owned())];
        families.gauges("tidemark_build_info", "Version of the software; the value is 1.", [(build, 1.0)]);
        let node = vec![("cluster_id", image.cluster_id.clone()), ("node_id", self.node_id.to_string())];
        families.gauges("tidemark_node_info", "Cluster and id of this node; the value is 1.", [(node, 1.0)]);
    }

    fn quorum(&self, families: &mut Families) {
        let metrics = self.controller.metrics();
        let leads = f64::from(u8::from(self.controller.is_leader()));
        families.gauge("tidemark_raft_leader", "1 if this node leads the metadata quorum.", leads);
        families.gauge("tidemark_raft_voters", "Voters of the metadata quorum.", metrics.voters.len() as f64);
        families.gauge(
            "tidemark_raft_term",
            "Term of the metadata quorum; grows by elections.",
            metrics.term as f64,
        );
        for (name, help, index) in [
            ("tidemark_raft_last_log_index", "Last entry of the metadata log here.", metrics.last_log_index),
            ("tidemark_raft_commit_index", "Last committed entry known here.", metrics.committed_index),
            ("tidemark_raft_applied_index", "Last entry applied here.", metrics.applied_index),
            (
                "tidemark_raft_snapshot_index",
                "Last entry held by the newest snapshot.",
                metrics.snapshot_index,
            ),
        ] {
            // Before the first one there is no index; the first index is 0.
            families.gauge(name, help, index.map_or(-1.0, |index| index as f64));
        }
    }

    fn cluster(&self, image: &ClusterImage, families: &mut Families) {
        let (mut partitions, mut offline, mut under_replicated, mut leaders) = (0u64, 0u64, 0u64, 0u64);
        for partition in image.topics.values().flat_map(|topic| &topic.partitions) {
            partitions += 1;
            offline += u64::from(partition.leader < 0);
            under_replicated += u64::from(partition.isr.len() < partition.replicas.len());
            leaders += u64::from(partition.leader == self.node_id);
        }
        families.gauge("tidemark_cluster_brokers", "Registered brokers.", image.brokers.len() as f64);
        families.gauge("tidemark_cluster_topics", "Topics of the cluster.", image.topics.len() as f64);
        families.gauge("tidemark_cluster_partitions", "Partitions of the cluster.", partitions as f64);
        families.gauge("tidemark_cluster_partitions_offline", "Partitions without a leader.", offline as f64);
        let help = "Partitions with replicas that are not in sync.";
        families.gauge("tidemark_cluster_partitions_under_replicated", help, under_replicated as f64);
        families.gauge("tidemark_partitions_leader", "Partitions this node leads.", leaders as f64);
    }

    fn partitions(&self, families: &mut Families) {
        let mut topics: BTreeMap<Arc<str>, TopicNumbers> = BTreeMap::new();
        let (mut total, mut failed, mut waiting) = (0u64, 0u64, 0usize);
        for handle in self.replicas.map().partitions() {
            let numbers = topics.entry(Arc::clone(&handle.tp().topic)).or_default();
            let (in_bytes, out_bytes) = handle.traffic();
            numbers.in_bytes += in_bytes;
            numbers.out_bytes += out_bytes;
            numbers.partitions += 1;
            total += 1;
            waiting += handle.waiter_count();
            if let Some(view) = handle.view() {
                numbers.size_bytes += view.size_bytes;
                failed += u64::from(view.failed.is_some());
            }
        }
        families.gauge("tidemark_partitions", "Partitions this node holds.", total as f64);
        families.gauge(
            "tidemark_partitions_failed",
            "Partitions that take no writes after a disk error.",
            failed as f64,
        );
        families.gauge(
            "tidemark_fetches_waiting",
            "Fetches that sleep on a partition, counted on each.",
            waiting as f64,
        );
        topic_families(topics, families);
    }

    fn logs(&self, families: &mut Families) {
        let logs = &self.log.metrics;
        for (name, help, counter) in [
            ("tidemark_log_appended_batches_total", "Batches written to logs.", &logs.appended_batches),
            ("tidemark_log_appended_bytes_total", "Bytes written to segments.", &logs.appended_bytes),
            ("tidemark_log_tail_reads_total", "Reads answered from memory.", &logs.tail_reads),
            ("tidemark_log_file_reads_total", "Reads answered from segment files.", &logs.file_reads),
            ("tidemark_log_rolled_segments_total", "Segments closed.", &logs.rolled_segments),
            (
                "tidemark_log_removed_segments_total",
                "Segments removed by retention, trimming or compaction.",
                &logs.removed_segments,
            ),
            (
                "tidemark_log_recovery_scanned_bytes_total",
                "Bytes checked when logs were opened.",
                &logs.recovery_scanned_bytes,
            ),
            ("tidemark_log_torn_tails_total", "Logs whose unfinished last write was cut.", &logs.torn_tails),
            (
                "tidemark_log_failures_total",
                "Logs that stopped after a failed write or sync.",
                &logs.failed_logs,
            ),
            (
                "tidemark_log_rebuilt_indexes_total",
                "Indexes rebuilt from their segments.",
                &logs.rebuilt_indexes,
            ),
        ] {
            families.counter(name, help, counter.get());
        }
        let open = logs.open_segments.get() as f64;
        families.gauge("tidemark_log_open_segments", "Segment files kept open for readers.", open);
    }

    fn log_threads(&self, families: &mut Families) {
        let threads = self.replicas.metrics();
        let times = &threads.sync_times;
        let help = "Group commits: how many, and how long they took.";
        families.histogram(
            "tidemark_log_fsync_duration_seconds",
            help,
            (times.count(), times.seconds()),
            &times.cumulative(),
        );
        for (name, help, counter) in [
            (
                "tidemark_log_thread_rounds_total",
                "Rounds of the log threads that had something to do.",
                &threads.rounds,
            ),
            (
                "tidemark_log_filesystem_syncs_total",
                "Group commits made by syncing the file system.",
                &threads.filesystem_syncs,
            ),
            ("tidemark_log_opened_total", "Logs opened.", &threads.opened_logs),
            (
                "tidemark_log_offline_total",
                "Logs not served because their bytes are damaged.",
                &threads.offline_logs,
            ),
            (
                "tidemark_log_disk_full_refusals_total",
                "Batches refused because the disk was full.",
                &threads.disk_full_refusals,
            ),
            ("tidemark_journal_writes_total", "Writes of the durability journal.", &threads.journal_writes),
            ("tidemark_journal_syncs_total", "Syncs of the durability journal.", &threads.journal_syncs),
        ] {
            families.counter(name, help, counter.get());
        }
    }

    fn memory_and_disk(&self, families: &mut Families) {
        let tail = "Recent batches kept in memory.";
        families.gauge("tidemark_tail_cache_bytes", tail, self.log.tail.used() as f64);
        families.gauge("tidemark_tail_cache_max_bytes", "The limit of that.", self.log.tail.max() as f64);
        let in_flight = self.request_budget.used_bytes() as f64;
        families.gauge("tidemark_request_bytes_in_flight", "Bytes of requests in work.", in_flight);
        if let Ok(space) = self.log.disk.space(&self.data_dir) {
            families.gauge("tidemark_disk_free_bytes", "Room left where the data are.", space.free as f64);
            families.gauge(
                "tidemark_disk_total_bytes",
                "Size of the file system of the data.",
                space.total as f64,
            );
        }
    }
}

fn topic_families(topics: BTreeMap<Arc<str>, TopicNumbers>, families: &mut Families) {
    let mut shown: Vec<(String, TopicNumbers)> = Vec::new();
    for (nth, (name, numbers)) in topics.into_iter().enumerate() {
        match shown.last_mut() {
            Some((_, other)) if nth > TOPIC_SERIES_MAX => {
                other.in_bytes += numbers.in_bytes;
                other.out_bytes += numbers.out_bytes;
                other.size_bytes += numbers.size_bytes;
                other.partitions += numbers.partitions;
            }
            _ if nth == TOPIC_SERIES_MAX => shown.push((OTHER_TOPICS.to_owned(), numbers)),
            _ => shown.push((name.to_string(), numbers)),
        }
    }
    let series = |pick: fn(&TopicNumbers) -> u64| {
        let one = move |(name, numbers): &(String, TopicNumbers)| {
            (vec![("topic", name.clone())], pick(numbers) as f64)
        };
        shown.iter().map(one).collect::<Vec<_>>()
    };
    let in_help = "Bytes of batches taken in, since this node holds the topic.";
    families.counters("tidemark_topic_in_bytes_total", in_help, series(|numbers| numbers.in_bytes));
    let out_help = "Bytes of batches given out, since this node holds the topic.";
    families.counters("tidemark_topic_out_bytes_total", out_help, series(|numbers| numbers.out_bytes));
    let size_help = "Bytes of the topic's logs here that were opened.";
    families.gauges("tidemark_topic_size_bytes", size_help, series(|numbers| numbers.size_bytes));
    families.gauges(
        "tidemark_topic_partitions",
        "Partitions held here.",
        series(|numbers| numbers.partitions),
    );
}

#[cfg(test)]
mod tests;
