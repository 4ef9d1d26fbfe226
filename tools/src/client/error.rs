//! Why a call to a Kafka broker failed.

use std::time::Duration;

use tidemark_protocol::error_code::ErrorCode;

/// A failed call. `Kafka` is an answer; the others mean that there was none.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No address answered.
    #[error("cannot reach {address}: {why}")]
    Unreachable {
        /// What was tried.
        address: String,
        /// What the system said.
        why: String,
    },
    /// The peer closed the connection, or it broke.
    #[error("the connection to {address} broke: {why}")]
    Broken {
        /// The peer.
        address: String,
        /// What the system said.
        why: String,
    },
    /// No answer in time.
    #[error("no answer from {address} within {after:?}")]
    TimedOut {
        /// The peer.
        address: String,
        /// How long we waited.
        after: Duration,
    },
    /// The peer answered with something that is not Kafka's protocol.
    #[error("{address} does not speak Kafka's protocol as expected: {why}")]
    Garbled {
        /// The peer.
        address: String,
        /// What could not be read.
        why: String,
    },
    /// The peer has no version of this API in common with us.
    #[error("{address} does not serve {api} in a version known here (it offers {offered})")]
    Unsupported {
        /// The peer.
        address: String,
        /// Name of the API.
        api: &'static str,
        /// Its versions.
        offered: String,
    },
    /// Kafka's answer is an error.
    #[error("{}", kafka_text(*code, message))]
    Kafka {
        /// The code.
        code: ErrorCode,
        /// The broker's own words; empty for none.
        message: String,
    },
}

impl ClientError {
    /// The error for a code in an answer; `None` for code 0.
    pub fn from_code(code: i16, message: Option<&str>) -> Option<ClientError> {
        let code = ErrorCode::from_code(code).unwrap_or(ErrorCode::UnknownServerError);
        code.is_error().then(|| ClientError::Kafka { code, message: message.unwrap_or_default().to_owned() })
    }

    /// Kafka's code, if this is an answer.
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            ClientError::Kafka { code, .. } => Some(*code),
            _ => None,
        }
    }

    /// Whether the same call may succeed later, perhaps elsewhere.
    pub fn is_retriable(&self) -> bool {
        match self {
            ClientError::Unreachable { .. } | ClientError::Broken { .. } => true,
            ClientError::Kafka { code, .. } => code.is_retriable(),
            ClientError::TimedOut { .. } | ClientError::Garbled { .. } | ClientError::Unsupported { .. } => {
                false
            }
        }
    }
}

fn kafka_text(code: ErrorCode, message: &str) -> String {
    let message = if message.is_empty() { code.message() } else { message };
    format!("{}: {}", code.name(), message)
}

/// `Ok` for code 0, else the error.
pub fn check(code: i16, message: Option<&str>) -> Result<(), ClientError> {
    ClientError::from_code(code, message).map_or(Ok(()), Err)
}
