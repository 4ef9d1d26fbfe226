//! The tidy test: what a newcomer may rely on when reading the tree, held by reading it.
//!
//! Crates import downwards only, modules of a crate not in circles; every file says what it is, is short enough to be
//! one idea, and belongs to the module tree; functions fit a screen; every API has its handler, and the README its row.

mod effects;
mod functions;
mod modules;
mod sources;

use std::collections::BTreeMap;

use effects::{EFFECTS, Effect};
use sources::{Source, crate_dirs, read, root, sources};

/// Lines of a file without its tests: aim at 300, ask why at 500, fail here.
const FILE_LINES_MAX: usize = 800;
/// Lines of a function: a screen.
const FUNCTION_LINES_MAX: usize = 70;
/// Functions that are longer for a reason; the list can only shrink.
const LONGER_FUNCTIONS: &[(&str, &str)] = &[];

/// Who may import whom, crate by crate: layers point downwards.
const EDGES: &[(&str, &[&str])] = &[
    ("tidemark_protocol", &[]),
    ("tidemark_storage", &["tidemark_protocol"]),
    ("tidemark_core", &["tidemark_protocol"]),
    ("tidemark_broker", &["tidemark_protocol", "tidemark_storage", "tidemark_core"]),
    ("tidemark_tools", &["tidemark_protocol", "tidemark_storage", "tidemark_core", "tidemark_broker"]),
];

/// Reports every offender at once.
fn assert_none(what: &str, offenders: Vec<String>) {
    assert!(offenders.is_empty(), "{what}:\n  {}", offenders.join("\n  "));
}

#[test]
fn crates_import_downwards_only() {
    let allowed: BTreeMap<&str, &[&str]> = EDGES.iter().copied().collect();
    let mut offenders = Vec::new();
    for source in sources() {
        let Some(may) = allowed.get(source.krate.as_str()) else { continue };
        for other in allowed.keys().filter(|other| **other != source.krate && !may.contains(other)) {
            if source.code.contains(&format!("{other}::")) {
                offenders.push(format!("{} imports {other}", source.path));
            }
        }
    }
    assert_none("imports that point upwards or sideways", offenders);
}

#[test]
fn modules_of_a_crate_import_each_other_without_circles() {
    let mut offenders = Vec::new();
    for krate in crate_dirs() {
        let graphs = modules::imports(&krate);
        let is_one_file = modules::count(&krate) <= 1;
        assert!(is_one_file || graphs.contains_key(""), "imports within {krate} are not read");
        for (parent, graph) in graphs {
            let circles = modules::circles(&graph).into_iter();
            offenders.extend(circles.map(|circle| format!("{krate} {parent}: {circle}")));
        }
    }
    assert_none("modules that import each other", offenders);
}

#[test]
fn every_file_opens_by_saying_what_it_is() {
    // A `tests.rs` is said by its name: the tests of the file it stands beside.
    let is_named_tests = |source: &Source| source.path.ends_with("/tests.rs");
    let mute = |source: &Source| !is_named_tests(source) && !source.text.starts_with("//!");
    assert_none("files without a `//!` head", sources().filter(mute).map(|source| source.path).collect());
}

#[test]
fn every_file_is_short_enough_to_be_one_idea() {
    let long = |source: &Source| !source.is_test() && source.text.lines().count() > FILE_LINES_MAX;
    assert_none("files over 800 lines", sources().filter(long).map(|source| source.path).collect());
}

#[test]
fn functions_fit_a_screen() {
    let mut offenders = Vec::new();
    for source in sources().filter(|source| !source.is_test()) {
        for function in functions::functions(&source.text) {
            let listed = LONGER_FUNCTIONS.contains(&(source.path.as_str(), function.name.as_str()));
            if function.lines > FUNCTION_LINES_MAX && !listed {
                offenders.push(format!(
                    "{}:{} {} ({} lines)",
                    source.path, function.line, function.name, function.lines
                ));
            }
        }
    }
    assert_none("functions over 70 lines", offenders);
}

#[test]
fn the_list_of_longer_functions_names_only_such() {
    let long: Vec<(String, String)> = sources()
        .flat_map(|source| {
            let path = source.path.clone();
            functions::functions(&source.text).into_iter().map(move |function| (path.clone(), function))
        })
        .filter(|(_, function)| function.lines > FUNCTION_LINES_MAX)
        .map(|(path, function)| (path, function.name))
        .collect();
    let stale = LONGER_FUNCTIONS
        .iter()
        .filter(|(path, name)| !long.contains(&((*path).to_owned(), (*name).to_owned())))
        .map(|(path, name)| format!("{path} {name}"))
        .collect();
    assert_none("entries to remove from LONGER_FUNCTIONS", stale);
}

#[test]
fn every_file_belongs_to_its_module_tree() {
    let orphans = crate_dirs().iter().flat_map(|krate| modules::orphans(krate)).collect();
    assert_none("files no `mod` names", orphans);
}

#[test]
fn every_api_has_its_handler_and_its_row_in_the_readme() {
    let readme = read(&root().join("README.md"));
    let mut offenders = Vec::new();
    for api in tidemark_protocol::api::APIS {
        let file = format!("broker/src/server/handlers/{}.rs", snake_case(api.name));
        match std::panic::catch_unwind(|| read(&root().join(&file))) {
            Ok(text) => {
                let head = text.lines().next().unwrap_or_default().to_owned();
                let last = if api.min == api.max {
                    format!("version {}", api.max)
                } else {
                    format!("{}–{}", api.min, api.max)
                };
                if !head.contains(&format!("key {}", api.key as i16)) || !head.contains(&last) {
                    offenders.push(format!(
                        "{file} does not begin with key {} and {last}: {head}",
                        api.key as i16
                    ));
                }
            }
            Err(_) => offenders.push(format!("{} has no {file}", api.name)),
        }
        if !readme.contains(&format!("| {} |", api.name)) {
            offenders.push(format!("README.md has no row for {}", api.name));
        }
    }
    assert_none("APIs without handler or row", offenders);
}

#[test]
fn every_topic_config_is_shown_in_effect_by_a_test() {
    let listed: Vec<&str> = EFFECTS.iter().map(|(name, _)| *name).collect();
    let configs: Vec<&str> =
        tidemark_core::metadata::topic_config::table::TOPIC_CONFIGS.iter().map(|key| key.def.name).collect();
    assert_eq!(listed, configs, "tests/tidy/effects.rs lists every topic config, in order");
    let mut offenders = Vec::new();
    for (name, effect) in EFFECTS {
        let (path, test) = match effect {
            Effect::Shown(path, test) => (path, test),
            Effect::Waits(what) => {
                assert!(!what.is_empty(), "{name} waits for something");
                continue;
            }
        };
        let text = read(&root().join(path));
        let body = text.split_once(&format!("fn {test}()")).and_then(|(_, rest)| rest.split("\n}\n").next());
        // A codec's level is named by parts.
        let last_word = name.split('.').nth(1).unwrap_or(name);
        if !body.is_some_and(|body| body.contains(name) || body.contains(&format!("\"{last_word}\""))) {
            offenders.push(format!("{name}: {path} has no test {test} with it"));
        }
    }
    assert_none("topic configs without a test of their effect", offenders);
}

fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    for (i, c) in name.chars().enumerate() {
        if c.is_uppercase() && i > 0 {
            snake.push('_');
        }
        snake.extend(c.to_lowercase());
    }
    snake
}
