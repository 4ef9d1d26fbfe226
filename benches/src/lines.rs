//! Connections to nodes that come and go: one each, opened when needed, forgotten when it fails.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::connection::{Connection, LoadError};

/// Longest wait for an answer.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(15);

/// Connections by address.
#[derive(Debug, Default)]
pub struct Lines {
    open: BTreeMap<String, Connection>,
}

impl Lines {
    /// Does something over the connection to `address`. After an error nobody knows what would come over it next.
    ///
    /// # Errors
    /// Those of what is done, and of connecting.
    pub fn with<T>(
        &mut self,
        address: &str,
        act: impl FnOnce(&mut Connection) -> Result<T, LoadError>,
    ) -> Result<T, LoadError> {
        let mut connection = match self.open.remove(address) {
            Some(connection) => connection,
            None => Connection::open_with_limit(address, ANSWER_TIME_MAX)?,
        };
        let done = act(&mut connection)?;
        self.open.insert(address.to_owned(), connection);
        Ok(done)
    }
}
