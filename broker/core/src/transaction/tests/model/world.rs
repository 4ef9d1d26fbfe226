//! The world around a coordinator: the network, the leaders, the worker, and what goes wrong.

use std::collections::BTreeSet;

use super::super::super::record::transaction_record;
use super::super::*;
use super::bugs::Bug;
use super::chance::Rng;
use super::client::{Client, Todo};
use super::history::History;
use super::node::Node;
use super::partition::{Marked, Partition, Tag};

/// Steps of a history before everything is let come to rest.
const STEPS: usize = 900;
/// Requests that a round takes at most.
const ROUND_MAX: usize = 4;

/// What is under way.
#[derive(Clone, Debug)]
enum Flight {
    /// To the coordinator of that epoch.
    Request { token: Token, epoch: i32, request: TransactionRequest },
    /// To whoever asked.
    Answer { token: Token, answer: Result<TransactionReply, ErrorCode> },
    /// To a partition's leader, from the worker of the coordinator of that epoch.
    Marker { of: (i32, Attempt), marker: MarkersToSend, partition: TopicPartition },
}

/// Who asked.
#[derive(Clone, Debug)]
enum Asker {
    Client(usize),
    Leader { client: usize, tag: Tag, owner: Owner, partition: TopicPartition, guard: u64 },
    Worker,
    News,
}

/// An attempt the worker makes.
#[derive(Clone, Debug)]
struct Sending {
    left: BTreeSet<TopicPartition>,
    results: Vec<(TopicPartition, MarkerResult)>,
}

/// Everything.
pub struct World {
    pub is_traced: bool,
    pub history: History,
    rng: Rng,
    bug: Bug,
    now: Now,
    node: Node,
    clients: Vec<Client>,
    partitions: BTreeMap<TopicPartition, Partition>,
    flights: Vec<Flight>,
    /// Requests that arrived.
    inbox: Vec<(Token, TransactionRequest)>,
    askers: BTreeMap<Token, Asker>,
    last_token: Token,
    last_connection: ConnectionSequence,
    received: Attempt,
    sending: BTreeMap<(i32, Attempt), Sending>,
    reports: Vec<MarkersSent>,
    next_id: ProducerId,
    /// Records the history was told of.
    told: usize,
    /// Nothing goes wrong but the network.
    is_quiet: bool,
    /// Nothing goes wrong, and nobody begins anything.
    is_calm: bool,
}

impl World {
    pub fn new(seed: u64, bug: Bug) -> Self {
        let used_up = Transaction { producer_epoch: 32_762, ..Transaction::new(50, 10_000, 0) };
        let node = Node::new(vec![transaction_record("used-up", &used_up)], bug);
        let versions = [TransactionVersion::V1, TransactionVersion::V2];
        let ids = ["shared", "shared", "own", "used-up", "another"];
        let mut rng = Rng::new(seed);
        let is_quiet = rng.percent(50);
        // Among few, each comes further.
        let count = if is_quiet { 2 + rng.below(2) } else { ids.len() };
        let client = |(index, id)| Client::new(index, id, versions[rng.below(2)]);
        let clients = ids.into_iter().rev().take(count).enumerate().map(client).collect();
        let partitions = partitions(&["t-0", "t-1", "u-0"]).into_iter();
        let mut world = World {
            is_traced: false,
            history: History::default(),
            rng,
            bug,
            now: Now { mono: Duration::from_secs(1), wall_ms: 1_000_000 },
            node,
            clients,
            partitions: partitions.map(|partition| (partition, Partition::default())).collect(),
            flights: Vec::new(),
            inbox: Vec::new(),
            askers: BTreeMap::new(),
            last_token: 0,
            last_connection: 0,
            received: 0,
            sending: BTreeMap::new(),
            reports: Vec::new(),
            next_id: 1_000,
            told: 0,
            is_quiet,
            is_calm: false,
        };
        world.fail_over();
        world
    }

