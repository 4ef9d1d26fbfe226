//! Proxies between everybody: what goes from one end to another passes a [`Link`] of its own, which can be cut, slowed, or
//! broken while the other direction goes on.
//!
//! Each node has two proxies before it, one for the other nodes and one for clients. Who calls says so itself: the first frame
//! between nodes is a hello. Bytes that wait at a cut link are delivered once it is whole again, as the kernels of real machines
//! do; a broken connection ends on both sides at once.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tidemark_broker::peer::frame::{FrameReader, Outgoing};
use tidemark_broker::peer::hello::Hello;
use tidemark_broker::transport;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// Read at a time.
const CHUNK_BYTES: usize = 16 << 10;
/// Chunks that wait in a link; then whoever sends is held up, as by a full window.
const CHUNKS_MAX: usize = 64;
/// How long a caller may take to say who it is.
const HELLO_TIME_MAX: Duration = Duration::from_secs(10);
/// A link that drips lets something through this often.
const DRIP_EVERY: Duration = Duration::from_millis(50);
/// Connections that wait to be accepted.
const BACKLOG: i32 = 1024;

/// One end of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    /// A broker.
    Node(i32),
    /// All clients.
    Clients,
}

/// What a link does with what passes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing.
    Pass,
    /// It keeps everything until it passes again.
    Cut,
    /// Everything comes later.
    Delay(Duration),
    /// So many bytes pass in a second.
    Drip(u32),
    /// Connections break, new ones too.
    Reset,
}

/// All links, by their ends: from, to.
#[derive(Clone)]
pub struct Network {
    links: Arc<BTreeMap<(End, End), watch::Sender<Effect>>>,
}

impl Network {
    /// Links between all of these nodes, and between each and the clients.
    pub fn new(nodes: &[i32]) -> Network {
        let ends: Vec<End> = nodes.iter().map(|id| End::Node(*id)).chain([End::Clients]).collect();
        let pairs = ends.iter().flat_map(|from| ends.iter().map(move |to| (*from, *to)));
        let links = pairs.filter(|(from, to)| from != to).map(|pair| (pair, watch::channel(Effect::Pass).0));
        Network { links: Arc::new(links.collect()) }
    }

    /// From now on the link does this.
    pub fn set(&self, from: End, to: End, effect: Effect) {
        if let Some(link) = self.links.get(&(from, to)) {
            link.send_replace(effect);
        }
    }

    /// From now on everything passes.
    pub fn heal(&self) {
        for link in self.links.values() {
            link.send_replace(Effect::Pass);
        }
    }

    fn link(&self, from: End, to: End) -> Option<watch::Receiver<Effect>> {
        self.links.get(&(from, to)).map(watch::Sender::subscribe)
    }

    /// Opens a proxy at `port` before `node`, which listens at `target`. It serves as long as the runtime lives.
    ///
    /// # Errors
    /// The port is taken.
    pub fn open(&self, port: SocketAddr, target: SocketAddr, node: i32, callers: Callers) -> io::Result<()> {
        let listener = transport::bind(port)?.listen(BACKLOG)?;
        let network = self.clone();
        tokio::spawn(async move {
            loop {
                // An aborted handshake or too many files: the next one may come.
                let Ok((caller, _)) = listener.accept().await else { continue };
                let network = network.clone();
                tokio::spawn(async move {
                    // However it ends, both sides see that it has.
                    let _ = network.carry(caller, target, node, callers).await;
                });
            }
        });
        Ok(())
    }

    async fn carry(
        &self,
        mut caller: TcpStream,
        target: SocketAddr,
        node: i32,
        callers: Callers,
    ) -> io::Result<()> {
        caller.set_nodelay(true)?;
        let (from, first) = match callers {
            Callers::Clients => (End::Clients, Bytes::new()),
            Callers::Nodes => timeout(HELLO_TIME_MAX, introduction(&mut caller)).await??,
        };
        let to = End::Node(node);
        let Some((there, back)) = self.link(from, to).zip(self.link(to, from)) else { return Ok(()) };
        let (mut there_broken, mut back_broken) = (there.clone(), back.clone());
        let mut there_passes = there.clone();
        if passes_some(&mut there_passes).await.is_break() {
            return abort(&caller);
        }
        let mut callee = transport::connect(&target.to_string()).await?;
        let carried = {
            let (caller_reads, caller_writes) = caller.split();
            let (callee_reads, callee_writes) = callee.split();
            tokio::select! {
                biased;
                // The links live as long as the network, which this holds.
                _ = there_broken.wait_for(|effect| *effect == Effect::Reset) => None,
                _ = back_broken.wait_for(|effect| *effect == Effect::Reset) => None,
                done = async {
                    tokio::try_join!(
                        pump(first, caller_reads, callee_writes, there),
                        pump(Bytes::new(), callee_reads, caller_writes, back),
                    )
                } => Some(done),
            }
        };
        match carried {
            Some(done) => done.map(drop),
            None => abort(&caller).and(abort(&callee)),
        }
    }
}

