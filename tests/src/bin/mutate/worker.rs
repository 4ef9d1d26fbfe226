//! One connection's worth of mutations: bursts are sent, their answers counted, and a closed connection is opened again.
//!
//! Answers come in order, so their number says how far the broker got: what closed the connection is the one behind the
//! last answer, and the rest of the burst goes to the next connection. So each mutation counted was really handled.

use std::collections::VecDeque;
use std::fmt;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tidemark_tests::corpus::Entry;
use tidemark_tests::mutation::{Mutant, mutant};
use tidemark_tests::rng::Rng;

/// Requests pipelined on a connection.
const BURST_MAX: usize = 32;
/// How long a request may keep the connection silent; longer, and it counts as one that waits.
const SILENCE_MAX: Duration = Duration::from_millis(80);
/// How long connecting may take.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(20);
/// ApiVersions version 0 with a correlation id that nothing else has: its answer says that the burst is through.
const BARRIER: [u8; 14] = *b"\0\0\0\x0a\0\x12\0\0\x6d\x75\x74\x61\xff\xff";
const BARRIER_ID: [u8; 4] = *b"\x6d\x75\x74\x61";

/// What all workers count together.
pub struct Progress {
    count: u64,
    done: AtomicU64,
    answered: AtomicU64,
    closed: AtomicU64,
    waited: AtomicU64,
    over: AtomicBool,
}

impl Progress {
    /// Nothing done of `count`.
    pub fn new(count: u64) -> Self {
        let zero = AtomicU64::default;
        Progress {
            count,
            done: zero(),
            answered: zero(),
            closed: zero(),
            waited: zero(),
            over: AtomicBool::new(false),
        }
    }

    /// Mutations the broker has handled.
    pub fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// Whether the workers are to end.
    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed) || self.done() >= self.count
    }

    /// Ends the workers.
    pub fn stop(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    fn add(&self, end: &BurstEnd, answered: usize, handled: usize) {
        self.done.fetch_add(handled as u64, Ordering::Relaxed);
        self.answered.fetch_add(answered as u64, Ordering::Relaxed);
        match end {
            BurstEnd::Through => {}
            BurstEnd::Closed => _ = self.closed.fetch_add(1, Ordering::Relaxed),
            BurstEnd::Silent => _ = self.waited.fetch_add(1, Ordering::Relaxed),
        }
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let get = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let (done, answered) = (self.done(), get(&self.answered));
        let (closed, waited) = (get(&self.closed), get(&self.waited));
        write!(out, "{done} mutations: {answered} answered, {closed} closed, {waited} kept waiting")
    }
}

/// How a burst ended.
enum BurstEnd {
    /// All of it was handled.
    Through,
    /// The broker closed the connection.
    Closed,
    /// No answer came in time.
    Silent,
}

/// Sends mutations until enough is done.
pub fn work(entries: &[Entry], address: SocketAddr, seed: u64, progress: &Progress) -> Result<(), String> {
    let mut rng = Rng::new(seed);
    let mut burst: VecDeque<Mutant> = VecDeque::new();
    let mut stream = None;
    while !progress.is_over() {
        // A frame of the wrong length swallows what is behind it, so it is the last of its burst.
        while burst.len() < BURST_MAX && burst.back().is_none_or(|last| !last.is_misframed) {
            burst.push_back(mutant(entries, &mut rng));
        }
        let mut connection = match stream.take() {
            Some(connection) => connection,
            None => connect(address)?,
        };
        let (end, answered) = send(&mut connection, &burst);
        let handled = match end {
            BurstEnd::Through => burst.len(),
            BurstEnd::Closed | BurstEnd::Silent => (answered + 1).min(burst.len()),
        };
        progress.add(&end, answered, handled);
        burst.drain(..handled);
        if matches!(end, BurstEnd::Through) {
            stream = Some(connection);
        }
    }
    Ok(())
}

fn connect(address: SocketAddr) -> Result<TcpStream, String> {
    let connected = TcpStream::connect_timeout(&address, CONNECT_TIME_MAX).and_then(|stream| {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(SILENCE_MAX))?;
        stream.set_write_timeout(Some(SILENCE_MAX))?;
        Ok(stream)
    });
    connected.map_err(|error| format!("the broker takes no connection: {error}"))
}

/// Sends a burst; says how it ended and how many answers came.
fn send(stream: &mut TcpStream, burst: &VecDeque<Mutant>) -> (BurstEnd, usize) {
    let misframed = burst.back().is_some_and(|last| last.is_misframed);
    let mut bytes: Vec<u8> = burst.iter().flat_map(|mutant| mutant.bytes.iter().copied()).collect();
    if !misframed {
        bytes.extend(BARRIER);
    }
    // The broker may close while we write; the answers that came before are still to be read.
    let _ = stream.write_all(&bytes);
    if misframed {
        // So that a frame longer than its bytes does not wait for the rest.
        let _ = stream.shutdown(Shutdown::Write);
    }
    count_answers(stream)
}

/// Reads answers until the barrier's.
fn count_answers(stream: &mut TcpStream) -> (BurstEnd, usize) {
    let mut answers = Answers::default();
    let mut buffer = [0; 64 << 10];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return (BurstEnd::Closed, answers.count),
            Ok(read) => {
                if answers.take(&buffer[..read]) {
                    return (BurstEnd::Through, answers.count);
                }
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return (BurstEnd::Silent, answers.count);
            }
            Err(_) => return (BurstEnd::Closed, answers.count),
        }
    }
}

/// Finds the answers in what is read; keeps only what the next step needs.
#[derive(Default)]
struct Answers {
    /// Up to the first eight bytes of an answer: its length and its correlation id.
    head: Vec<u8>,
    /// Bytes of the present answer still to skip.
    skip: usize,
    count: usize,
    barrier_seen: bool,
}

impl Answers {
    /// Takes what was read; true once the barrier's answer is whole. Nothing follows it.
    fn take(&mut self, mut bytes: &[u8]) -> bool {
        const HEAD: usize = 8;
        while !bytes.is_empty() {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = &bytes[skipped..];
            let wanted = (HEAD - self.head.len()).min(bytes.len());
            self.head.extend_from_slice(&bytes[..wanted]);
            bytes = &bytes[wanted..];
            if self.head.len() == HEAD {
                let length = u32::from_be_bytes(self.head[..4].try_into().expect("four bytes"));
                self.skip = (length as usize).saturating_sub(4);
                self.barrier_seen = self.head[4..] == BARRIER_ID;
                self.count += usize::from(!self.barrier_seen);
                self.head.clear();
            }
        }
        self.barrier_seen && self.skip == 0
    }
}
