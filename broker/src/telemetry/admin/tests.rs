//! A node's admin port over real sockets: metrics parse, probes follow the node's life.

use std::path::Path;

use tidemark_storage::disk::OsDisk;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::broker::Broker;
use crate::clock::Clock;
use crate::config::{Layers, NodeConfig};

fn config(data_dir: &Path) -> NodeConfig {
    let mut layers = Layers::default();
    for (key, value) in [
        ("node.data_dir", data_dir.to_str().expect("a plain path")),
        ("admin.bind", "127.0.0.1:0"),
        ("listener.PLAINTEXT.bind", "127.0.0.1:0"),
    ] {
        layers.add_set(&format!("{key}={value}"));
    }
    NodeConfig::from_layers(&layers).expect("a good configuration")
}

#[allow(clippy::disallowed_methods, reason = "the test is the other end of the port")]
async fn connect(address: std::net::SocketAddr) -> std::io::Result<TcpStream> {
    TcpStream::connect(address).await
}

/// Status and body of a GET.
async fn get(address: std::net::SocketAddr, path: &str) -> (u16, String) {
    let mut stream = connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_serving_node_tells_its_health_and_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let broker =
        Broker::start(&config(folder.path()), std::sync::Arc::new(OsDisk), Clock::system()).await.unwrap();
    let admin = broker.addresses().admin.expect("the admin port is on");

    assert_eq!(get(admin, "/livez").await, (200, "ok\n".to_owned()));
    assert_eq!(get(admin, "/readyz").await, (200, "ok\n".to_owned()));
    let (status, verbose) = get(admin, "/readyz?verbose").await;
    assert_eq!(status, 200);
    for check in ["metadata-log", "metadata", "storage", "listeners", "not-stopping"] {
        assert!(verbose.contains(&format!("[+] {check}: ok\n")), "{verbose}");
    }
    assert_eq!(get(admin, "/nothing").await.0, 404);

    let (status, text) = get(admin, "/metrics").await;
    assert_eq!(status, 200);
    for series in [
        "tidemark_build_info{version=",
        "tidemark_node_info{cluster_id=",
        "tidemark_raft_leader 1\n",
        "tidemark_raft_term ",
        "tidemark_cluster_brokers 1\n",
        "tidemark_partitions 0\n",
        "tidemark_connections 0\n",
        "tidemark_log_fsync_duration_seconds_count ",
        "tidemark_tail_cache_bytes 0\n",
        "tidemark_request_bytes_in_flight 0\n",
        "tidemark_disk_free_bytes ",
        "process_resident_memory_bytes ",
        "tidemark_metrics_series ",
    ] {
        assert!(text.contains(series), "{series} in\n{text}");
    }
    broker.stop().await;
    assert!(connect(admin).await.is_err(), "the admin port is closed with the node");
}
