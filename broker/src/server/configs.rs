//! Config requests between wire and controller: resource names, operations, results.

use kafka_protocol::protocol::StrBytes;
use tidemark_core::metadata::reply::ConfigResult;
use tidemark_core::metadata::{Command, ConfigAlteration, ConfigResource, Failure, Reply};
use tidemark_protocol::error_code::ErrorCode;

use super::Ctx;
use super::answer::words;
use super::topics;

/// The resource type of a broker's loggers, which the quorum does not store.
pub const BROKER_LOGGER: i8 = 8;

/// Reads a resource as requests name it: 2 topic, 4 broker (empty name: all brokers), 16 client metrics, 32 group.
pub fn resource(kind: i8, name: &str) -> Result<ConfigResource, Failure> {
    Ok(match kind {
        2 => ConfigResource::Topic(name.to_owned()),
        4 if name.is_empty() => ConfigResource::BrokerDefault,
        4 => ConfigResource::Broker(name.parse().map_err(|_| {
            Failure::new(
                ErrorCode::InvalidRequest,
                format!("Broker id must be an integer, but it is: {name}"),
            )
        })?),
        16 => ConfigResource::ClientMetrics(name.to_owned()),
        32 => ConfigResource::Group(name.to_owned()),
        other => {
            let message = format!("Unknown resource type {other}");
            return Err(Failure::new(ErrorCode::InvalidRequest, message));
        }
    })
}

/// What a result says on the wire: code, and the words of a failure.
pub fn outcome(result: &Result<(), Failure>) -> (i16, Option<StrBytes>) {
    match result {
        Ok(()) => (ErrorCode::None.code(), None),
        Err(failure) => (failure.code.code(), words(&failure.message)),
    }
}

/// Alters resources, each all or nothing; one result for each item, in order. Items that could not be read keep theirs.
pub async fn alter(
    ctx: &Ctx,
    items: Vec<Result<ConfigAlteration, Failure>>,
    validate_only: bool,
) -> Vec<Result<(), Failure>> {
    let items: Vec<_> = items.into_iter().map(|item| item.and_then(|item| of_this_node(ctx, item))).collect();
    let alterations: Vec<ConfigAlteration> =
        items.iter().filter_map(|item| item.as_ref().ok().cloned()).collect();
    let mut decided = if alterations.is_empty() {
        Vec::new().into_iter()
    } else {
        let count = alterations.len();
        let command = Command::AlterConfigs { alterations, statics: ctx.statics() };
        match topics::run(ctx, &ctx.image(), command, validate_only).await {
            Ok(Reply::ConfigsAltered(results)) => {
                results.into_iter().map(|ConfigResult { result, .. }| result).collect::<Vec<_>>().into_iter()
            }
            Ok(_) => Vec::new().into_iter(),
            Err(failure) => vec![Err(failure); count].into_iter(),
        }
    };
    items
        .into_iter()
        .map(|item| match item {
            Ok(_) => decided.next().unwrap_or_else(|| {
                Err(Failure::new(
                    ErrorCode::UnknownServerError,
                    "the controller answered for too few resources",
                ))
            }),
            Err(failure) => Err(failure),
        })
        .collect()
}

/// Configs of another broker are altered there, where its files and its log directories can be looked at.
fn of_this_node(ctx: &Ctx, item: ConfigAlteration) -> Result<ConfigAlteration, Failure> {
    match item.resource {
        ConfigResource::Broker(id) if id != ctx.node_id => {
            let message = format!("Unexpected broker id, expected {}, but received {id}", ctx.node_id);
            Err(Failure::new(ErrorCode::InvalidRequest, message))
        }
        _ => Ok(item),
    }
}
