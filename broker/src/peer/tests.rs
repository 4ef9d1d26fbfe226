use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, watch};
use uuid::Uuid;

use super::call::Message;
use super::frame::{FrameReader, Outgoing};
use super::*;
use crate::transport;

const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, Serialize, Deserialize)]
struct Echo {
    text: String,
}

impl Call for Echo {
    const KIND: u8 = 1;
    const NAME: &'static str = "echo";
    type Answer = String;
}

#[derive(Debug, Serialize, Deserialize)]
struct Never;

impl Call for Never {
    const KIND: u8 = 2;
    const NAME: &'static str = "never";
    type Answer = ();
}

fn introduction(cluster: &str, node_id: i32) -> Arc<ArcSwap<Myself>> {
    Arc::new(ArcSwap::from_pointee(Myself {
        cluster_id: cluster.to_owned(),
        node_id,
        directory_id: Uuid::from_u128(u128::from(node_id.unsigned_abs())),
        incarnation: Uuid::from_u128(7),
    }))
}

struct Server {
    address: String,
    stop: watch::Sender<bool>,
    task: tokio::task::JoinHandle<()>,
}

async fn serve(me: Arc<ArcSwap<Myself>>, services: Services, at: &str) -> Server {
    let port = transport::bind(at.parse().unwrap()).unwrap();
    let address = port.local_address().unwrap().to_string();
    let (stop, stopping) = watch::channel(false);
    let listener = PeerListener::open(port, me, Arc::new(services)).unwrap();
    Server { address, stop, task: tokio::spawn(listener.serve(stopping)) }
}

impl Server {
    async fn stop(self) {
        self.stop.send_replace(true);
        self.task.await.unwrap();
    }
}

fn echoing() -> Services {
    let services = Services::default();
    services.serve(|session, message: Message<Echo>| async move {
        if message.head.text == "no" {
            return Err("no means no".to_owned());
        }
        let head = format!("{} from {}", message.head.text, session.caller.node_id);
        Ok(Message { head, raw: message.raw })
    });
    services
}

fn echo(text: &str) -> Echo {
    Echo { text: text.to_owned() }
}

#[tokio::test]
async fn a_call_is_answered_with_its_raw_bytes() {
    let server = serve(introduction("c", 1), echoing(), "127.0.0.1:0").await;
    let client = PeerClients::new(introduction("c", 2)).to(&server.address, Purpose::Control);
    let raw = Bytes::from(vec![7; 3_000_000]);
    let message = Message { head: echo("hello"), raw: vec![raw.slice(..10), raw.slice(10..)] };
    let answer = client.exchange(message, PATIENCE).await.unwrap();
    assert_eq!(answer.head, "hello from 2");
    assert_eq!(answer.raw, [raw]);
    server.stop().await;
}

#[tokio::test]
async fn a_slow_call_does_not_hold_up_the_next() {
    let services = echoing();
    services.serve(|_, _: Message<Never>| std::future::pending());
    let server = serve(introduction("c", 1), services, "127.0.0.1:0").await;
    let client = PeerClients::new(introduction("c", 2)).to(&server.address, Purpose::Control);
    let slow = client.call(Never, Duration::from_millis(200));
    let (slow, fast) = tokio::join!(slow, client.call(echo("fast"), PATIENCE));
    assert_eq!(slow, Err(CallError::TimedOut { address: server.address.clone() }));
    assert_eq!(fast.unwrap(), "fast from 2");
    server.stop().await;
}

#[tokio::test]
async fn a_refusal_comes_with_its_text() {
    let server = serve(introduction("c", 1), echoing(), "127.0.0.1:0").await;
    let client = PeerClients::new(introduction("c", 2)).to(&server.address, Purpose::Control);
    let refused = client.call(echo("no"), PATIENCE).await.unwrap_err();
    assert_eq!(refused.to_string(), format!("{} refused: no means no", server.address));
    let unknown = client.call(Never, PATIENCE).await.unwrap_err();
    assert!(unknown.to_string().contains("calls of kind 2 are not answered here"), "{unknown}");
    server.stop().await;
}

#[tokio::test]
async fn nodes_of_different_clusters_do_not_talk() {
    let server = serve(introduction("one", 1), echoing(), "127.0.0.1:0").await;
    let client = PeerClients::new(introduction("other", 2)).to(&server.address, Purpose::Control);
    let error = client.call(echo("x"), PATIENCE).await.unwrap_err();
    assert!(error.to_string().contains("node 2 belongs to cluster other, node 1 to cluster one"), "{error}");
    let newcomer = PeerClients::new(introduction("", 3)).to(&server.address, Purpose::Control);
    assert_eq!(newcomer.call(echo("x"), PATIENCE).await.unwrap(), "x from 3");
    server.stop().await;
}

