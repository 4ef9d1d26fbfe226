//! One disk of three fills up or fails: that node's partitions suffer, the others go on.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::admin::{NewTopic, TopicReplication};
use tidemark_storage::disk::{Disk, OsDisk};
use tidemark_tests::cluster::Cluster;
use tidemark_tests::fault_disk::{Fault, FaultDisk};
use tidemark_tests::librdkafka::{PATIENCE, produce_numbers};

/// Three nodes of which the third has the disk that is returned, and a topic on all of them.
async fn cluster() -> (Cluster, FaultDisk) {
    let disk = FaultDisk::new("t-");
    let disks: Vec<Arc<dyn Disk>> = vec![Arc::new(OsDisk), Arc::new(OsDisk), Arc::new(disk.clone())];
    let cluster = Cluster::start_on(disks, &[]).await;
    cluster.create(NewTopic::new("t", 3, TopicReplication::Fixed(3)).set("min.insync.replicas", "2")).await;
    cluster.all_in_sync(Some("t")).await;
    produce_numbers(&cluster.producer(), "t", 0..300, 3).await;
    (cluster, disk)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_disk_fails_is_left_out_and_the_others_go_on() {
    let (mut cluster, disk) = cluster().await;
    disk.set(Fault::Sync);
    produce_numbers(&cluster.producer(), "t", 300..600, 3).await;
    cluster.in_sync_on(Some("t"), &[1, 2]).await;
    produce_numbers(&cluster.producer(), "t", 600..900, 3).await;
    cluster.stop_node(3).await;
    disk.set(Fault::None);
    cluster.start_node(3).await;
    cluster.all_in_sync(Some("t")).await;
    for partition in 0..3 {
        let expected: Vec<i32> = (0..900).filter(|i| i % 3 == partition).collect();
        assert_eq!(cluster.read("t", partition, expected.len()).await, expected);
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_disk_is_full_refuses_appends_and_goes_on_when_there_is_room() {
    let (cluster, disk) = cluster().await;
    disk.set(Fault::Full);
    // Where it leads, it is asked again until it does not; where it follows, it falls behind and out of the ISR.
    let producing = {
        let producer = cluster.producer();
        tokio::spawn(async move { produce_numbers(&producer, "t", 300..600, 3).await })
    };
    let refused = async {
        while disk.faults() < 20 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, refused).await.expect("it is written to again and again");
    assert!(!producing.is_finished(), "nothing that has to be on three disks is acknowledged");
    disk.set(Fault::None);
    producing.await.expect("all are acknowledged in the end");
    cluster.all_in_sync(Some("t")).await;
    for partition in 0..3 {
        let expected: Vec<i32> = (0..600).filter(|i| i % 3 == partition).collect();
        assert_eq!(cluster.read("t", partition, expected.len()).await, expected);
    }
    cluster.stop().await;
}
