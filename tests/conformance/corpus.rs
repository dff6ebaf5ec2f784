//! The published resources and suites: where they are, and how they are read.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::json::Json;

/// A document of the corpus, or one line of it.
pub(crate) struct Document {
    /// The file that it comes from.
    pub(crate) name: String,
    pub(crate) text: String,
    pub(crate) json: Json,
}

impl Document {
    fn new(name: String, text: String) -> Document {
        let json = Json::parse(&text);
        Document { name, text, json }
    }
}

/// The folder that `ANAMNESIS_CORPUS` names, else `shared/corpus` beside the repository. Without it a test fails.
#[expect(clippy::disallowed_methods, reason = "a test takes its corpus from the environment")]
pub(crate) fn folder() -> PathBuf {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus");
    let folder = std::env::var_os("ANAMNESIS_CORPUS").map_or_else(beside, PathBuf::from);
    assert!(folder.is_dir(), "no corpus at {}; set ANAMNESIS_CORPUS", folder.display());
    folder
}

/// The bundles that Synthea made, those of hospitals and practitioners first.
pub(crate) fn synthea() -> Vec<Document> {
    let mut files = files("synthea", "json.gz");
    // Names of patients begin with a capital letter.
    files.sort_by_key(|path| name(path).starts_with(|letter: char| letter.is_ascii_uppercase()));
    let unpack = |path: &PathBuf| {
        let mut text = String::new();
        flate2::read::GzDecoder::new(File::open(path).unwrap()).read_to_string(&mut text).unwrap();
        Document::new(name(path), text)
    };
    files.iter().map(unpack).collect()
}

/// The resources of an NDJSON file, by the names of the files that they were published in.
pub(crate) fn lines(folder_name: &str, file: &str) -> Vec<Document> {
    let base = folder().join(folder_name);
    let packed = File::open(base.join(format!("{file}.ndjson.zst"))).unwrap();
    let text = String::from_utf8(zstd::decode_all(packed).unwrap()).unwrap();
    let index = fs::read_to_string(base.join(format!("{file}.index.tsv"))).unwrap();
    let names = index.lines().skip(1).map(|row| row.split('\t').nth(3).unwrap().to_owned());
    names.zip(text.lines()).map(|(name, line)| Document::new(name, line.to_owned())).collect()
}

/// The definition with this canonical address in a file of definitions.
pub(crate) fn definition(file: &str, url: &str) -> Document {
    let packed = File::open(folder().join("definitions").join(format!("{file}.ndjson.zst"))).unwrap();
    let text = String::from_utf8(zstd::decode_all(packed).unwrap()).unwrap();
    let mut found = text.lines().map(|line| Document::new(file.to_owned(), line.to_owned()));
    found.find(|one| one.json.text("url") == Some(url)).unwrap_or_else(|| panic!("no {url} in {file}"))
}

/// The TestScripts.
pub(crate) fn test_scripts() -> Vec<Document> {
    let read = |path: &PathBuf| Document::new(name(path), fs::read_to_string(path).unwrap());
    files("testscripts", "json").iter().map(read).collect()
}

fn files(folder_name: &str, ending: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder().join(folder_name)).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| name(path).ends_with(ending));
    files.sort();
    assert!(!files.is_empty(), "there is nothing in {folder_name}");
    files
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_str().unwrap().to_owned()
}