    /// A whole history.
    pub fn run(&mut self) {
        for _ in 0..STEPS {
            self.step();
        }
        self.come_to_rest();
        self.history.check_rest();
        for (name, partition) in &self.partitions {
            assert!(partition.hanging().is_empty(), "{name:?} hangs: {:?}", partition.hanging());
        }
    }

    fn step(&mut self) {
        match self.rng.below(1_000) {
            0..250 => self.client_step(),
            250..580 => self.deliver(),
            580..760 => self.round(),
            760..900 => self.commit(),
            900..935 => self.client_gives_up(),
            935..950 => self.report_again(),
            950..964 if self.is_quiet => self.commit(),
            950..956 => self.answer_given_up(),
            956..961 => self.fail_over(),
            961..964 => {
                let client = self.rng.below(self.clients.len());
                let client = &mut self.clients[client];
                (client.waits, client.todo) = (None, Todo::Init(None));
            }
            964..998 => self.pass_time(300),
            _ if self.is_quiet => {}
            _ => self.pass_time(12_000),
        }
    }

    fn trace(&self, what: impl FnOnce() -> String) {
        if self.is_traced {
            println!("{:>9} {}", self.now.mono.as_millis(), what());
        }
    }

    fn come_to_rest(&mut self) {
        self.is_calm = true;
        for _ in 0..200 {
            for _ in 0..8 {
                while !self.flights.is_empty() {
                    self.deliver();
                }
                self.round();
                self.commit();
            }
            self.pass_time(300);
        }
    }

    fn pass_time(&mut self, ms: usize) {
        let ms = if self.is_calm { ms } else { self.rng.below(ms) };
        self.now.mono += Duration::from_millis(ms as u64);
        self.now.wall_ms += ms as i64;
    }

    fn token(&mut self, asker: Asker) -> Token {
        self.last_token += 1;
        self.askers.insert(self.last_token, asker);
        self.last_token
    }

    fn connect(&mut self, client: usize) {
        self.last_connection += 1;
        let connection = (self.bug != Bug::NoConnections).then_some(self.last_connection);
        self.clients[client].owner.connection = connection;
    }

    // ---- producers ----

    fn client_step(&mut self) {
        let index = self.rng.below(self.clients.len());
        if self.clients[index].waits.is_some() {
            return;
        }
        if self.clients[index].owner.connection.is_none() {
            self.connect(index);
        }
        let client = &mut self.clients[index];
        match &client.todo {
            Todo::Begin => client.begin(&mut self.rng),
            Todo::Produce(left) => {
                let partition = left.last().expect("something to write").clone();
                self.produce(index, partition);
            }
            Todo::End(false) if !client.is_begun && client.owner.version == TransactionVersion::V1 => {
                client.todo = Todo::Begin;
            }
            Todo::Init(_) | Todo::Add(_) | Todo::End(_) => {
                let request = client.request().expect("the coordinator is asked");
                if client.todo == Todo::End(COMMIT) {
                    self.history.wished(client.tag());
                }
                self.trace(|| format!("client {index} {request:?}"));
                self.ask(index, request);
            }
        }
    }

    fn ask(&mut self, client: usize, request: TransactionRequest) {
        let token = self.token(Asker::Client(client));
        self.clients[client].waits = Some(token);
        self.flights.push(Flight::Request { token, epoch: self.node.epoch, request });
    }

    /// No answer in time: the same again by a new connection, or the write has failed. The old request is still under way.
    fn client_gives_up(&mut self) {
        let index = self.rng.below(self.clients.len());
        if self.clients[index].waits.take().is_none() {
            return;
        }
        self.trace(|| format!("client {index} gives up waiting"));
        self.connect(index);
        let client = &mut self.clients[index];
        client.repeats += 1;
        if matches!(client.todo, Todo::Produce(_)) {
            client.is_begun = true;
            client.write_failed(ErrorCode::RequestTimedOut, &mut self.rng);
        }
    }