#[tokio::test]
async fn two_nodes_with_one_id_are_told_so() {
    let server = serve(introduction("c", 1), echoing(), "127.0.0.1:0").await;
    let twin = introduction("c", 1);
    twin.store(Arc::new(Myself { directory_id: Uuid::from_u128(99), ..(*twin.load_full()).clone() }));
    let error = PeerClients::new(twin).to(&server.address, Purpose::Control).call(echo("x"), PATIENCE).await;
    let why = "two nodes have id 1: give one of them another node.id".to_owned();
    assert_eq!(error, Err(CallError::Namesake { address: server.address.clone(), why }));
    server.stop().await;
}

#[tokio::test]
async fn whoever_waits_is_told_when_the_connection_breaks_and_the_next_call_makes_a_new_one() {
    let started = Arc::new(Notify::new());
    let services = echoing();
    let told = Arc::clone(&started);
    services.serve(move |_, _: Message<Never>| {
        told.notify_one();
        std::future::pending()
    });
    let server = serve(introduction("c", 1), services, "127.0.0.1:0").await;
    let address = server.address.clone();
    let client = PeerClients::new(introduction("c", 2)).to(&address, Purpose::Control);
    let waiting = tokio::spawn({
        let client = client.clone();
        async move { client.call(Never, PATIENCE).await }
    });
    started.notified().await;
    server.stop().await;
    assert!(matches!(waiting.await.unwrap(), Err(CallError::Unreachable { .. })));
    let server = serve(introduction("c", 1), echoing(), &address).await;
    let answer = async {
        loop {
            match client.call(echo("again"), PATIENCE).await {
                Ok(answer) => return answer,
                Err(CallError::Unreachable { .. }) => tokio::task::yield_now().await,
                Err(error) => panic!("{error}"),
            }
        }
    };
    assert_eq!(tokio::time::timeout(PATIENCE, answer).await.unwrap(), "again from 2");
    server.stop().await;
}

#[tokio::test]
async fn frames_survive_any_cut_of_the_stream() {
    let mut wire = Vec::new();
    for number in 1..=20u64 {
        let body = Bytes::from(vec![number as u8; number as usize * 37]);
        Outgoing::new(9, number, vec![body.slice(..number as usize), body.slice(number as usize..)])
            .write(&mut wire)
            .await
            .unwrap();
    }
    for step in [1, 2, 3, 7, 100, 100_000] {
        let (mut write, mut read) = tokio::io::duplex(step);
        let wire = wire.clone();
        let writing =
            tokio::spawn(async move { tokio::io::AsyncWriteExt::write_all(&mut write, &wire).await });
        let mut frames = FrameReader::default();
        for number in 1..=20u64 {
            let frame = frames.next(&mut read).await.unwrap().unwrap();
            assert_eq!((frame.kind, frame.number), (9, number));
            assert_eq!(frame.body, vec![number as u8; number as usize * 37]);
        }
        writing.await.unwrap().unwrap();
        assert_eq!(frames.next(&mut read).await.unwrap(), None);
    }
}

#[tokio::test]
async fn a_hostile_length_is_refused_and_a_promised_one_takes_no_memory() {
    let mut frames = FrameReader::default();
    let too_long = [&u32::MAX.to_be_bytes()[..], &[0; 9]].concat();
    assert!(frames.next(&mut &too_long[..]).await.is_err());
    let mut frames = FrameReader::default();
    let promised = [&(60u32 << 20).to_be_bytes()[..], &[0; 9]].concat();
    assert!(frames.next(&mut &promised[..]).await.is_err(), "cut off");
    assert!(frames.capacity() < 1 << 20);
}

#[tokio::test]
async fn frames_that_follow_each_other_share_memory() {
    let body = vec![7; 15 << 10];
    let mut sent = Vec::new();
    for number in 1..=4 {
        Outgoing::new(1, number, vec![Bytes::from(body.clone())]).write(&mut sent).await.unwrap();
    }
    let mut frames = FrameReader::default();
    let mut kept = Vec::new();
    // One frame comes at a time, as from a leader that is asked for each.
    for frame in sent.chunks(sent.len() / 4) {
        let mut from = frame;
        kept.push(frames.next(&mut from).await.unwrap().unwrap().body);
    }
    let apart: Vec<usize> =
        kept.windows(2).map(|two| two[1].as_ptr() as usize - two[0].as_ptr() as usize).collect();
    assert_eq!(apart, [sent.len() / 4; 3]);
}
