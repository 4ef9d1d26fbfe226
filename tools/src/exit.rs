//! How the process ends: the exit codes scripts rely on, and failures that say what, why and what to do.

use tidemark_protocol::error_code::ErrorCode;

use crate::client::error::ClientError;
use crate::client::http::AdminError;

/// An exit code. The numbers are a promise to scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Some or all items failed.
    Failed = 1,
    /// The command line or a local configuration is wrong.
    Usage = 2,
    /// What was named does not exist.
    NotFound = 3,
    /// Not authenticated or not authorised.
    Denied = 4,
    /// The cluster cannot be reached.
    Unreachable = 5,
    /// A conflict, or a precondition that does not hold.
    Conflict = 6,
    /// Waited as long as allowed.
    TimedOut = 7,
    /// A confirmation is needed, or was refused.
    Unconfirmed = 8,
    /// Damaged data was found.
    Corrupt = 9,
    /// The cluster was reached, and is unhealthy.
    Unhealthy = 10,
}

/// Nagios's codes, which say something else: only `cluster health --format nagios` ends with them.
impl Exit {
    /// Warning.
    pub const NAGIOS_WARNING: Exit = Exit::Failed;
    /// Critical.
    pub const NAGIOS_CRITICAL: Exit = Exit::Usage;
    /// Unknown.
    pub const NAGIOS_UNKNOWN: Exit = Exit::NotFound;
}

/// Why a command failed as a whole.
#[derive(Debug)]
pub struct Failure {
    /// How the process ends.
    pub exit: Exit,
    /// What failed and why.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Failure {
    /// A failure without advice.
    pub fn new(exit: Exit, message: impl Into<String>) -> Failure {
        Failure { exit, message: message.into(), hint: None }
    }

    /// A wrong command line.
    pub fn usage(message: impl Into<String>) -> Failure {
        Failure::new(Exit::Usage, message)
    }

    /// The same with advice.
    pub fn hint(mut self, hint: impl Into<String>) -> Failure {
        self.hint = Some(hint.into());
        self
    }

    /// The same, saying what was being done.
    pub fn while_doing(mut self, what: &str) -> Failure {
        self.message = format!("{what}: {}", self.message);
        self
    }

    /// Writes it for a person, to standard error.
    pub fn print(&self) {
        eprintln!("error: {}", self.message);
        if let Some(hint) = &self.hint {
            eprintln!("  {hint}");
        }
    }
}

impl From<AdminError> for Failure {
    fn from(error: AdminError) -> Failure {
        match error {
            AdminError::Kafka(error) => error.into(),
            AdminError::None => Failure::new(Exit::Failed, error.to_string())
                .hint("Is this Apache Kafka, or is admin.bind = \"off\" in tidemark.toml?"),
            AdminError::Unreachable(_) => Failure::new(Exit::Unreachable, error.to_string())
                .hint("admin.bind in tidemark.toml says where it listens; by default only on the broker's own machine."),
            AdminError::Refused { status: 404, message } => Failure::new(Exit::NotFound, message),
            AdminError::Refused { status: 409, message } => Failure::new(Exit::Conflict, message),
            AdminError::Refused { message, .. } => Failure::new(Exit::Failed, message),
        }
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Failure {
        let exit = exit_of(&error);
        let hint = match (&error, error.code()) {
            (ClientError::Unreachable { .. }, _) => {
                Some("Is a broker running there? `tidemark dev` starts one; -s HOST:PORT names another.")
            }
            (ClientError::Garbled { .. }, _) => Some("Is this the port for Kafka clients, and without TLS?"),
            (_, Some(ErrorCode::UnknownTopicOrPartition)) => {
                Some("`tidemark topic list` shows what is there.")
            }
            (_, Some(ErrorCode::NonEmptyGroup)) => {
                Some("Stop its members first; `tidemark group describe` lists them.")
            }
            (_, Some(ErrorCode::GroupIdNotFound)) => {
                Some("`tidemark group list` shows the groups there are.")
            }
            _ => None,
        };
        Failure { exit, message: error.to_string(), hint: hint.map(str::to_owned) }
    }
}

/// The exit code that tells scripts what kind of failure this was.
pub fn exit_of(error: &ClientError) -> Exit {
    match error {
        ClientError::Unreachable { .. } | ClientError::Broken { .. } => Exit::Unreachable,
        ClientError::TimedOut { .. } => Exit::TimedOut,
        ClientError::Garbled { .. } | ClientError::Unsupported { .. } => Exit::Failed,
        ClientError::Kafka { code, .. } => exit_of_code(*code),
    }
}

fn exit_of_code(code: ErrorCode) -> Exit {
    use ErrorCode as E;
    match code {
        E::UnknownTopicOrPartition | E::UnknownTopicId | E::GroupIdNotFound => Exit::NotFound,
        E::TopicAuthorizationFailed
        | E::GroupAuthorizationFailed
        | E::ClusterAuthorizationFailed
        | E::SaslAuthenticationFailed => Exit::Denied,
        E::TopicAlreadyExists
        | E::NonEmptyGroup
        | E::GroupSubscribedToTopic
        | E::InvalidConfig
        | E::InvalidPartitions
        | E::InvalidReplicationFactor
        | E::InvalidReplicaAssignment
        | E::NoReassignmentInProgress
        | E::PreferredLeaderNotAvailable
        | E::EligibleLeadersNotAvailable
        | E::InvalidTopicException
        | E::InvalidRequest
        | E::InvalidTimestamp
        | E::MessageTooLarge
        | E::PolicyViolation
        | E::OffsetOutOfRange => Exit::Conflict,
        E::RequestTimedOut | E::CoordinatorNotAvailable | E::LeaderNotAvailable => Exit::TimedOut,
        _ => Exit::Failed,
    }
}

#[cfg(test)]
mod tests;
