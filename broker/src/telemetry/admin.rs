//! The admin port: metrics, health and what operators do to the cluster, over plain HTTP.
//!
//! ```text
//! GET /metrics            Prometheus's text format
//! GET /livez  [?verbose]  200 while only a restart would not help, else 503
//! GET /readyz [?verbose]  200 while clients are served, else 503 with what is wrong
//! /api/v1/…               the cluster, see `cluster`
//! ```

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use prometheus::{Registry, TextEncoder};

use super::cluster::{self, Cluster};
use super::events::EventLog;
use super::families::Families;
use super::health::{self, Check, Health};
use super::node::NodeSources;
use super::process;
use crate::transport::BoundPort;

/// Connections the kernel queues for the admin port: scrapers and probes are few.
const BACKLOG: i32 = 128;

/// What the admin port answers from.
pub struct Admin {
    /// Metrics that their owners registered.
    pub registry: Registry,
    /// Numbers that are read at each scrape.
    pub sources: NodeSources,
    /// What the probes look at.
    pub health: Health,
    /// What happened lately.
    pub events: Arc<EventLog>,
}

impl Admin {
    /// Opens the port and answers until the returned future is dropped: the probes should see a node stop to its end.
    pub fn open(self, port: BoundPort) -> io::Result<impl Future<Output = ()> + Send + 'static> {
        let listener = port.listen(BACKLOG)?;
        let router = self.router();
        Ok(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!(%error, "the admin port stopped answering");
            }
        })
    }

    /// The routes.
    pub fn router(self) -> Router {
        let cluster =
            Cluster { controller: self.sources.controller.clone(), events: Arc::clone(&self.events) };
        Router::new()
            .route("/metrics", get(metrics))
            .route("/livez", get(livez))
            .route("/readyz", get(readyz))
            .with_state(Arc::new(self))
            .merge(cluster::router(cluster))
    }

    /// All metrics in Prometheus's text format.
    pub fn metrics_text(&self) -> Result<String, prometheus::Error> {
        let mut collected = Families::default();
        self.sources.collect(&mut collected);
        process::collect(&mut collected);
        let mut families = self.registry.gather();
        families.extend(collected.into_list());
        let series: usize = families.iter().map(|family| family.get_metric().len()).sum();
        let mut own = Families::default();
        own.gauge("tidemark_metrics_series", "Series of this answer besides this one.", series as f64);
        families.extend(own.into_list());
        TextEncoder::new().encode_to_string(&families)
    }
}

async fn metrics(State(admin): State<Arc<Admin>>) -> impl IntoResponse {
    match admin.metrics_text() {
        Ok(text) => (StatusCode::OK, [(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text),
        Err(error) => {
            tracing::error!(%error, "the metrics could not be written");
            (StatusCode::INTERNAL_SERVER_ERROR, [(header::CONTENT_TYPE, "text/plain")], format!("{error}\n"))
        }
    }
}

async fn livez(
    State(admin): State<Arc<Admin>>,
    Query(query): Query<BTreeMap<String, String>>,
) -> impl IntoResponse {
    probe(&admin.health.live(), &query)
}

async fn readyz(
    State(admin): State<Arc<Admin>>,
    Query(query): Query<BTreeMap<String, String>>,
) -> impl IntoResponse {
    probe(&admin.health.ready(), &query)
}

fn probe(checks: &[Check], query: &BTreeMap<String, String>) -> (StatusCode, String) {
    let status = if health::is_ok(checks) { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, health::to_text(checks, query.contains_key("verbose")))
}

#[cfg(test)]
mod tests;
