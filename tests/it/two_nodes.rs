//! Two servers' actors over one log: a stale cache costs a retry, never a wrong answer.

use std::sync::Arc;

use anamnesis::actors::{ActorOptions, Compartments, Outcome, WriteError};
use anamnesis::decide::{Candidate, Command, Expected, Provenance, Refusal, Rules};
use anamnesis_events::{Log, ResourceKey, Version};
use anamnesis_fhir::json::{Document, Limits};
use futures::future::join_all;

use crate::support::test;

fn node(log: &Log) -> Compartments {
    Compartments::start(log.clone(), Rules::default(), ActorOptions::default()).unwrap()
}

fn provenance() -> Provenance {
    Provenance::of(Arc::from("test"))
}

async fn put(node: &Compartments, number: u32, expected: Expected) -> Result<Outcome, WriteError> {
    let text = format!(r#"{{"resourceType":"Patient","id":"a","multipleBirthInteger":{number}}}"#);
    let document = Document::parse(text, &Limits::default()).unwrap();
    let candidate = Arc::new(Candidate::new(ResourceKey::new("Patient", "a"), document, &[]));
    let command = Command::Update { candidate, expected, unless_held: Vec::new() };
    node.submit(command, provenance()).await
}

async fn delete(node: &Compartments, expected: Expected) -> Result<Outcome, WriteError> {
    let key = ResourceKey::new("Patient", "a");
    node.submit(Command::Delete { key, expected, hard: false }, provenance()).await
}

fn version(outcome: Result<Outcome, WriteError>) -> u32 {
    match outcome {
        Ok(Outcome::Written { recorded, .. }) => recorded.version.get(),
        other => panic!("not written: {other:?}"),
    }
}

fn expect(number: u32) -> Expected {
    Expected::Versions(vec![Version::new(number)])
}

#[test]
fn what_the_other_node_wrote_is_noticed() {
    test(|server| async move {
        let (one, two) = (node(&server.log), node(&server.log));
        assert_eq!(version(put(&one, 1, Expected::Anything).await), 1);
        assert_eq!(version(put(&two, 2, expect(1)).await), 2);
        // The first node still holds version 1.
        let stale = put(&one, 3, expect(1)).await;
        let mismatch = Refusal::VersionMismatch { current: Version::new(2) };
        assert!(matches!(stale, Err(WriteError::Refused(refusal)) if refusal == mismatch));
        assert_eq!(version(put(&two, 3, expect(2)).await), 3);
        assert_eq!(version(put(&one, 4, expect(3)).await), 4);
        // The second node holds version 3, whose content is sent again.
        assert_eq!(version(put(&two, 3, Expected::Anything).await), 5);
        assert!(
            matches!(put(&one, 3, Expected::Anything).await, Ok(Outcome::Unchanged(current)) if current.version == Version::new(5))
        );
        assert_eq!(version(delete(&two, Expected::Anything).await), 6);
        assert!(
            matches!(delete(&one, Expected::Anything).await, Ok(Outcome::Absent(Some(current))) if current.version == Version::new(6))
        );
        assert_eq!(version(put(&one, 3, Expected::Nothing).await), 7);
        assert!(matches!(
            put(&two, 9, Expected::Nothing).await,
            Err(WriteError::Refused(Refusal::Exists { .. }))
        ));
        one.stop();
        two.stop();
    });
}

#[test]
fn both_nodes_write_at_once_and_no_version_is_lost() {
    test(|server| async move {
        let nodes = [node(&server.log), node(&server.log)];
        let writes = (0..40).map(|number| put(&nodes[number as usize % 2], number, Expected::Anything));
        let outcomes = join_all(writes).await;
        let contended =
            outcomes.iter().filter(|outcome| matches!(outcome, Err(WriteError::Contended { .. }))).count();
        let mut versions: Vec<u32> = outcomes
            .into_iter()
            .filter(|outcome| !matches!(outcome, Err(WriteError::Contended { .. })))
            .map(version)
            .collect();
        versions.sort_unstable();
        assert_eq!(versions, (1..=40 - u32::try_from(contended).unwrap()).collect::<Vec<_>>());
        assert_eq!(server.events().await, versions.len() as u64);
        for node in nodes {
            node.stop();
        }
    });
}
