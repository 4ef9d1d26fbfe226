//! Clients that are programs of their own, over other libraries: they are told what to send, and say what came of it and what they
//! read, a line of JSON each (tests/interop/chaos/README.md).

use std::collections::BTreeMap;
use std::io;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};

use super::{Ground, Topic};
use crate::chaos::history::{Key, Kind, Op};

/// Records that wait for their answer; more are not ordered.
const WAITING_MAX: usize = 400;
/// How long the last answers are waited for at the end.
const LAST_ANSWERS_MAX: Duration = Duration::from_secs(35);

/// A line of a program.
#[derive(Deserialize)]
#[serde(untagged)]
enum Said {
    Sent { sent: u64, offset: i64 },
    Unknown { unknown: u64, why: String },
    Read { read: Vec<(i32, i64, String)> },
    Gone { gone: i32, why: String },
}

/// One process after another, until all is stopped.
pub(super) async fn live(ground: Arc<Ground>, topic: Topic, command: Vec<String>, rate: u64) {
    let mut rng = ground.rng();
    let mut stop = ground.stop.subscribe();
    while !ground.is_stopped() {
        let until = Instant::now() + Ground::life(&mut rng);
        let mut one = match One::start(&ground, &topic, &command) {
            Ok(one) => one,
            Err(error) => return ground.recorder.found("C24 run", format!("{command:?}: {error}")),
        };
        let tick = Duration::from_millis(1000 * topic.partitions as u64 / rate.max(1));
        let mut ticks = interval(tick.max(Duration::from_millis(5)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let in_order = loop {
            // What comes next is only named here: nothing is held while it is done.
            let line = tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => break true,
                () = sleep_until(until) => break false,
                line = one.lines.next_line() => Some(line),
                _ = ticks.tick() => None,
            };
            let went_on = match line {
                Some(line) => one.heard(line),
                None => one.order().await,
            };
            if let Err(error) = went_on {
                ground.recorder.found("C24 run", format!("client {} ended by itself: {error}", topic.name));
                break false;
            }
        };
        one.end(in_order).await;
    }
}

/// A program that runs.
struct One {
    ground: Arc<Ground>,
    topic: Topic,
    process: u32,
    child: Child,
    orders: Option<ChildStdin>,
    lines: Lines<BufReader<ChildStdout>>,
    next: u64,
    waiting: BTreeMap<u64, (Key, u64, Duration)>,
}

impl One {
    fn start(ground: &Arc<Ground>, topic: &Topic, command: &[String]) -> io::Result<One> {
        let (program, arguments) = command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let mut command = Command::new(program);
        command.args(arguments).arg(&ground.bootstrap).arg(&topic.name).arg(topic.partitions.to_string());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        let mut child = command.spawn()?;
        let orders = child.stdin.take();
        let out = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        Ok(One {
            ground: Arc::clone(ground),
            topic: topic.clone(),
            process: ground.recorder.process(),
            child,
            orders,
            lines: BufReader::new(out).lines(),
            next: 0,
            waiting: BTreeMap::new(),
        })
    }

    fn send(key: Key, value: u64, offset: Option<i64>) -> Op {
        Op::Send { key, value, offset, idempotent: true }
    }

    async fn order(&mut self) -> io::Result<()> {
        if self.waiting.len() >= WAITING_MAX {
            return Ok(());
        }
        self.next += 1;
        let value = u64::from(self.process) << 32 | self.next;
        for partition in 0..self.topic.partitions {
            let key = format!("{}/{partition}", self.topic.name);
            let begun = self.ground.recorder.now();
            let id = self.ground.recorder.begin(self.process, Self::send(key.clone(), value, None));
            self.waiting.insert(id, (key, value, begun));
            let line = format!("{{\"send\":{id},\"partition\":{partition},\"value\":\"{value}\"}}\n");
            let orders = self.orders.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
            orders.write_all(line.as_bytes()).await?;
        }
        Ok(())
    }

    fn heard(&mut self, line: io::Result<Option<String>>) -> io::Result<()> {
        let line = line?.ok_or(io::ErrorKind::UnexpectedEof)?;
        match serde_json::from_str(&line)? {
            Said::Sent { sent, offset } => {
                if let Some((key, value, begun)) = self.waiting.remove(&sent) {
                    self.ground.serve(&key, begun);
                    let offset = Some(offset).filter(|offset| *offset >= 0);
                    self.ground.recorder.end(
                        self.process,
                        sent,
                        Kind::Ok,
                        Self::send(key, value, offset),
                        None,
                    );
                }
            }
            Said::Unknown { unknown, why } => {
                if let Some((key, value, _)) = self.waiting.remove(&unknown) {
                    let op = Self::send(key, value, None);
                    self.ground.recorder.end(self.process, unknown, Kind::Info, op, Some(why));
                }
            }
            Said::Read { read } => self.read(read)?,
            Said::Gone { gone, why } => {
                let text = format!("{}/{gone} lost what {} read: {why}", self.topic.name, self.process);
                self.ground.recorder.found("C4 lost", text);
            }
        }
        Ok(())
    }

    fn read(&self, read: Vec<(i32, i64, String)>) -> io::Result<()> {
        let mut records: BTreeMap<Key, Vec<(i64, u64)>> = BTreeMap::new();
        for (partition, offset, value) in read {
            let value = value.parse().map_err(io::Error::other)?;
            records.entry(format!("{}/{partition}", self.topic.name)).or_default().push((offset, value));
        }
        for (key, records) in records {
            self.ground.recorder.note(self.process, Kind::Ok, Op::Poll { key, records, last: false });
        }
        Ok(())
    }

    /// Ends: in order, with all answers; or in the middle, as kill -9 does.
    async fn end(mut self, in_order: bool) {
        if in_order {
            self.orders = None;
            let rest = async {
                loop {
                    let line = self.lines.next_line().await;
                    if self.heard(line).is_err() {
                        break;
                    }
                }
            };
            // What is left then has an end nobody knows.
            let _ = timeout(LAST_ANSWERS_MAX, rest).await;
        }
        // It may have ended by itself.
        let _ = self.child.kill().await;
        for (id, (key, value, _)) in std::mem::take(&mut self.waiting) {
            let why = Some("the client ended".to_owned());
            self.ground.recorder.end(self.process, id, Kind::Info, Self::send(key, value, None), why);
        }
    }
}
