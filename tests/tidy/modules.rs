//! The module graphs of a crate, read from its paths and `mod …;` lines: one graph for each folder, of those in it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::sources::{read, root, walk};

/// Module → modules it imports.
pub type Graph = BTreeMap<String, BTreeSet<String>>;

/// Imports between modules that stand side by side in a crate, by the module that holds them: `""` for the crate itself,
/// else as in `partition::log_thread`. A folder counts as one module towards those beside it. Tests may look anywhere.
pub fn imports(krate: &str) -> BTreeMap<String, Graph> {
    let modules = modules_of(krate);
    let known: BTreeSet<&[String]> = modules.iter().flat_map(|(path, _)| prefixes(path)).collect();
    let mut graphs: BTreeMap<String, Graph> = BTreeMap::new();
    for (module, file) in &modules {
        for target in paths(&read(file)).into_iter().filter_map(|path| absolute(module, &path)) {
            let shared = module.iter().zip(&target).take_while(|(a, b)| a == b).count();
            let (Some(from), Some(to)) = (module.get(shared), target.get(shared)) else { continue };
            if known.contains(&target[..=shared]) {
                let graph = graphs.entry(module[..shared].join("::")).or_default();
                graph.entry(from.clone()).or_default().insert(to.clone());
            }
        }
    }
    graphs
}

/// How many files of a crate are no tests.
pub fn count(krate: &str) -> usize {
    modules_of(krate).len()
}

fn modules_of(krate: &str) -> Vec<(Vec<String>, PathBuf)> {
    let src = root().join(krate).join("src");
    let mut files = Vec::new();
    walk(&src, &mut files);
    files
        .into_iter()
        .filter(|file| !file.strip_prefix(&src).expect("walked from src").to_string_lossy().contains("test"))
        .map(|file| (module_path(&src, &file), file))
        .collect()
}

/// `broker/src/partition/inbox.rs` is `[partition, inbox]`.
fn module_path(src: &Path, file: &Path) -> Vec<String> {
    let below = file.strip_prefix(src).expect("walked from src").with_extension("");
    let mut path: Vec<String> =
        below.components().map(|part| part.as_os_str().to_string_lossy().into_owned()).collect();
    if path.last().is_some_and(|last| ["mod", "lib", "main"].contains(&last.as_str())) {
        path.pop();
    }
    path
}

fn prefixes(path: &[String]) -> impl Iterator<Item = &[String]> {
    (1..=path.len()).map(|len| &path[..len])
}

/// Every path in the code that begins with `crate`, `super` or `self`, groups of a `use` taken apart.
fn paths(text: &str) -> Vec<Vec<String>> {
    let lines = text.lines().map(|line| line.split("//").next().unwrap_or_default());
    let code = lines.collect::<Vec<_>>().join("\n");
    let mut found = Vec::new();
    for start in ["crate::", "super::", "self::"] {
        for (at, _) in code.match_indices(start) {
            let before = code[..at].chars().next_back();
            if before.is_none_or(|c| !c.is_alphanumeric() && !['_', ':', '$'].contains(&c)) {
                expand(&code[at..], &mut Vec::new(), &mut found);
            }
        }
    }
    found
}

/// Reads one path, or a group of them, and returns what follows.
fn expand<'a>(mut rest: &'a str, prefix: &mut Vec<String>, found: &mut Vec<Vec<String>>) -> &'a str {
    let depth = prefix.len();
    loop {
        rest = rest.trim_start();
        if let Some(mut group) = rest.strip_prefix('{') {
            while !group.trim_start().starts_with('}') && !group.is_empty() {
                group = expand(group, prefix, found);
                group = group.trim_start().trim_start_matches(',').trim_start();
            }
            rest = group.trim_start().strip_prefix('}').unwrap_or_default();
            break;
        }
        let len = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        prefix.push(rest[..len].to_owned());
        rest = &rest[len..];
        let Some(after) = rest.strip_prefix("::") else {
            found.push(prefix.clone());
            // `as name`, `*` and whatever else ends an item of a group.
            rest = &rest[rest.find([',', '}', ';', '\n']).unwrap_or(rest.len())..];
            break;
        };
        rest = after;
    }
    prefix.truncate(depth);
    rest
}

