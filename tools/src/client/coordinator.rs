//! Group coordinators: which broker it is, and calls that go to it and find it again when it moved.

use std::future::Future;

use kafka_protocol::messages::{FindCoordinatorRequest, FindCoordinatorResponse};
use tidemark_protocol::error_code::ErrorCode;
use tidemark_protocol::types::BrokerId;

use super::admin::nothing;
use super::error::{ClientError, check};
use super::metadata::text;
use super::retry::Retry;
use super::{Client, To};

/// First version that asks for several groups at once.
const BATCHED_VERSION: i16 = 4;

impl Client {
    /// The broker that coordinates a group.
    pub async fn coordinator(&self, group: &str) -> Result<BrokerId, ClientError> {
        let mut retry = Retry::new(self.timeout());
        loop {
            match self.find_coordinator(group).await {
                Ok(id) => return Ok(id),
                // The offsets topic is being created, or its leader is being found.
                Err(error) => retry.after(error).await?,
            }
        }
    }

    async fn find_coordinator(&self, group: &str) -> Result<BrokerId, ClientError> {
        let response: FindCoordinatorResponse = self
            .call(To::Any, |version| {
                let request = FindCoordinatorRequest::default().with_key_type(0);
                if version >= BATCHED_VERSION {
                    request.with_coordinator_keys(vec![text(group)])
                } else {
                    request.with_key(text(group))
                }
            })
            .await?;
        let (code, message, id, host, port) = match response.coordinators.first() {
            Some(found) => (found.error_code, &found.error_message, found.node_id.0, &found.host, found.port),
            None if response.node_id.0 >= 0 || response.error_code != 0 => (
                response.error_code,
                &response.error_message,
                response.node_id.0,
                &response.host,
                response.port,
            ),
            None => return Err(nothing("FindCoordinator")),
        };
        check(code, message.as_deref())?;
        self.learn_brokers(std::iter::once((id, &**host, port)));
        Ok(id)
    }

    /// Runs a call at the coordinator of `group` until it succeeds, or fails for another reason than its absence.
    pub async fn at_coordinator<T, F: Future<Output = Result<T, ClientError>>>(
        &self,
        group: &str,
        call: impl Fn(BrokerId) -> F,
    ) -> Result<T, ClientError> {
        let mut retry = Retry::new(self.timeout());
        loop {
            let id = self.coordinator(group).await?;
            let error = match call(id).await {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            let moved = matches!(
                error.code(),
                Some(
                    ErrorCode::NotCoordinator
                        | ErrorCode::CoordinatorNotAvailable
                        | ErrorCode::CoordinatorLoadInProgress
                )
            );
            if !moved && error.code().is_some() {
                return Err(error);
            }
            retry.after(error).await?;
        }
    }
}
