//! Levels by name, and a filter that really lets through what they say.

use std::sync::Arc;

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{EnvFilter, Registry, reload};

use super::*;

#[test]
fn the_longest_name_counts_and_a_forgotten_change_gives_back_what_was_configured() {
    let loggers = Loggers::new("warn,tidemark_storage=debug", None);
    let level = |name: &str| loggers.levels().get(name).copied();
    assert_eq!(level(ROOT), Some(LevelFilter::WARN));
    assert_eq!(level("tidemark_broker"), Some(LevelFilter::WARN));
    assert_eq!(level("tidemark_storage"), Some(LevelFilter::DEBUG));
    let change = |name: &str, to: Option<LevelFilter>| loggers.change(&[(name.to_owned(), to)]).unwrap();
    change(ROOT, Some(LevelFilter::INFO));
    change("tidemark_broker::replica", Some(LevelFilter::TRACE));
    assert_eq!(level("tidemark_broker"), Some(LevelFilter::INFO));
    assert_eq!(level("tidemark_broker::replica"), Some(LevelFilter::TRACE));
    change(ROOT, None);
    change("tidemark_broker::replica", None);
    assert_eq!((level(ROOT), level("tidemark_broker::replica")), (Some(LevelFilter::WARN), None));
}

#[test]
fn loggers_are_the_parts_of_the_program_and_what_is_below_them() {
    let loggers = Loggers::new("info", None);
    for name in [ROOT, "tidemark_broker", "tidemark_storage::log::recovery", "openraft"] {
        assert!(loggers.exists(name), "{name}");
    }
    for name in ["", "kafka", "tidemark_broker_of_others", "tidemark"] {
        assert!(!loggers.exists(name), "{name}");
    }
}

#[test]
fn a_change_decides_what_is_logged_at_once() {
    let (filter, handle) = reload::Layer::<EnvFilter, Registry>::new(EnvFilter::new("warn"));
    let loggers = Arc::new(Loggers::new("warn", None));
    let apply = move |directives: &str| {
        let filter = EnvFilter::try_new(directives).map_err(|error| error.to_string())?;
        handle.reload(filter).map_err(|error| error.to_string())
    };
    loggers.install("warn", Box::new(apply));
    tracing::subscriber::with_default(Registry::default().with(filter), || {
        let is_on = || tracing::enabled!(target: "tidemark_storage::log", tracing::Level::DEBUG);
        assert!(!is_on());
        loggers.change(&[("tidemark_storage".to_owned(), Some(LevelFilter::DEBUG))]).unwrap();
        assert!(is_on());
        assert!(!tracing::enabled!(target: "tidemark_broker", tracing::Level::DEBUG));
        loggers.change(&[("tidemark_storage".to_owned(), None)]).unwrap();
        assert!(!is_on());
        loggers.change(&[(ROOT.to_owned(), Some(LevelFilter::TRACE))]).unwrap();
        assert!(is_on());
    });
}