/// A path as seen from the crate; `None` when it leads out of it.
fn absolute(module: &[String], path: &[String]) -> Option<Vec<String>> {
    let mut base = if path[0] == "crate" { Vec::new() } else { module.to_vec() };
    let mut segments = path.iter().skip(usize::from(path[0] != "super")).peekable();
    while segments.next_if(|segment| *segment == "super").is_some() {
        base.pop()?;
    }
    base.extend(segments.cloned());
    Some(base)
}

/// Every pair of modules that reach each other.
pub fn circles(graph: &Graph) -> Vec<String> {
    let reach: BTreeMap<&String, BTreeSet<String>> =
        graph.keys().map(|module| (module, reachable(graph, module))).collect();
    let mut found = Vec::new();
    for (a, from_a) in &reach {
        for b in from_a.iter().filter(|b| *b > *a) {
            if reach.get(b).is_some_and(|from_b| from_b.contains(*a)) {
                found.push(format!("{a} ⇄ {b}"));
            }
        }
    }
    found
}

fn reachable(graph: &Graph, from: &str) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    let mut open = vec![from.to_owned()];
    while let Some(module) = open.pop() {
        for next in graph.get(&module).into_iter().flatten() {
            if seen.insert(next.clone()) {
                open.push(next.clone());
            }
        }
    }
    seen
}

/// Files of a crate that no `mod` declaration reaches.
pub fn orphans(krate: &str) -> Vec<String> {
    let src = root().join(krate).join("src");
    let mut files = Vec::new();
    walk(&src, &mut files);
    files.iter().filter(|file| !is_declared(&src, file)).map(|file| file.display().to_string()).collect()
}

fn is_declared(src: &Path, file: &Path) -> bool {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let dir = file.parent().expect("a file has a folder");
    if dir == src && ["lib", "main"].contains(&stem.as_str())
        || dir.file_name().is_some_and(|name| name == "bin")
    {
        return true;
    }
    let (name, parent_dir) = match stem.as_str() {
        "mod" => {
            (dir.file_name().unwrap_or_default().to_string_lossy().into_owned(), dir.parent().unwrap_or(src))
        }
        _ => (stem, dir),
    };
    let candidates: Vec<PathBuf> = if parent_dir == src {
        vec![src.join("lib.rs"), src.join("main.rs")]
    } else {
        vec![parent_dir.join("mod.rs"), parent_dir.with_extension("rs")]
    };
    candidates
        .iter()
        .filter(|path| path.exists())
        .any(|path| read(path).lines().any(|line| line.trim_end().ends_with(&format!("mod {name};"))))
}

#[test]
fn paths_are_read_out_of_groups_and_from_within_code() {
    let found = |text: &str| paths(text).iter().map(|path| path.join("::")).collect::<Vec<_>>();
    let code = "use crate::{a::B, c::{self, d::E as F}};\nuse super::start::{self, X};\nfn f() { super::g::h(1) } // crate::z";
    assert_eq!(
        found(code),
        [
            "crate::a::B",
            "crate::c::self",
            "crate::c::d::E",
            "super::start::self",
            "super::start::X",
            "super::g::h"
        ]
    );
    let module = ["a".to_owned(), "b".to_owned()];
    let at = |path: &str| absolute(&module, &path.split("::").map(str::to_owned).collect::<Vec<_>>());
    assert_eq!(at("super::c"), Some(vec!["a".to_owned(), "c".to_owned()]));
    assert_eq!(at("super::super::super::c"), None);
}

#[test]
fn a_circle_of_three_is_three_pairs() {
    let edges = [("a", "b"), ("b", "c"), ("c", "a"), ("c", "d")];
    let mut graph = Graph::new();
    for (from, to) in edges {
        graph.entry(from.to_owned()).or_default().insert(to.to_owned());
    }
    assert_eq!(circles(&graph), ["a ⇄ b", "a ⇄ c", "b ⇄ c"]);
}
