//! The admin port of a broker: a request and its JSON answer over plain HTTP.
//!
//! Where it is, a broker tells in its config `tidemark.admin.url`, so no second address is given on the command line. Any
//! broker will do: what the controller decides is forwarded to it.

use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::Client;
use super::connection::connect;
use super::error::ClientError;

/// The config that tells where the admin port is.
const URL_CONFIG: &str = "tidemark.admin.url";
/// How long an answer may take: the controller may have to be elected first.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(35);
/// Longest answer that is read: a thousand events, or a thousand brokers.
const ANSWER_BYTES_MAX: u64 = 16 << 20;

/// Why the admin port gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// No broker of the cluster has one.
    #[error("this cluster has no admin port: its brokers do not tell {URL_CONFIG}")]
    None,
    /// No broker's could be reached.
    #[error("cannot reach an admin port: {0}")]
    Unreachable(String),
    /// It answered, and refused.
    #[error("{message}")]
    Refused {
        /// HTTP's status.
        status: u16,
        /// Why.
        message: String,
    },
    /// The brokers could not be asked.
    #[error(transparent)]
    Kafka(#[from] ClientError),
}

impl Client {
    /// Asks the admin port of some broker: `method` is GET or POST, `path` begins with `/api`.
    pub async fn admin(&self, method: &str, path: &str) -> Result<Value, AdminError> {
        let cluster = self.describe_cluster().await?;
        let mut last = AdminError::None;
        for broker in cluster.brokers.values().filter(|broker| !broker.fenced) {
            let url = match self.broker_config(broker.id, URL_CONFIG).await {
                Ok(Some(url)) => url,
                Ok(None) => continue,
                Err(error) => {
                    last = AdminError::Unreachable(format!("broker {}: {error}", broker.id));
                    continue;
                }
            };
            let exchange = tokio::time::timeout(ANSWER_TIME_MAX, exchange(&url, method, path));
            match exchange.await.unwrap_or_else(|_| Err(format!("no answer within {ANSWER_TIME_MAX:?}"))) {
                Ok((status, value)) if (200..300).contains(&status) => return Ok(value),
                Ok((503, value)) => last = AdminError::Unreachable(format!("{url}: {}", error_of(&value))),
                Ok((status, value)) => return Err(AdminError::Refused { status, message: error_of(&value) }),
                Err(why) => last = AdminError::Unreachable(format!("{url} of broker {}: {why}", broker.id)),
            }
        }
        Err(last)
    }
}

fn error_of(value: &Value) -> String {
    value["error"].as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Status and JSON of one exchange on a connection of its own.
async fn exchange(url: &str, method: &str, path: &str) -> Result<(u16, Value), String> {
    let address = url.strip_prefix("http://").ok_or_else(|| "not an http URL".to_owned())?;
    let mut stream = connect(address).await.map_err(|error| error.to_string())?;
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: 0\r\n\
         Connection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.map_err(|error| error.to_string())?;
    let mut text = String::new();
    stream.take(ANSWER_BYTES_MAX).read_to_string(&mut text).await.map_err(|error| error.to_string())?;
    parse(&text).ok_or_else(|| "it does not speak HTTP as expected".to_owned())
}

/// Our own server says how long its bodies are, so the rest of the connection is the body.
fn parse(text: &str) -> Option<(u16, Value)> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.1 ")?.split(' ').next()?.parse().ok()?;
    let value = serde_json::from_str(body).unwrap_or_else(|_| serde_json::json!({ "error": body.trim() }));
    Some((status, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_with_their_status() {
        let text = "HTTP/1.1 409 Conflict\r\ncontent-type: application/json\r\n\r\n{\"error\":\"no\"}";
        let (status, value) = parse(text).expect("an answer");
        assert_eq!((status, error_of(&value)), (409, "no".to_owned()));
        let (status, value) = parse("HTTP/1.1 404 Not Found\r\n\r\nnothing\n").expect("an answer");
        assert_eq!((status, error_of(&value)), (404, "nothing".to_owned()));
        assert!(parse("SSH-2.0-x\r\n\r\n").is_none());
    }
}
