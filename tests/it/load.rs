//! The loader against the real server, with the patients of the generator.

use std::collections::BTreeMap;
use std::path::Path;

use anamnesis::load::{Failure, Observer, Options, Source, Summary, load};
use anamnesis::synth::{Generator, SharedResources};
use tokio_util::sync::CancellationToken;

use crate::support::{Server, test};

#[derive(Default)]
struct Failures(Vec<Failure>);

impl Observer for Failures {
    fn began(&mut self, _: &[Source]) {}

    fn advanced(&mut self, _: &Summary, _: u64) {}

    fn failed(&mut self, failure: &Failure) {
        self.0.push(failure.clone());
    }
}

/// Loads a directory with verification; everything must succeed.
async fn load_all(server: &Server, directory: &Path) -> Summary {
    let options = Options {
        paths: vec![directory.to_owned()],
        server: server.base.parse().unwrap(),
        concurrency: 8,
        retries: 3,
        verify: true,
        headers: reqwest::header::HeaderMap::new(),
    };
    let mut failures = Failures::default();
    let summary = load(&options, &mut failures, &CancellationToken::new()).await.unwrap();
    assert!(summary.is_complete(), "{summary:?} {:#?}", failures.0);
    assert_eq!(summary.verified, summary.accepted);
    summary
}

#[test]
fn patients_load_in_any_order_read_back_equal_and_share_what_they_share() {
    test(|server| async move {
        let generator = Generator::new(1);
        let directory = tempfile::tempdir().unwrap();
        let mut resources = 0;
        for index in 1..=16 {
            let bundle = generator.patient(index);
            resources += bundle.resource_count();
            std::fs::write(directory.path().join(format!("{index}.json")), &bundle.json).unwrap();
        }
        // All at once and without the directory: the organizations are created by whoever comes first.
        let summary = load_all(&server, directory.path()).await;
        assert_eq!((summary.accepted, summary.requests), (resources, 16));
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        for kind in ["Organization", "Location", "Practitioner"] {
            let history = server.send("GET", &format!("/{kind}/_history?_count=200"), &[], "").await.json();
            for entry in history["entry"].as_array().unwrap() {
                *seen.entry(entry["resource"]["identifier"][0]["value"].to_string()).or_default() += 1;
            }
        }
        assert!(seen.len() > 30 && seen.values().all(|count| *count == 1), "{seen:?}");
    });
}

#[test]
fn conditional_references_find_the_directory_which_is_sent_first() {
    test(|server| async move {
        let generator = Generator::new(2).shared_resources(SharedResources::Conditional);
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("zz-directory.json"), generator.directory().json).unwrap();
        let mut lines = Vec::new();
        for index in 1..=5 {
            lines.extend(generator.patient(index).json);
            lines.push(b'\n');
        }
        let packed = zstd::encode_all(&lines[..], 1).unwrap();
        std::fs::write(directory.path().join("patients.ndjson.zst"), packed).unwrap();
        let summary = load_all(&server, directory.path()).await;
        assert_eq!((summary.requests, summary.files, summary.retries), (6, 2, 0));
    });
}

#[test]
fn single_resources_are_written_again_without_harm() {
    test(|server| async move {
        let directory = tempfile::tempdir().unwrap();
        let lines: String = (0..120)
            .map(|number| format!("{{\"resourceType\":\"Basic\",\"id\":\"b{number}\",\"code\":{{\"text\":\"1.{number}0\"}}}}\n"))
            .collect();
        std::fs::write(directory.path().join("basic.ndjson"), lines).unwrap();
        for _ in 0..2 {
            let summary = load_all(&server, directory.path()).await;
            assert_eq!((summary.accepted, summary.requests), (120, 2));
        }
    });
}
