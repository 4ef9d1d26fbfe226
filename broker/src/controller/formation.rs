//! How a node with an empty directory finds its cluster, or founds one.
//!
//! Seeds are the addresses a node is configured with. While any of them belongs to a cluster, a newcomer joins that one: it
//! is admitted (it gets an id that no voter ever had), then the leader sends it the metadata. Only when every seed says
//! that it is new as well may the first of them found a cluster: a seed that does not answer may hold one.
//!
//! Nobody is let in while another process lives that runs as the same node from another directory: a seed may be that one, or
//! the controller knows of it.
//!
//! ```text
//!  no seeds ─────────────────────────────────────────────▶ found
//!  seeds ─▶ ask all ─▶ one is in a cluster ─▶ Admit ─▶ Join
//!               ├────▶ one has its id ─▶ refused, unless that one goes
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
/// Rounds in which a node hears that another one lives in its place before it believes that: the session of one that was killed has
/// to end first.
const ROUNDS_TAKEN_MAX: u32 = 75;

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
    /// Another process runs as this node, with another directory.
    Taken(String),
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
    /// It must not join: a node with its id lives.
    Refused(String),
}

/// Finds out what this node, reached at `own` address, becomes. Asks for as long as it takes; founds no cluster where it may not
/// vote.
pub async fn find(clients: &PeerClients, own: &str, seeds: &[String], may_vote: bool) -> Formation {
    if seeds.is_empty() {
        return Formation::Found;
    }
    let id = clients.me().node_id;
    let mut taken = 0;
    for round in 1.. {
        let standings = ask_all(clients, own, seeds).await;
        let outcome = match (namesake(id, &standings), standings.iter().find_map(member)) {
            (Some(why), _) => Err(NotAdmitted::Taken(why)),
            (None, Some((cluster_id, controller))) => {
                admitted(clients, controller).await.map(|raft_id| Formation::Join { cluster_id, raft_id })
            }
            (None, None) if may_vote && may_found(own, seeds, &standings) => Ok(Formation::Found),
            (None, None) => Err(NotAdmitted::Later("no seed is in a cluster".to_owned())),
        };
        match outcome {
            Ok(formation) => return formation,
            Err(NotAdmitted::Taken(why)) => {
                taken += 1;
                if taken == ROUNDS_TAKEN_MAX {
                    return Formation::Refused(why);
                }
                if taken == 1 {
                    tracing::warn!("{why}; waiting whether that one goes");
                }
            }
            Err(NotAdmitted::Later(why)) => tracing::debug!(why, "not admitted yet"),
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

/// That a seed runs as this node, if one does.
fn namesake(id: BrokerId, answers: &Answers) -> Option<String> {
    let is = |answer: &Result<Standing, CallError>| matches!(answer, Err(CallError::Namesake { .. }));
    let (seed, _) = answers.iter().find(|(_, answer)| is(answer))?;
    Some(taken(id, seed))
}

/// The first seed founds, once all others are known to be new.
fn may_found(own: &str, seeds: &[String], answers: &Answers) -> bool {
    seeds.first().is_some_and(|first| first == own)
        && answers.iter().all(|(_, answer)| *answer == Ok(Standing::New))
}

/// Why a newcomer has no id yet.
enum NotAdmitted {
    /// Another process runs as this node.
    Taken(String),
    /// Nobody could decide.
    Later(String),
}

async fn admitted(clients: &PeerClients, controller: String) -> Result<RaftId, NotAdmitted> {
    let me = clients.me();
    let mut address = controller;
    // The first asked may only know who leads; whoever it names knows better.
    for _ in 0..3 {
        let question = Admit { node_id: me.node_id, directory_id: me.directory_id };
        let answer = clients.to(&address, Purpose::Control).call(question, ANSWER_PATIENCE).await;
        let unanswered = |error| match error {
            CallError::Namesake { address, .. } => NotAdmitted::Taken(taken(me.node_id, &address)),
            other => NotAdmitted::Later(other.to_string()),
        };
        match answer.map_err(unanswered)? {
            Ok(raft_id) => return Ok(raft_id),
            Err(Elsewhere::Ask(Some(other))) => address = other,
            Err(Elsewhere::Ask(None)) => {
                return Err(NotAdmitted::Later(format!("{address} knows no controller")));
            }
            Err(Elsewhere::Later(why)) => return Err(NotAdmitted::Later(why)),
            Err(Elsewhere::Taken(why)) => return Err(NotAdmitted::Taken(why)),
        }
    }
    Err(NotAdmitted::Later("nobody says that it is the controller".to_owned()))
}

/// That the node id `id` is in use `at` some addresses, in words for whoever runs a second process with it.
pub fn taken(id: BrokerId, at: &str) -> String {
    format!(
        "node id {id} is taken: a node with that id is alive at {at}; give this node another node.id, or stop the other one first"
    )
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
    fn a_seed_with_the_id_of_this_node_is_named() {
        let why = "two nodes have id 7".to_owned();
        let twin = Err(CallError::Namesake { address: "c".to_owned(), why });
        let found = namesake(7, &answers(&[("b", Ok(Standing::New)), ("c", twin)])).expect("c is one");
        assert!(found.starts_with("node id 7 is taken: a node with that id is alive at c;"), "{found}");
        assert_eq!(namesake(7, &answers(&[("b", silent()), ("c", Ok(Standing::New))])), None);
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
