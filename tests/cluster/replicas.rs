//! Replicas that lost what they held come back whole: every batch as on the other nodes, byte by byte.

use std::path::Path;
use std::time::Duration;

use tidemark_broker::broker::StartError;
use tidemark_storage::disk::{Disk, OsDisk};
use tidemark_tests::cluster::Cluster;
use tidemark_tests::librdkafka::{PATIENCE, produce_numbers};
use tidemark_tests::logs;
use tidemark_tests::rng::Rng;

const PARTITIONS: i32 = 3;
/// How often files are looked at that nobody announces.
const LOOK_EACH: Duration = Duration::from_millis(100);

/// A cluster with records in `t`, which is on all nodes.
async fn cluster_with_records() -> Cluster {
    let cluster = Cluster::start().await;
    cluster.create_topic("t", PARTITIONS).await;
    cluster.all_in_sync(Some("t")).await;
    for round in 0..20 {
        produce_numbers(&cluster.producer(), "t", round * 150..(round + 1) * 150, PARTITIONS).await;
    }
    cluster
}

/// Whether the replicas of `t` on all nodes are sound, not empty and the same.
fn are_equal(cluster: &Cluster) -> Result<(), String> {
    for partition in 0..PARTITIONS {
        let log = |id| logs::batches_of(&cluster.dir(id).join(format!("t-{partition}")));
        let first = log(1)?;
        for id in 2..=3 {
            let other = log(id)?;
            if other.is_empty() || other != first {
                return Err(format!(
                    "partition {partition} has {} bytes on 1, {} on {id}",
                    first.len(),
                    other.len()
                ));
            }
        }
    }
    Ok(())
}

/// Returns once all replicas are in sync, and sound and equal on all nodes.
async fn whole(cluster: &Cluster) {
    let equal = async {
        loop {
            cluster.all_in_sync(Some("t")).await;
            match are_equal(cluster) {
                Ok(()) => return,
                // Seen only when the test fails.
                Err(why) => println!("not yet: {why}"),
            }
            tokio::time::sleep(LOOK_EACH).await;
        }
    };
    if tokio::time::timeout(PATIENCE, equal).await.is_err() {
        panic!("{:?}", are_equal(cluster));
    }
}

/// Removes all that a directory holds.
fn wipe(dir: &Path) {
    for name in OsDisk.read_dir(dir).expect("a directory") {
        let path = dir.join(name);
        OsDisk.remove_dir_all(&path).or_else(|_| OsDisk.remove_file(&path)).expect("removed");
    }
}

async fn all_records_are_there(cluster: &Cluster) {
    for partition in 0..PARTITIONS {
        let expected: Vec<i32> = (0..3000).filter(|i| i % PARTITIONS == partition).collect();
        assert_eq!(cluster.read("t", partition, expected.len()).await, expected);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_disk_was_wiped_comes_back_whole() {
    let mut cluster = cluster_with_records().await;
    cluster.stop_node(2).await;
    wipe(cluster.dir(2));
    cluster.start_node(2).await;
    whole(&cluster).await;
    all_records_are_there(&cluster).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_logs_rotted_in_ten_places_comes_back_whole() {
    let mut cluster = cluster_with_records().await;
    cluster.stop_node(3).await;
    let mut chance = Rng::new(11);
    let partitions = (0..PARTITIONS).map(|partition| cluster.dir(3).join(format!("t-{partition}")));
    let segments: Vec<_> = partitions.flat_map(|dir| logs::segments(&dir)).collect();
    for _ in 0..10 {
        let path = &segments[chance.below(segments.len() as u64) as usize];
        logs::flip(path, chance.next_u64());
    }
    assert!(are_equal(&cluster).is_err(), "the flips have done harm");
    cluster.start_node(3).await;
    whole(&cluster).await;
    all_records_are_there(&cluster).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_lost_some_of_its_logs_fetches_them_again() {
    let mut cluster = cluster_with_records().await;
    cluster.stop_node(1).await;
    OsDisk.remove_dir_all(&cluster.dir(1).join("t-0")).expect("removed");
    for segment in logs::segments(&cluster.dir(1).join("t-1")) {
        OsDisk.remove_file(&segment).expect("removed");
    }
    cluster.start_node(1).await;
    whole(&cluster).await;
    all_records_are_there(&cluster).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logs_whose_journals_are_gone_prove_nothing_and_are_compared_with_the_leader() {
    let mut cluster = cluster_with_records().await;
    cluster.stop_node(1).await;
    OsDisk.remove_dir_all(&cluster.dir(1).join("journal")).expect("removed");
    OsDisk.remove_dir_all(&cluster.dir(1).join("t-2")).expect("removed");
    cluster.start_node(1).await;
    whole(&cluster).await;
    all_records_are_there(&cluster).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_process_with_the_id_of_a_live_node_is_refused_and_disturbs_nobody() {
    let cluster = cluster_with_records().await;
    let (first, second) = tokio::join!(cluster.refused_double(1), cluster.refused_double(2));
    for (id, why) in [(1, first), (2, second)] {
        assert!(why.contains(&format!("node id {id} is taken")), "{why}");
        let (clients, nodes) = (cluster.address(id).to_string(), cluster.peer_address(id));
        assert!(why.contains(&clients) || why.contains(nodes), "{why}");
    }
    whole(&cluster).await;
    all_records_are_there(&cluster).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_founder_whose_metadata_are_gone_founds_no_second_cluster_and_joins_once_it_is_emptied() {
    let mut cluster = cluster_with_records().await;
    cluster.stop_node(1).await;
    OsDisk.remove_dir_all(&cluster.dir(1).join("metadata")).expect("removed");
    let refused = cluster.try_start_node(1).await.expect_err("it knows of no cluster");
    assert!(matches!(refused, StartError::LostMetadata { .. }), "{refused}");
    wipe(cluster.dir(1));
    cluster.start_node(1).await;
    whole(&cluster).await;
    all_records_are_there(&cluster).await;
    cluster.stop().await;
}
