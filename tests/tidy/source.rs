//! The Rust files of the repository, as the rules look at them.

use std::fs;
use std::path::{Path, PathBuf};

/// A file of the repository.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    /// The path from the root, with `/`.
    pub(crate) name: String,
    pub(crate) text: String,
    /// Whether the whole file is a test, a benchmark or a generator.
    pub(crate) is_test: bool,
}

impl Source {
    /// The file without the tests at its end.
    pub(crate) fn product(&self) -> Source {
        let text = self.text.split("\n#[cfg(test)]").next().unwrap_or_default().to_owned();
        Source { text, ..self.clone() }
    }

    /// The numbers of the lines that `wanted` picks, from 1.
    pub(crate) fn lines_with(&self, wanted: impl Fn(&str) -> bool) -> Vec<usize> {
        let numbered = self.text.lines().zip(1..);
        numbered.filter(|(line, _)| wanted(line)).map(|(_, number)| number).collect()
    }
}

pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// All Rust files, in the order of their names.
pub(crate) fn sources() -> Vec<Source> {
    let mut found = Vec::new();
    for path in files(&root()) {
        if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
            let parts = || name.split('/');
            let is_test = parts().any(|part| matches!(part, "tests" | "benches" | "examples" | "testing"))
                || name.ends_with("/tests.rs")
                || name.ends_with("/testing.rs");
            found.push(Source { text: fs::read_to_string(&path).unwrap(), name, is_test });
        }
    }
    assert!(found.len() > 20, "the sources were not found");
    found
}

/// All files under a folder, but for what is built, hidden or kept by a server.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    let mut found = Vec::new();
    for path in entries {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let beside = folder == root() && matches!(name.as_str(), "target" | "data");
        if name.starts_with('.') || beside || path.is_symlink() {
            continue;
        }
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}