/// Who calls at a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Callers {
    /// Other nodes, who say who they are.
    Nodes,
    /// Clients.
    Clients,
}

/// Waits until the link is not cut; breaks off when it breaks.
async fn passes_some(link: &mut watch::Receiver<Effect>) -> std::ops::ControlFlow<()> {
    // The link lives as long as the network.
    let effect = link.wait_for(|effect| *effect != Effect::Cut).await.map_or(Effect::Reset, |effect| *effect);
    if effect == Effect::Reset {
        std::ops::ControlFlow::Break(())
    } else {
        std::ops::ControlFlow::Continue(())
    }
}

/// Ends a connection the hard way.
fn abort(stream: &TcpStream) -> io::Result<()> {
    stream.set_zero_linger()
}

/// Who calls, and the frame that says so.
async fn introduction(caller: &mut TcpStream) -> io::Result<(End, Bytes)> {
    let frame = FrameReader::default().next(caller).await?.ok_or(io::ErrorKind::UnexpectedEof)?;
    let (hello, _): (Hello, _) = postcard::take_from_bytes(&frame.body).map_err(io::Error::other)?;
    let mut bytes = Vec::new();
    Outgoing::new(frame.kind, frame.number, vec![frame.body]).write(&mut bytes).await?;
    Ok((End::Node(hello.from.node_id), Bytes::from(bytes)))
}

/// Carries what is read to where it goes, as the link lets it, until either end closes.
async fn pump(
    first: Bytes,
    mut reads: ReadHalf<'_>,
    mut writes: WriteHalf<'_>,
    mut link: watch::Receiver<Effect>,
) -> io::Result<()> {
    let (queue, mut chunks) = mpsc::channel::<(Instant, Bytes)>(CHUNKS_MAX);
    let read = async move {
        let mut chunk = first;
        loop {
            if !chunk.is_empty() && queue.send((Instant::now(), chunk)).await.is_err() {
                return Ok(());
            }
            let mut buffer = BytesMut::with_capacity(CHUNK_BYTES);
            if reads.read_buf(&mut buffer).await? == 0 {
                return Ok::<_, io::Error>(());
            }
            chunk = buffer.freeze();
        }
    };
    let write = async move {
        while let Some((read, mut chunk)) = chunks.recv().await {
            while !chunk.is_empty() {
                let some = admitted(&mut link, read, &mut chunk).await;
                writes.write_all(&some).await?;
            }
        }
        let _ = passes_some(&mut link).await;
        writes.shutdown().await
    };
    tokio::try_join!(read, write).map(drop)
}

/// The part of a chunk that the link lets through next, once it does.
async fn admitted(link: &mut watch::Receiver<Effect>, read: Instant, chunk: &mut Bytes) -> Bytes {
    loop {
        let effect = *link.borrow_and_update();
        match effect {
            Effect::Pass => return std::mem::take(chunk),
            // Whoever carries ends it.
            Effect::Cut | Effect::Reset => {
                if link.changed().await.is_err() {
                    return std::mem::take(chunk);
                }
            }
            Effect::Delay(by) => tokio::select! {
                () = sleep_until(read + by) => return std::mem::take(chunk),
                // The network outlives its connections.
                _ = link.changed() => {}
            },
            Effect::Drip(bytes_per_second) => {
                sleep(DRIP_EVERY).await;
                let share =
                    bytes_per_second / (Duration::from_secs(1).as_millis() / DRIP_EVERY.as_millis()) as u32;
                return chunk.split_to(chunk.len().min(share.max(1) as usize));
            }
        }
    }
}