    fn produce(&mut self, index: usize, name: TopicPartition) {
        let client = &self.clients[index];
        let (tag, owner) = (client.tag(), client.owner);
        let request = client.leader_request(&name);
        let partition = self.partitions.get_mut(&name).expect("a partition");
        if partition.is_open(owner.producer_id, owner.epoch) {
            let written = partition.append(owner.producer_id, owner.epoch, tag, None);
            assert_eq!(written, Ok(()));
            return self.clients[index].wrote(&mut self.rng);
        }
        let guard = partition.guard(owner.producer_id);
        self.trace(|| format!("client {index} writes to {name:?} as {owner:?}"));
        let token = self.token(Asker::Leader { client: index, tag, owner, partition: name, guard });
        self.clients[index].waits = Some(token);
        self.flights.push(Flight::Request { token, epoch: self.node.epoch, request });
    }

    /// The coordinator answered a leader: it appends, unless something happened since.
    fn leader_answered(
        &mut self,
        token: Token,
        asker: (usize, Tag, Owner, TopicPartition, u64),
        answer: Result<TransactionReply, ErrorCode>,
    ) {
        let (index, tag, owner, name, guard) = asker;
        let error = match answer {
            Ok(TransactionReply::Add(results)) => results[0].1,
            Err(error) => error,
            other => panic!("{other:?} to a leader"),
        };
        let written = if error == ErrorCode::None {
            let guard = (self.bug != Bug::NoGuard).then_some(guard);
            let partition = self.partitions.get_mut(&name).expect("a partition");
            partition.append(owner.producer_id, owner.epoch, tag, guard)
        } else {
            Err(error)
        };
        self.trace(|| format!("{name:?} writes {tag:?}: {written:?}"));
        let client = &mut self.clients[index];
        if client.waits != Some(token) {
            if error == ErrorCode::None && written.is_err() {
                self.history.saw("batch came after its transaction");
            }
            return;
        }
        client.waits = None;
        match written {
            Ok(()) => client.wrote(&mut self.rng),
            Err(error) => {
                client.is_begun = true;
                client.write_failed(error, &mut self.rng);
            }
        }
    }

    fn client_answered(&mut self, index: usize, token: Token, answer: Result<TransactionReply, ErrorCode>) {
        let is_old_connection = match &answer {
            Ok(TransactionReply::End(reply)) => reply.error == ErrorCode::InvalidProducerEpoch,
            Ok(TransactionReply::Add(results)) => results[0].1 == ErrorCode::InvalidProducerEpoch,
            _ => false,
        };
        if is_old_connection {
            self.history.saw("connection fenced");
        }
        let client = &mut self.clients[index];
        if client.waits != Some(token) || self.is_calm {
            return;
        }
        client.waits = None;
        let goes_on = matches!(client.todo, Todo::Init(Some(_)));
        let (error, told) = client.answered(answer, &mut self.rng);
        match error {
            ErrorCode::ProducerFenced => self.history.saw("fenced"),
            ErrorCode::None if goes_on && client.repeats > 0 => self.history.saw("init repeated"),
            _ => {}
        }
        client.repeats = if error == ErrorCode::None { 0 } else { client.repeats };
        if let Some((tag, commit)) = told {
            self.trace(|| format!("{tag:?} is told {commit}"));
            self.history.told(tag, commit);
        }
    }

    // ---- the network ----

    fn deliver(&mut self) {
        if self.flights.is_empty() {
            return;
        }
        let at = self.rng.below(self.flights.len());
        if self.is_held_up(&self.flights[at]) && self.rng.percent(97) {
            return;
        }
        let is_lost = !self.is_calm && self.rng.percent(5);
        match self.flights.swap_remove(at) {
            Flight::Request { token, epoch, request } if !is_lost => self.arrive(token, epoch, request),
            Flight::Answer { token, answer } if !is_lost => self.answered(token, answer),
            Flight::Request { .. } | Flight::Answer { .. } => {}
            Flight::Marker { of, marker, partition } => self.mark(of, marker, partition, is_lost),
        }
    }

