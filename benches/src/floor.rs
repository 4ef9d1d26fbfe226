//! The floor: the least a durable broker can do on this machine, with the same driver at the other end.
//!
//! One thread a connection, no hand-over between threads: read what has come, check each batch's CRC-32C, write it,
//! one fdatasync for all of it, answer. Fetches are sent from the file. There is no index on disk, no recovery, no
//! group, no validation of records, no limit: a broker that does those has to cost more, and the bench tells how much.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use bytes::Bytes;
use rustix::buffer::spare_capacity;
use tidemark_protocol::request;

mod answer;

mod log;

use log::Log;

/// Room given to each read: some pipelined requests at once.
const READ_BYTES: usize = 128 * 1024;
/// Longest request, as in Kafka.
const REQUEST_BYTES_MAX: usize = 100 << 20;

/// A running floor.
#[derive(Debug)]
pub struct Floor {
    listener: TcpListener,
    shared: Arc<Shared>,
}

/// What all connections share.
#[derive(Debug)]
struct Shared {
    address: SocketAddr,
    data: PathBuf,
    sync: bool,
    topics: Mutex<BTreeMap<String, Vec<Arc<Log>>>>,
    /// Counts what has become visible; fetches wait for it to change.
    published: Mutex<u64>,
    changed: Condvar,
}

/// A piece of an answer.
#[derive(Debug)]
enum Out {
    Bytes(Bytes),
    File { log: Arc<Log>, position: u64, len: usize },
}

/// What a round of requests leaves to be done before its answers may go.
#[derive(Debug, Default)]
struct Round {
    answers: Vec<Out>,
    /// Written logs with the end to publish; to be synced first if the flag says so.
    written: Vec<(Arc<Log>, log::End, bool)>,
}

impl Floor {
    /// Listens, with its files in `data`. `sync` is whether acks=all waits for fdatasync.
    ///
    /// # Errors
    /// When the address is taken.
    pub fn bind(address: &str, data: PathBuf, sync: bool) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        let shared = Arc::new(Shared {
            address: listener.local_addr()?,
            data,
            sync,
            topics: Mutex::default(),
            published: Mutex::default(),
            changed: Condvar::new(),
        });
        Ok(Floor { listener, shared })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.shared.address
    }

    /// Serves until accepting fails.
    ///
    /// # Errors
    /// That of accepting.
    pub fn run(self) -> io::Result<()> {
        loop {
            let (stream, _) = self.listener.accept()?;
            let shared = Arc::clone(&self.shared);
            thread::spawn(move || {
                if let Err(error) = serve(&stream, &shared) {
                    eprintln!("floor: connection closed: {error}");
                }
            });
        }
    }
}

/// Serves one connection until it is closed.
fn serve(stream: &TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = Vec::new();
    loop {
        let whole = loop {
            let whole = whole_frames(&buffer)?;
            if whole > 0 {
                break whole;
            }
            buffer.reserve(READ_BYTES);
            if rustix::io::read(stream, spare_capacity(&mut buffer))? == 0 {
                return Ok(());
            }
        };
        let mut frames = Bytes::from(std::mem::take(&mut buffer));
        buffer.extend_from_slice(&frames.split_off(whole));
        let mut round = Round::default();
        while !frames.is_empty() {
            let length = frame_length(&frames)?.expect("only whole frames were split off");
            let frame = frames.split_to(4 + length).slice(4..);
            answer::answer(frame, shared, &mut round)?;
        }
        finish(stream, shared, round)?;
    }
}

/// Syncs what the round wrote, makes it visible, and sends the answers.
fn finish(mut stream: &TcpStream, shared: &Shared, round: Round) -> io::Result<()> {
    let mut last: BTreeMap<*const Log, usize> = BTreeMap::new();
    for (at, (log, _, _)) in round.written.iter().enumerate() {
        last.insert(Arc::as_ptr(log), at);
    }
    for &at in last.values() {
        let (log, end, sync) = &round.written[at];
        if *sync {
            log.sync()?;
        }
        log.publish(*end);
    }
    if !last.is_empty() {
        *shared.published.lock().expect("no holder panics") += 1;
        shared.changed.notify_all();
    }
    let mut small = Vec::new();
    for out in round.answers {
        match out {
            Out::Bytes(bytes) => small.extend_from_slice(&bytes),
            Out::File { log, position, len } => {
                stream.write_all(&small)?;
                small.clear();
                log.send(stream, position, len)?;
            }
        }
    }
    stream.write_all(&small)
}

/// Length of the frame in front, once its four bytes are here.
fn frame_length(bytes: &[u8]) -> io::Result<Option<usize>> {
    let Some(length) = bytes.first_chunk() else { return Ok(None) };
    match usize::try_from(i32::from_be_bytes(*length)) {
        Ok(length) if length <= REQUEST_BYTES_MAX => Ok(Some(length)),
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, "frame length")),
    }
}

/// Bytes of the whole frames in front.
fn whole_frames(bytes: &[u8]) -> io::Result<usize> {
    let mut whole = 0;
    while let Some(length) = frame_length(&bytes[whole..])? {
        if bytes.len() < whole + 4 + length {
            break;
        }
        whole += 4 + length;
    }
    Ok(whole)
}

/// An error of the protocol as one that closes the connection.
fn invalid(error: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error.to_string())
}

/// Header and body of a request.
fn decode<R: kafka_protocol::protocol::Decodable>(
    header: &request::RequestHeader,
    body: Bytes,
) -> io::Result<R> {
    request::decode_body(header, body).map_err(invalid)
}

#[cfg(test)]
mod tests;
