//! How a node with an empty directory finds its cluster, or founds one.
//!
//! Seeds are the addresses a node is configured with. While any of them belongs to a cluster, a newcomer joins that one: it
//! is admitted (it gets an id that no voter ever had), then the leader sends it the metadata. Only when every seed says
//! that it is new as well may the first of them found a cluster: a seed that does not answer may hold one.
//!
//! ```text
//!  no seeds ─────────────────────────────────────────────▶ found
//!  seeds ─▶ ask all ─▶ one is in a cluster ─▶ Admit ─▶ Join
//!               └────▶ all are new ─▶ the first seed founds, the others ask again
//! ```

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tidemark_protocol::types::BrokerId;
use uuid::Uuid;

use super::quorum::{RaftId, Voter};
use crate::peer::{Call, CallError, PeerClients, Purpose};

/// How long one question to a seed may take.
const ANSWER_PATIENCE: Duration = Duration::from_secs(2);
/// Between two rounds of questions.
const ROUND_PAUSE: Duration = Duration::from_millis(200);
/// Rounds after which the log says what is waited for, and again after as many.
const ROUNDS_IN_SILENCE: u32 = 25;

/// Asks a node where it stands.
#[derive(Debug, Serialize, Deserialize)]
pub struct WhereDoYouStand {
    /// The address it was asked at.
    pub at: String,
}

/// Answer to [`WhereDoYouStand`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Standing {
    /// In no cluster yet.
    New,
    /// In this one.
    Member {
        /// The cluster.
        cluster_id: String,
        /// Where the controller is, if it knows.
        controller: Option<String>,
    },
}

impl Call for WhereDoYouStand {
    const KIND: u8 = 20;
    const NAME: &'static str = "where do you stand";
    type Answer = Standing;
}

/// Asks the controller for an id among the voters.
#[derive(Debug, Serialize, Deserialize)]
pub struct Admit {
    /// The newcomer.
    pub node_id: BrokerId,
    /// Its directory.
    pub directory_id: Uuid,
}

/// The id, or who else to ask.
pub type Admission = Result<RaftId, Elsewhere>;

impl Call for Admit {
    const KIND: u8 = 21;
    const NAME: &'static str = "admit";
    type Answer = Admission;
}

/// Tells the controller where a member of the quorum is reached, so that it is sent the metadata.
#[derive(Debug, Serialize, Deserialize)]
pub struct Join {
    /// The member.
    pub id: RaftId,
    /// What the others need to know of it.
    pub voter: Voter,
}

impl Call for Join {
    const KIND: u8 = 22;
    const NAME: &'static str = "join";
    type Answer = Result<(), Elsewhere>;
}

/// Why a question has to be asked again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Elsewhere {
    /// The controller is there, if it is known.
    Ask(Option<String>),
    /// The quorum is busy with another change.
    Later(String),
}

/// What an empty directory becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Formation {
    /// The first member of a new cluster.
    Found,
    /// A member of this one.
    Join {
        /// The cluster.
        cluster_id: String,
        /// Its id among the voters.
        raft_id: RaftId,
    },
}

/// Finds out what this node, reached at `own` address, becomes. Asks for as long as it takes; founds no cluster where it may not
/// vote.
pub async fn find(clients: &PeerClients, own: &str, seeds: &[String], may_vote: bool) -> Formation {
    if seeds.is_empty() {
        return Formation::Found;
    }
    for round in 1.. {
        let standings = ask_all(clients, own, seeds).await;
        if let Some((cluster_id, controller)) = standings.iter().find_map(member) {
            match admitted(clients, controller).await {
                Ok(raft_id) => return Formation::Join { cluster_id, raft_id },
                Err(why) => tracing::debug!(why, "not admitted yet"),
            }
        } else if may_vote && may_found(own, seeds, &standings) {
            return Formation::Found;
        }
        if round % ROUNDS_IN_SILENCE == 0 {
            tell(own, seeds, &standings);
        }
        tokio::time::sleep(ROUND_PAUSE).await;
    }
    unreachable!("the rounds do not end")
}

