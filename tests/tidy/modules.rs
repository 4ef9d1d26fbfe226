//! The module graph of a crate, read from `use crate::…` and `mod …;` lines; top-level modules are the nodes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::sources::{read, root, walk};

/// Module → modules it imports.
pub type Graph = BTreeMap<String, BTreeSet<String>>;

/// Imports between the top-level modules of a crate; tests may look anywhere.
pub fn imports(krate: &str) -> Graph {
    let src = root().join(krate).join("src");
    let mut files = Vec::new();
    walk(&src, &mut files);
    let mut graph = Graph::new();
    for file in files {
        let below = file.strip_prefix(&src).expect("walked from src").to_string_lossy().replace('\\', "/");
        let module = below.split('/').next().unwrap_or_default().trim_end_matches(".rs").to_owned();
        if ["lib", "main"].contains(&module.as_str()) || below.contains("tests") {
            continue;
        }
        let edges = graph.entry(module.clone()).or_default();
        for line in read(&file).lines().filter(|line| !line.trim_start().starts_with("//")) {
            for (at, _) in line.match_indices("crate::") {
                let target = line[at + 7..]
                    .chars()
                    .take_while(|c| c.is_alphanumeric() || *c == '_')
                    .collect::<String>();
                if target != module && !target.is_empty() {
                    edges.insert(target);
                }
            }
        }
    }
    graph
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
