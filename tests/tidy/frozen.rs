//! Files that are never edited: recorded logs, their expected digests, and one event of every kind and version.

use std::collections::BTreeMap;
use std::fs;

use sha2::{Digest, Sha256};

use super::source::{files, root};

/// The list: a line `digest  path` for each file, as `sha256sum` prints it.
const LIST: &str = "tests/tidy/frozen.sha256";
/// Everything in these folders is frozen.
const FOLDERS: [&str; 2] = ["replay-fixtures", "events/tests/fixtures"];

/// Files that are missing, changed or not yet listed.
pub(crate) fn differences() -> Vec<String> {
    let list = fs::read_to_string(root().join(LIST)).unwrap();
    let listed: BTreeMap<&str, &str> =
        list.lines().filter_map(|line| line.split_once("  ")).map(|(d, p)| (p, d)).collect();
    let mut different = Vec::new();
    for (path, digest) in &listed {
        match fs::read(root().join(path)) {
            Ok(bytes) if sha256(&bytes) == *digest => {}
            Ok(_) => different.push(format!("{path} has been changed")),
            Err(_) => different.push(format!("{path} is gone")),
        }
    }
    for folder in FOLDERS.map(|folder| root().join(folder)) {
        if !folder.is_dir() {
            continue;
        }
        for path in files(&folder) {
            let name = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
            if !name.ends_with(".md") && !listed.contains_key(name.as_str()) {
                different.push(format!("not listed: {}  {name}", sha256(&fs::read(&path).unwrap())));
            }
        }
    }
    different
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