type Answers = Vec<(String, Result<Standing, CallError>)>;

async fn ask_all(clients: &PeerClients, own: &str, seeds: &[String]) -> Answers {
    let others = seeds.iter().filter(|seed| *seed != own);
    let asked = others.map(|seed| async move {
        let question = WhereDoYouStand { at: seed.clone() };
        (seed.clone(), clients.to(seed, Purpose::Control).call(question, ANSWER_PATIENCE).await)
    });
    futures_util::future::join_all(asked).await
}

/// A cluster that was found, and whom to ask to be let in.
fn member((seed, answer): &(String, Result<Standing, CallError>)) -> Option<(String, String)> {
    match answer {
        Ok(Standing::Member { cluster_id, controller }) => {
            Some((cluster_id.clone(), controller.clone().unwrap_or_else(|| seed.clone())))
        }
        _ => None,
    }
}

/// The first seed founds, once all others are known to be new.
fn may_found(own: &str, seeds: &[String], answers: &Answers) -> bool {
    seeds.first().is_some_and(|first| first == own)
        && answers.iter().all(|(_, answer)| *answer == Ok(Standing::New))
}

async fn admitted(clients: &PeerClients, controller: String) -> Result<RaftId, String> {
    let me = clients.me();
    let mut address = controller;
    // The first asked may only know who leads; whoever it names knows better.
    for _ in 0..3 {
        let question = Admit { node_id: me.node_id, directory_id: me.directory_id };
        let answer = clients.to(&address, Purpose::Control).call(question, ANSWER_PATIENCE).await;
        match answer.map_err(|error| error.to_string())? {
            Ok(raft_id) => return Ok(raft_id),
            Err(Elsewhere::Ask(Some(other))) => address = other,
            Err(Elsewhere::Ask(None)) => return Err(format!("{address} knows no controller")),
            Err(Elsewhere::Later(why)) => return Err(why),
        }
    }
    Err("nobody says that it is the controller".to_owned())
}

fn tell(own: &str, seeds: &[String], answers: &Answers) {
    let (mut silent, mut new) = (Vec::new(), Vec::new());
    for (seed, answer) in answers {
        match answer {
            Ok(Standing::New) => new.push(seed.as_str()),
            Ok(Standing::Member { .. }) => {}
            Err(error) => silent.push(error.to_string()),
        }
    }
    let founder = seeds.first().map_or(own, String::as_str);
    tracing::info!(silent = ?silent, new = ?new, founder, "looking for the cluster; {founder} founds one once all are there");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(all: &[(&str, Result<Standing, CallError>)]) -> Answers {
        all.iter().map(|(seed, answer)| ((*seed).to_owned(), answer.clone())).collect()
    }

    fn silent() -> Result<Standing, CallError> {
        Err(CallError::TimedOut { address: "b".to_owned() })
    }

    #[test]
    fn the_first_seed_founds_once_every_other_says_that_it_is_new() {
        let seeds = ["a", "b", "c"].map(str::to_owned);
        let all_new = answers(&[("b", Ok(Standing::New)), ("c", Ok(Standing::New))]);
        assert!(may_found("a", &seeds, &all_new));
        assert!(!may_found("b", &seeds, &all_new), "only the first");
        let one_silent = answers(&[("b", silent()), ("c", Ok(Standing::New))]);
        assert!(!may_found("a", &seeds, &one_silent), "the silent one may hold a cluster");
    }

    #[test]
    fn a_cluster_is_asked_where_its_controller_is() {
        let standing = Standing::Member { cluster_id: "x".to_owned(), controller: Some("c".to_owned()) };
        assert_eq!(member(&("b".to_owned(), Ok(standing))), Some(("x".to_owned(), "c".to_owned())));
        let standing = Standing::Member { cluster_id: "x".to_owned(), controller: None };
        assert_eq!(member(&("b".to_owned(), Ok(standing))), Some(("x".to_owned(), "b".to_owned())));
        assert_eq!(member(&("b".to_owned(), silent())), None);
    }
}