    /// What nobody waits for any more tends to come very late.
    fn is_held_up(&self, flight: &Flight) -> bool {
        let is_held_up = match flight {
            Flight::Request { token, .. } => match self.askers.get(token) {
                Some(Asker::Client(client)) => self.clients[*client].waits != Some(*token),
                _ => false,
            },
            Flight::Marker { of: (epoch, attempt), .. } => *attempt == 0 || *epoch != self.node.epoch,
            Flight::Answer { .. } => false,
        };
        is_held_up && !self.is_calm
    }

    /// A request for a coordinator that was replaced finds nobody.
    fn arrive(&mut self, token: Token, epoch: i32, request: TransactionRequest) {
        if epoch != self.node.epoch {
            self.flights.push(Flight::Answer { token, answer: Err(ErrorCode::NotCoordinator) });
            return;
        }
        if let Some(Asker::Client(client)) = self.askers.get(&token)
            && self.clients[*client].waits != Some(token)
        {
            self.history.saw("request came late");
        }
        self.inbox.push((token, request));
    }

    fn answered(&mut self, token: Token, answer: Result<TransactionReply, ErrorCode>) {
        match self.askers.remove(&token).expect("an asker is answered once") {
            Asker::Client(index) => self.client_answered(index, token, answer),
            Asker::Leader { client, tag, owner, partition, guard } => {
                self.leader_answered(token, (client, tag, owner, partition, guard), answer);
            }
            Asker::Worker | Asker::News => {}
        }
    }

    // ---- the coordinator ----

    fn round(&mut self) {
        let count = if self.is_calm { self.inbox.len() } else { self.inbox.len().min(ROUND_MAX) };
        let asked = self.inbox.drain(..count).collect();
        let is_refused = !self.is_calm && !self.is_quiet && self.rng.percent(10);
        let (answers, was_refused) = self.node.round(asked, is_refused, self.now);
        if was_refused {
            self.trace(|| "the log refuses".to_owned());
            self.history.saw("append refused");
        }
        self.send_answers(answers);
    }

    fn commit(&mut self) {
        let end = if self.is_calm { self.node.log.len() } else { self.node.survives(&mut self.rng) };
        self.commit_to(end);
    }

    fn commit_to(&mut self, end: usize) {
        let answers = self.node.commit(end);
        while self.told < self.node.committed {
            let record = self.node.log[self.told].clone();
            let value = record.value.as_deref().map(|value| parse_value(value).expect("ours"));
            self.trace(|| format!("committed: {:?} {value:?}", parse_key(&record.key)));
            let timed_out = value.is_some_and(|value| {
                value.state == State::PrepareAbort && value.last_update_ms - value.start_ms >= 10_000
            });
            if timed_out {
                self.history.saw("timed out");
            }
            self.history.committed(&record);
            self.told += 1;
        }
        self.send_answers(answers);
    }

    fn send_answers(&mut self, answers: Vec<(Token, TransactionReply)>) {
        for (token, answer) in answers {
            match (self.askers.get(&token), answer) {
                (Some(Asker::Worker), TransactionReply::Work(work)) => self.work(token, work),
                (Some(_), answer) => self.flights.push(Flight::Answer { token, answer: Ok(answer) }),
                (None, answer) => panic!("nobody asked for {answer:?}, or twice"),
            }
        }
    }

    fn answer_given_up(&mut self) {
        let answers = self.node.give_up();
        answers.iter().for_each(|_| self.history.saw("answer given up"));
        self.send_answers(answers);
    }

    fn fail_over(&mut self) {
        let keep = self.node.survives(&mut self.rng);
        if keep < self.node.log.len() {
            self.history.saw("new coordinator lacks records");
        }
        self.history.saw("new coordinator");
        self.trace(|| "new coordinator".to_owned());
        self.node.fail_over(keep, self.now);
        for (token, _) in std::mem::take(&mut self.inbox) {
            self.flights.push(Flight::Answer { token, answer: Err(ErrorCode::NotCoordinator) });
        }
        self.received = 0;
        self.reports.clear();
        self.commit_to(keep);
        self.stand_ready();
    }

