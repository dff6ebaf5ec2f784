//! The published resources that conformance tests run over; they are not part of the repository.

#![expect(clippy::unwrap_used, reason = "a broken corpus fails the test")]

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use anamnesis_fhir::json::{Document, Limits, Value};

/// The folder that `ANAMNESIS_CORPUS` names, else `shared/corpus` beside the repository. Without it a test fails.
#[expect(clippy::disallowed_methods, reason = "a test takes its corpus from the environment")]
pub(crate) fn folder() -> PathBuf {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpus");
    let folder = std::env::var_os("ANAMNESIS_CORPUS").map_or_else(beside, PathBuf::from);
    assert!(folder.is_dir(), "no corpus at {}; set ANAMNESIS_CORPUS", folder.display());
    folder
}

/// The examples of R4, those of US Core, and all entries of the bundles that Synthea made.
pub(crate) fn resources() -> Vec<Document> {
    let mut documents = Vec::new();
    for name in ["spec-examples/spec-examples-dev", "us-core/us-core-examples-dev"] {
        let packed = File::open(folder().join(format!("{name}.ndjson.zst"))).unwrap();
        let text = String::from_utf8(zstd::decode_all(packed).unwrap()).unwrap();
        documents.extend(text.lines().map(parse));
    }
    for bundle in synthea() {
        let entries = bundle.root().get("entry").unwrap();
        documents.extend(entries.items().map(|entry| parse(entry.get("resource").unwrap().raw())));
        documents.push(bundle);
    }
    documents
}

/// The bundles that Synthea made, by file name.
pub(crate) fn synthea() -> Vec<Document> {
    let files = fs::read_dir(folder().join("synthea")).unwrap().map(|file| file.unwrap().path());
    let mut packed: Vec<_> = files.filter(|path| path.extension().is_some_and(|end| end == "gz")).collect();
    packed.sort();
    let unpack = |path: &PathBuf| {
        let mut text = String::new();
        flate2::read::GzDecoder::new(File::open(path).unwrap()).read_to_string(&mut text).unwrap();
        parse(&text)
    };
    packed.iter().map(unpack).collect()
}

/// The type of a resource.
pub(crate) fn type_of(root: Value<'_>) -> String {
    root.get("resourceType").unwrap().as_str().unwrap().into_owned()
}

fn parse(text: &str) -> Document {
    Document::parse(text, &Limits::default()).unwrap()
}
