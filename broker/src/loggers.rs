//! [`Loggers`]: which part of the program logs how much, changed while it runs.
//!
//! Log lines are the process's, so there is one value for the process; whoever sets the logs up gives it the configured
//! filter and a way to put another in its place. Names are the targets of log lines, which are module paths, and `root` for
//! all that no longer name covers. Changes last until the process ends, as in Apache Kafka.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use tracing::level_filters::LevelFilter;

/// The logger of everything that has none of its own.
pub const ROOT: &str = "root";
/// The parts of the program; what is below one (`tidemark_broker::replica`) is a logger too.
const PARTS: [&str; 6] = [
    "openraft",
    "tidemark_broker",
    "tidemark_core",
    "tidemark_protocol",
    "tidemark_storage",
    "tidemark_tools",
];
/// Loggers below the parts that may be changed at once: each is looked at for every new place that logs.
const CHANGED_MAX: usize = 1000;

/// Puts a filter, written as directives, in the place of the present one.
pub type Apply = Box<dyn Fn(&str) -> Result<(), String> + Send + Sync>;

/// The levels of the process.
pub struct Loggers {
    state: Mutex<State>,
}

struct State {
    /// As configured.
    configured: String,
    /// What was changed since.
    changed: BTreeMap<String, LevelFilter>,
    apply: Option<Apply>,
}

impl Loggers {
    /// Levels of a configured filter.
    pub fn new(configured: &str, apply: Option<Apply>) -> Self {
        let state = State { configured: configured.to_owned(), changed: BTreeMap::new(), apply };
        Loggers { state: Mutex::new(state) }
    }

    /// Those of this process.
    pub fn of_process() -> &'static Loggers {
        static LOGGERS: OnceLock<Loggers> = OnceLock::new();
        LOGGERS.get_or_init(|| Loggers::new("info", None))
    }

    /// The logs were set up with this filter, and `apply` changes it.
    pub fn install(&self, configured: &str, apply: Apply) {
        *self.state() =
            State { configured: configured.to_owned(), changed: BTreeMap::new(), apply: Some(apply) };
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there is such a logger.
    pub fn exists(&self, name: &str) -> bool {
        let is_below = |part: &&str| name.strip_prefix(*part).is_some_and(|rest| rest.starts_with("::"));
        name == ROOT || PARTS.contains(&name) || PARTS.iter().any(is_below)
    }

    /// All loggers that have a name of their own, with the level in effect.
    pub fn levels(&self) -> BTreeMap<String, LevelFilter> {
        let state = self.state();
        let set = state.set();
        let names = PARTS.iter().map(|part| (*part).to_owned()).chain(set.keys().cloned());
        names.map(|name| (name.clone(), effective(&set, &name))).collect()
    }

    /// Changes levels; `None` forgets a change. All or none.
    pub fn change(&self, changes: &[(String, Option<LevelFilter>)]) -> Result<(), String> {
        let mut state = self.state();
        let mut changed = state.changed.clone();
        for (name, level) in changes {
            match level {
                Some(level) => changed.insert(name.clone(), *level),
                None => changed.remove(name),
            };
        }
        if changed.len() > CHANGED_MAX {
            return Err(format!("more than {CHANGED_MAX} loggers would have a level of their own"));
        }
        if let Some(apply) = &state.apply {
            apply(&directives(&state.configured, &changed))?;
        }
        state.changed = changed;
        Ok(())
    }
}

impl State {
    /// Levels that were configured or changed. What a filter says of spans and fields is in effect, but not listed.
    fn set(&self) -> BTreeMap<String, LevelFilter> {
        let mut set = BTreeMap::from([(ROOT.to_owned(), LevelFilter::ERROR)]);
        for directive in self.configured.split(',').map(str::trim) {
            let (name, level) = directive.split_once('=').unwrap_or((ROOT, directive));
            if let Ok(level) = level.parse() {
                set.insert(name.to_owned(), level);
            }
        }
        set.extend(self.changed.iter().map(|(name, level)| (name.clone(), *level)));
        set
    }
}

/// The level of the longest name that covers this one.
fn effective(set: &BTreeMap<String, LevelFilter>, name: &str) -> LevelFilter {
    let covers =
        |of: &str| name.strip_prefix(of).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"));
    let longest = set.iter().filter(|(of, _)| covers(of)).max_by_key(|(of, _)| of.len());
    longest.map_or(set[ROOT], |(_, level)| *level)
}

/// The filter, changes last: of two directives for one target the later counts.
fn directives(configured: &str, changed: &BTreeMap<String, LevelFilter>) -> String {
    let mut text = configured.to_owned();
    for (name, level) in changed {
        match name.as_str() {
            ROOT => text.push_str(&format!(",{level}")),
            name => text.push_str(&format!(",{name}={level}")),
        }
    }
    text
}

#[cfg(test)]
mod tests;
