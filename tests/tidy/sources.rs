//! The project's Rust files, read once for each test.

use std::path::{Path, PathBuf};

/// One file.
pub struct Source {
    /// Path below the root, with slashes.
    pub path: String,
    /// Name of the crate in code.
    pub krate: String,
    /// The whole text.
    pub text: String,
    /// The text without comments.
    pub code: String,
}

impl Source {
    /// Whether the file holds tests only.
    pub fn is_test(&self) -> bool {
        self.path.ends_with("/tests.rs") || self.path.contains("/tests/") || self.path.starts_with("tests/")
    }
}

/// The folder of the workspace.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is in the workspace").to_owned()
}

/// Folders of the crates that make up the product, below the root.
pub fn crate_dirs() -> Vec<String> {
    ["protocol", "storage", "broker/core", "broker/base2histogram", "broker", "tools"]
        .map(str::to_owned)
        .to_vec()
}

/// A file's text.
#[allow(clippy::disallowed_methods, reason = "this test reads the tree itself")]
pub fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every Rust file of the product and its tests.
pub fn sources() -> impl Iterator<Item = Source> {
    let mut paths = Vec::new();
    for krate in crate_dirs() {
        walk(&root().join(&krate).join("src"), &mut paths);
    }
    walk(&root().join("tests"), &mut paths);
    walk(&root().join("benches"), &mut paths);
    paths.into_iter().map(|path| {
        let text = read(&path);
        let below = path.strip_prefix(root()).expect("walked from the root");
        let path = below.to_string_lossy().replace('\\', "/");
        let dir = path.split("/src/").next().unwrap_or_default();
        let krate = format!("tidemark_{}", dir.rsplit('/').next().unwrap_or_default());
        let code = text
            .lines()
            .map(|line| line.split("//").next().unwrap_or_default())
            .collect::<Vec<_>>()
            .join("\n");
        Source { path, krate, text, code }
    })
}

/// Rust files below a folder, in the order of their names; build output is left out.
#[allow(clippy::disallowed_methods, reason = "this test reads the tree itself")]
pub fn walk(dir: &Path, into: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    for path in paths {
        let skipped = path
            .file_name()
            .is_some_and(|name| name == "target" || name == "node_modules" || name == "interop");
        if path.is_dir() && !skipped {
            walk(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
}