    // ---- the worker ----

    fn stand_ready(&mut self) {
        let token = self.token(Asker::Worker);
        self.inbox.push((token, TransactionRequest::Work { received: self.received, fetches_ids: false }));
    }

    fn tell(&mut self, news: TransactionRequest) {
        let token = self.token(Asker::News);
        self.inbox.push((token, news));
    }

    fn work(&mut self, token: Token, work: Work) {
        self.askers.remove(&token);
        for marker in work.markers {
            self.trace(|| format!("worker gets {marker:?}"));
            self.received = marker.attempt;
            let of = (self.node.epoch, marker.attempt);
            let left = marker.partitions.iter().cloned().collect();
            self.sending.insert(of, Sending { left, results: Vec::new() });
            for partition in marker.partitions.clone() {
                self.flights.push(Flight::Marker { of, marker: marker.clone(), partition });
            }
        }
        if work.producer_ids > 0 {
            let count = work.producer_ids as ProducerId;
            let ids = (self.next_id..self.next_id + count).collect();
            self.next_id += count;
            let brings = self.is_calm || self.rng.percent(70);
            let ids = if brings { Ok(ids) } else { Err(ErrorCode::RequestTimedOut) };
            self.tell(TransactionRequest::ProducerIds(ids));
        }
        self.stand_ready();
    }

    /// A marker arrives at its partition, or does not.
    fn mark(&mut self, of: (i32, Attempt), marker: MarkersToSend, name: TopicPartition, is_lost: bool) {
        if is_lost {
            let counts = self.bug == Bug::LostMarkersCount;
            let code = if counts { ErrorCode::None } else { ErrorCode::NetworkException };
            if self.bug == Bug::LateMarkers && self.sending.contains_key(&of) {
                // It is on its way still, of an attempt that nobody waits for.
                self.flights.push(Flight::Marker { of: (of.0, 0), marker, partition: name.clone() });
            }
            return self.marked(of, name, code);
        }
        let partition = self.partitions.get_mut(&name).expect("a partition");
        let marked = partition.mark(&marker, self.bug != Bug::NoCoordinatorEpochs);
        self.trace(|| format!("{name:?} takes {marker:?}: {marked:?}"));
        match marked {
            Ok(Marked::Ended(tag)) => self.history.ended(tag, marker.commit),
            Ok(Marked::Nothing) => self.history.saw("marker repeated"),
            Err(ErrorCode::TransactionCoordinatorFenced) => {
                self.history.saw("marker of an older coordinator refused");
            }
            Err(_) => {}
        }
        if marked.is_ok() {
            self.history.marked(&marker, &name);
        }
        let code = marked.err().unwrap_or(ErrorCode::None);
        if !self.is_calm && self.rng.percent(15) {
            self.history.saw("marker taken and its answer lost");
            return self.marked(of, name, ErrorCode::RequestTimedOut);
        }
        self.marked(of, name, code);
    }

    /// The worker knows what came of one partition; it reports once it knows of all.
    fn marked(&mut self, of: (i32, Attempt), name: TopicPartition, code: ErrorCode) {
        let Some(sending) = self.sending.get_mut(&of) else { return };
        sending.left.remove(&name);
        sending.results.push((name, MarkerResult::Answered(code)));
        if !sending.left.is_empty() {
            return;
        }
        let sending = self.sending.remove(&of).expect("it was there");
        if of.0 == self.node.epoch {
            let sent = MarkersSent { attempt: of.1, results: sending.results };
            self.reports.push(sent.clone());
            self.tell(TransactionRequest::MarkersSent(sent));
        }
    }

    fn report_again(&mut self) {
        if self.reports.is_empty() {
            return;
        }
        let at = self.rng.below(self.reports.len());
        let mut sent = self.reports[at].clone();
        if self.bug == Bug::AnyAttempt {
            sent.attempt = self.received;
        }
        self.history.saw("result told twice");
        self.tell(TransactionRequest::MarkersSent(sent));
    }
}
