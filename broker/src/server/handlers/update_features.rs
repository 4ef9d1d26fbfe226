//! UpdateFeatures: key 57, versions 0–2 (KIP-584, KIP-778).
//!
//! All or nothing. Version 0 says with a flag whether a downgrade is meant; version 2 answers without results for each
//! feature.

use std::sync::Arc;

use kafka_protocol::messages::update_features_request::FeatureUpdateKey;
use kafka_protocol::messages::update_features_response::UpdatableFeatureResult;
use kafka_protocol::messages::{UpdateFeaturesRequest, UpdateFeaturesResponse};
use tidemark_core::metadata::features::{UpgradeType, check_update};

use super::super::answer::text;
use super::super::{Ctx, RequestContext};

/// First version without results for each feature.
const ONE_RESULT_FROM: i16 = 2;

/// Checks the levels. Every feature has one level so far, and a cluster is at it, so there is nothing to change.
pub async fn handle(
    ctx: Arc<Ctx>,
    context: RequestContext,
    request: UpdateFeaturesRequest,
) -> UpdateFeaturesResponse {
    let check = |update: &FeatureUpdateKey| {
        let upgrade = match (context.version, update.allow_downgrade) {
            (0, true) => Some(UpgradeType::SafeDowngrade),
            (0, false) => Some(UpgradeType::Upgrade),
            _ => UpgradeType::from_code(update.upgrade_type),
        };
        check_update(ctx.node_id, &update.feature, update.max_version_level, upgrade)
    };
    if let Err(failure) = request.feature_updates.iter().try_for_each(check) {
        let message =
            format!("The update failed for all features since the following feature had an error: {failure}");
        return UpdateFeaturesResponse::default()
            .with_error_code(failure.code.code())
            .with_error_message(Some(text(&message)));
    }
    let response = UpdateFeaturesResponse::default().with_error_message(None);
    if context.version >= ONE_RESULT_FROM {
        return response;
    }
    // Kafka's word for success here.
    let result = |update: FeatureUpdateKey| {
        UpdatableFeatureResult::default().with_feature(update.feature).with_error_message(Some(text("NONE")))
    };
    response.with_results(request.feature_updates.into_iter().map(result).collect())
}
