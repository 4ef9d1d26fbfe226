//! A producer: takes over its id, runs transactions, repeats what was not answered by a new connection.

use super::super::*;
use super::chance::Rng;
use super::partition::Tag;

/// What a producer is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Todo {
    /// Take over the id, or go on with what it believes to own.
    Init(Option<(ProducerId, ProducerEpoch)>),
    /// Begin the next transaction.
    Begin,
    /// Add these partitions, then write to all (old rules).
    Add(Vec<TopicPartition>),
    /// Write to these partitions, last first.
    Produce(Vec<TopicPartition>),
    /// End the transaction.
    End(bool),
}

/// A producer.
#[derive(Clone, Debug)]
pub struct Client {
    pub index: usize,
    pub id: &'static str,
    pub owner: Owner,
    pub todo: Todo,
    /// Counts its transactions.
    pub transaction: u32,
    /// Something was added or written in the present one.
    pub is_begun: bool,
    /// The request that is under way.
    pub waits: Option<Token>,
    /// So often it repeated the present request.
    pub repeats: u32,
}

impl Client {
    pub fn new(index: usize, id: &'static str, version: TransactionVersion) -> Self {
        let owner = Owner { version, ..Owner::of(-1, -1) };
        let todo = Todo::Init(None);
        Client { index, id, owner, todo, transaction: 0, is_begun: false, waits: None, repeats: 0 }
    }

    pub fn tag(&self) -> Tag {
        (self.index, self.transaction)
    }

    /// Chooses what the next transaction touches.
    pub fn begin(&mut self, rng: &mut Rng) {
        self.transaction += 1;
        self.is_begun = false;
        let mut touched = partitions(&["t-0", "t-1", "u-0"]);
        touched.retain(|_| rng.percent(60));
        self.todo = match self.owner.version {
            _ if touched.is_empty() => Todo::Begin,
            TransactionVersion::V1 => Todo::Add(touched),
            TransactionVersion::V2 => Todo::Produce(touched),
        };
    }

    /// Somebody else owns the id, or nobody knows: it takes over, or tries to go on.
    pub fn fenced(&mut self, rng: &mut Rng) {
        let goes_on = self.owner.producer_id >= 0 && rng.percent(40);
        self.todo = Todo::Init(if goes_on { self.owner.current() } else { None });
    }

    /// A write failed, perhaps after it was done.
    pub fn write_failed(&mut self, error: ErrorCode, rng: &mut Rng) {
        match error {
            ErrorCode::ConcurrentTransactions => {}
            ErrorCode::ProducerFenced | ErrorCode::InvalidProducerIdMapping if rng.percent(50) => {
                self.fenced(rng);
            }
            _ => self.todo = Todo::End(ABORT),
        }
    }

    pub fn wrote(&mut self, rng: &mut Rng) {
        self.is_begun = true;
        let Todo::Produce(left) = &mut self.todo else { return };
        left.pop();
        if left.is_empty() {
            self.todo = Todo::End(rng.percent(60));
        }
    }

    /// The request for what is to be done, if the coordinator is to be asked.
    pub fn request(&self) -> Option<TransactionRequest> {
        let (transactional_id, owner) = (self.id.to_owned(), self.owner);
        match &self.todo {
            Todo::Begin | Todo::Produce(_) => None,
            Todo::Init(current) => Some(TransactionRequest::Init(InitRequest {
                transactional_id,
                timeout_ms: 10_000,
                connection: owner.connection,
                ..init_request(*current)
            })),
            Todo::Add(partitions) => Some(TransactionRequest::Add(AddRequest {
                transactional_id,
                partitions: partitions.clone(),
                ..Shard::add_request(owner, &[])
            })),
            Todo::End(commit) => Some(TransactionRequest::End(EndRequest {
                transactional_id,
                producer_id: owner.producer_id,
                producer_epoch: owner.epoch,
                commit: *commit,
                version: owner.version,
                connection: owner.connection,
            })),
        }
    }

    /// What its leader asks the coordinator before a write.
    pub fn leader_request(&self, partition: &TopicPartition) -> TransactionRequest {
        TransactionRequest::Add(AddRequest {
            transactional_id: self.id.to_owned(),
            partitions: vec![partition.clone()],
            verify_only: self.owner.version == TransactionVersion::V1,
            connection: None,
            ..Shard::add_request(self.owner, &[])
        })
    }

    /// An answer of the coordinator. Says how the transaction ended, if that is what it tells.
    pub fn answered(
        &mut self,
        answer: Result<TransactionReply, ErrorCode>,
        rng: &mut Rng,
    ) -> (ErrorCode, Option<(Tag, bool)>) {
        let mut told = None;
        let error = match (&answer, &self.todo) {
            (Ok(TransactionReply::Init(reply)), Todo::Init(_)) => reply.error,
            (Ok(TransactionReply::Add(results)), Todo::Add(_)) => results[0].1,
            (Ok(TransactionReply::End(reply)), Todo::End(_)) => reply.error,
            (Err(error), _) => *error,
            (reply, todo) => panic!("{reply:?} to {todo:?}"),
        };
        match error {
            ErrorCode::None => told = self.succeeded(answer.expect("no error")),
            ErrorCode::ConcurrentTransactions
            | ErrorCode::CoordinatorLoadInProgress
            | ErrorCode::CoordinatorNotAvailable
            | ErrorCode::NotCoordinator => {}
            _ if self.todo == Todo::Init(None) => {}
            _ => self.fenced(rng),
        }
        (error, told)
    }

    fn succeeded(&mut self, reply: TransactionReply) -> Option<(Tag, bool)> {
        let todo = std::mem::replace(&mut self.todo, Todo::Begin);
        match (reply, todo) {
            (TransactionReply::Init(reply), _) => {
                (self.owner.producer_id, self.owner.epoch) = (reply.producer_id, reply.producer_epoch);
                None
            }
            (TransactionReply::Add(_), Todo::Add(added)) => {
                self.is_begun = true;
                self.todo = Todo::Produce(added);
                None
            }
            (TransactionReply::End(reply), Todo::End(commit)) => {
                if self.owner.version == TransactionVersion::V2 {
                    (self.owner.producer_id, self.owner.epoch) = (reply.producer_id, reply.producer_epoch);
                }
                Some((self.tag(), commit))
            }
            (reply, todo) => panic!("{reply:?} to {todo:?}"),
        }
    }
}
