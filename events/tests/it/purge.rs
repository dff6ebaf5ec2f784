//! A compartment that is purged leaves no body and no key; while that is under way it takes no writes, and a hold forbids it.

use std::collections::BTreeSet;
use std::sync::Arc;

use anamnesis_events::audit::{Fault, Range, heads, log as walk};
use anamnesis_events::*;

use crate::erasure::{erase, purge, replace};
use crate::sealed::{KEY_A, at_home, open_sealed};
use crate::support::*;

const HOME: &str = "Patient/p";

fn patient() -> ResourceKey {
    ResourceKey::new("Patient", "p")
}

fn request() -> PurgeRequest {
    let agent: Arc<str> = Arc::from("records");
    PurgeRequest {
        compartment: HOME.to_owned(),
        key: patient(),
        agent,
        source: Some("asked for".into()),
        spares: vec!["Group".into()],
    }
}

/// An event of the patient that makes no version; the hold has its reason as a body.
pub(crate) fn mark(operation: Operation, erases: Erases, version: u32) -> Draft {
    let reason = br#"{"resourceType":"Parameters","parameter":[{"name":"reason","valueString":"MARKER"}]}"#;
    let payload = if operation == Operation::Hold { reason.to_vec() } else { Vec::new() };
    Draft { operation, erases, payload, stamp_at: None, ..write(patient(), version, "") }
}

async fn append(log: &Log, draft: Draft) -> Recorded {
    log.append(Group::single(draft)).await.unwrap().remove(0)
}

async fn refusal(log: &Log, draft: Draft) -> AppendError {
    log.append(Group::single(draft)).await.unwrap_err()
}

async fn faults(log: &Log) -> Vec<String> {
    let until = log.head().await.unwrap();
    let range = Range { after: Position::ZERO, until, hash: None, may_cut: false };
    let walked = walk(log, range, &mut |_| {}).await.unwrap();
    let heads = heads(log, &walked, &mut |_| {}).await.unwrap();
    walked.faults.kept().iter().chain(heads.faults.kept()).map(Fault::to_string).collect()
}

/// A patient with an observation of two versions, one that is deleted, one that has come from another patient and one that has
/// gone to another patient, and a hold that was released. Another patient has an observation and a group that names the first.
async fn fill(log: &Log) {
    append(log, write(patient(), 1, "MARKER")).await;
    append(log, write(key("a"), 1, "MARKER")).await;
    append(log, write(key("a"), 2, "MARKER")).await;
    append(log, write(key("deleted"), 1, "MARKER")).await;
    append(log, delete(key("deleted"), 2)).await;
    append(log, at_home("Patient/q", write(key("came"), 1, "other"))).await;
    append(log, write(key("came"), 2, "MARKER")).await;
    append(log, write(key("gone"), 1, "MARKER")).await;
    append(log, at_home("Patient/q", write(key("gone"), 2, "other"))).await;
    append(log, at_home("Patient/q", write(key("q"), 1, "other"))).await;
    let group = at_home("Group/~1", write(ResourceKey::new("Group", "g"), 1, "other"));
    append(log, Draft { touches: vec!["Group/~1".into(), HOME.into()], ..group }).await;
    append(log, mark(Operation::Hold, Erases::Nothing, 1)).await;
    append(log, mark(Operation::Release, Erases::Nothing, 1)).await;
}

#[tokio::test]
async fn a_purge_takes_every_body_of_a_compartment_and_leaves_a_whole_chain() {
    let database = database().await;
    let log = open(&database).await;
    fill(&log).await;
    let before = log.head().await.unwrap();
    let report = log.purge(&request()).await.unwrap();
    assert_eq!(report.begun, Some(before.next()));
    assert_eq!(report.ended, Some(log.head().await.unwrap()));
    // Patient, a, deleted, came and gone; a has two versions.
    assert_eq!((report.resources, report.versions, report.was_done), (5, 6, false));
    assert!(!report.key_destroyed);

    let left = format!("SELECT count(*) FROM anamnesis.event WHERE home = '{HOME}' AND payload <> ''");
    assert_eq!(number(&database, &left).await, 0);
    let events = check_whole(&log).await;
    for event in &events {
        assert!(!String::from_utf8_lossy(&event.payload).contains("MARKER"), "{}", event.position);
    }
    let kept: Vec<String> =
        events.iter().filter(|event| event.has_body()).map(|event| event.key.to_string()).collect();
    assert_eq!(kept, ["Observation/gone", "Observation/q", "Group/g"]);
    let ends: Vec<Kind> = events.iter().skip(13).map(|event| event.kind).collect();
    assert_eq!(ends.first(), Some(&Kind::PurgeBegun));
    assert_eq!(ends.last(), Some(&Kind::CompartmentPurged));
    assert_eq!(ends.iter().filter(|kind| **kind == Kind::ResourceErased).count(), 4);
    assert_eq!(ends.iter().filter(|kind| **kind == Kind::HistoryErased).count(), 1);
    assert_eq!(faults(&log).await, Vec::<String>::new());
    assert_eq!(number(&database, "SELECT count(*) FROM anamnesis.compartment_guard").await, 0);
    assert_eq!(number(&database, "SELECT count(*) FROM anamnesis.log WHERE guarded").await, 0);
    assert!(open(&database).await.broken().is_none());

    // A second time there is nothing to do; the resource may come back, and be purged again.
    let again = log.purge(&request()).await.unwrap();
    assert_eq!(again, PurgeReport { was_done: true, ..report });
    assert_eq!(log.head().await.unwrap(), report.ended.unwrap());
    append(&log, write(patient(), 3, "new")).await;
    let third = log.purge(&request()).await.unwrap();
    assert_eq!((third.resources, third.versions, third.was_done), (1, 1, false));
    assert_eq!(faults(&log).await, Vec::<String>::new());
    check_whole(&log).await;
}

#[tokio::test]
async fn what_is_left_elsewhere_is_told() {
    let log = open(&database().await).await;
    fill(&log).await;
    log.purge(&request()).await.unwrap();
    let groups = log.mentions(HOME, ("Group", true), 10).await.unwrap();
    assert_eq!((groups.count, groups.first), (1, vec![ResourceKey::new("Group", "g")]));
    assert_eq!(log.mentions(HOME, ("Group", false), 10).await.unwrap(), Mentions::default());
    let never = PurgeRequest { key: ResourceKey::new("Patient", "never"), ..request() };
    let never = log.purge(&PurgeRequest { compartment: "Patient/never".into(), ..never }).await;
    assert!(matches!(never, Err(PurgeError::NotFound)), "{never:?}");
}

#[tokio::test]
async fn a_purge_destroys_the_data_key_and_what_comes_back_gets_another() {
    let database = database().await;
    let log = open_sealed(&database, KEY_A).await;
    let other_node = open_sealed(&database, KEY_A).await;
    fill(&log).await;
    // Both have the key in memory.
    append(&other_node, write(key("a"), 3, "MARKER")).await;
    let report = log.purge(&request()).await.unwrap();
    assert!(report.key_destroyed);
    let living = "SELECT count(*) FROM anamnesis.data_key WHERE wrapped IS NOT NULL AND compartment =
        encode(substring(sha256('Patient/p') FOR 16), 'hex')::uuid";
    assert_eq!(number(&database, living).await, 0);
    assert_eq!(faults(&log).await, Vec::<String>::new());
    assert!(log.purge(&request()).await.unwrap().key_destroyed, "the report stays the same");
    append(&other_node, write(patient(), 3, "new")).await;
    assert_eq!(number(&database, living).await, 1);
    assert!(log.current(&patient()).await.unwrap().unwrap().has_body());
    check_whole(&log).await;
}

#[tokio::test]
async fn a_purge_that_has_begun_refuses_writes_on_every_node_and_goes_on_later() {
    let database = database().await;
    let log = open(&database).await;
    let other_node = open(&database).await;
    fill(&log).await;
    append(&other_node, at_home("Patient/q", write(key("q2"), 1, "other"))).await;
    append(&log, mark(Operation::Purge, Erases::Nothing, 1)).await;
    let touching = at_home("Patient/q", write(key("new"), 1, ""));
    let touching = Draft { touches: vec!["Patient/q".into(), HOME.into()], ..touching };
    for node in [&log, &other_node] {
        for draft in [
            write(key("new"), 1, ""),
            write(patient(), 2, ""),
            delete(key("a"), 3),
            replace(key("a"), 3, ""),
            touching.clone(),
            Draft { touches: vec![], ..write(key("bare"), 1, "") },
            mark(Operation::Hold, Erases::Nothing, 1),
            mark(Operation::Purge, Erases::Nothing, 1),
        ] {
            let refused = refusal(node, draft).await;
            assert!(matches!(refused, AppendError::Purging { .. }), "{refused:?}");
        }
    }
    // Others go on, and what takes all away may be quicker than the purge.
    append(&other_node, at_home("Patient/q", write(key("q2"), 2, "other"))).await;
    append(&other_node, erase(key("a"), 3)).await;
    log.close().await;

    let reopened = open(&database).await;
    let open = reopened.open_purges().await.unwrap();
    assert_eq!(open.len(), 1);
    assert_eq!((open[0].request.compartment.as_str(), &open[0].request.key), (HOME, &patient()));
    assert_eq!(&*open[0].request.agent, "test");
    let report = reopened.purge(&open[0].request).await.unwrap();
    assert_eq!((report.resources, report.versions, report.was_done), (5, 6, false));
    assert!(reopened.open_purges().await.unwrap().is_empty());
    assert_eq!(faults(&reopened).await, Vec::<String>::new());
    check_whole(&reopened).await;
}

#[tokio::test]
async fn a_hold_refuses_what_takes_away_and_lets_writes_go_on() {
    let database = database().await;
    let log = open(&database).await;
    let other_node = open(&database).await;
    fill(&log).await;
    let held = append(&log, mark(Operation::Hold, Erases::Nothing, 1)).await;
    let is_held =
        |error: &AppendError| matches!(error, AppendError::Held { since, .. } if *since == held.recorded_at);
    for node in [&log, &other_node] {
        for draft in [
            erase(key("a"), 3),
            purge(key("a"), 2),
            mark(Operation::Purge, Erases::Nothing, 1),
            mark(Operation::Hold, Erases::Nothing, 1),
            // What is held of it is a version that it had when it was the patient's.
            at_home("Patient/q", purge(key("gone"), 2)),
            at_home("Patient/q", erase(key("gone"), 3)),
        ] {
            let refused = refusal(node, draft.clone()).await;
            assert!(is_held(&refused), "{refused:?} {draft:?}");
        }
        let refused = node.purge(&request()).await;
        assert!(
            matches!(refused, Err(PurgeError::Held { since }) if since == held.recorded_at),
            "{refused:?}"
        );
    }
    // The version before stays where it would have gone; so does that of a resource that leaves.
    append(&other_node, replace(key("a"), 3, "MARKER")).await;
    append(&log, at_home("Patient/q", replace(key("a"), 4, "MARKER"))).await;
    append(&log, Draft { erases: Erases::Previous, ..delete(key("came"), 3) }).await;
    assert!(all(&log).await.iter().all(|event| event.erased.is_none()));
    append(&log, at_home("Patient/q", replace(key("q"), 2, "other"))).await;
    assert_eq!(all(&log).await.iter().filter(|event| event.erased.is_some()).count(), 1);

    let hold = log.hold(HOME).await.unwrap().unwrap();
    assert_eq!((hold.event.position, hold.event.kind), (held.position, Kind::LegalHoldPlaced));
    assert!(String::from_utf8_lossy(&hold.event.payload).contains("reason"));
    append(&other_node, mark(Operation::Release, Erases::Nothing, 1)).await;
    assert!(log.hold(HOME).await.unwrap().is_none());
    let twice = refusal(&log, mark(Operation::Release, Erases::Nothing, 1)).await;
    assert!(matches!(twice, AppendError::NotBegun { .. }), "{twice:?}");
    assert!(!log.purge(&request()).await.unwrap().was_done);
    assert_eq!(faults(&log).await, Vec::<String>::new());
    check_whole(&log).await;
}

#[tokio::test]
async fn a_hold_on_another_patient_that_something_has_moved_to_stops_a_purge_before_it_begins() {
    let log = open(&database().await).await;
    fill(&log).await;
    append(&log, at_home("Patient/q", write(ResourceKey::new("Patient", "q"), 1, "other"))).await;
    let other = Draft { key: ResourceKey::new("Patient", "q"), ..mark(Operation::Hold, Erases::Nothing, 1) };
    append(&log, at_home("Patient/q", other)).await;
    let head = log.head().await.unwrap();
    let refused = log.purge(&request()).await;
    assert!(matches!(refused, Err(PurgeError::Held { .. })), "{refused:?}");
    assert_eq!(log.head().await.unwrap(), head);

    // Nor is the other one purged while what it got from this one is held here.
    let of_q = |operation| Draft {
        key: ResourceKey::new("Patient", "q"),
        ..at_home("Patient/q", mark(operation, Erases::Nothing, 1))
    };
    append(&log, of_q(Operation::Release)).await;
    append(&log, mark(Operation::Hold, Erases::Nothing, 1)).await;
    let head = log.head().await.unwrap();
    let other = PurgeRequest { compartment: "Patient/q".into(), key: of_q(Operation::Hold).key, ..request() };
    let refused = log.purge(&other).await;
    assert!(matches!(refused, Err(PurgeError::Held { .. })), "{refused:?}");
    assert_eq!(log.head().await.unwrap(), head);
    append(&log, mark(Operation::Release, Erases::Nothing, 1)).await;
    assert!(!log.purge(&other).await.unwrap().was_done);
    assert!(!log.purge(&request()).await.unwrap().was_done);
    assert_eq!(faults(&log).await, Vec::<String>::new());
}

#[tokio::test]
async fn what_others_would_lose_stops_a_purge_before_it_begins_or_is_told() {
    let log = open(&database().await).await;
    fill(&log).await;
    let both = vec![HOME.to_owned(), "Patient/q".to_owned()];
    let shared = ResourceKey::new("Group", "shared");
    append(&log, Draft { touches: both.clone(), ..write(shared.clone(), 1, "MARKER") }).await;
    append(&log, write(ResourceKey::new("Group", "alone"), 1, "MARKER")).await;
    append(&log, Draft { touches: both, ..write(key("both"), 1, "MARKER") }).await;
    let head = log.head().await.unwrap();
    let refused = log.purge(&request()).await;
    let expected = Mentions { count: 1, first: vec![shared.clone()] };
    assert!(matches!(&refused, Err(PurgeError::Shared(found)) if *found == expected), "{refused:?}");
    assert_eq!(log.head().await.unwrap(), head);
    // Without the patient it lives with another one, and loses its earlier versions.
    append(&log, at_home("Patient/q", write(shared.clone(), 2, "other"))).await;
    let report = log.purge(&request()).await.unwrap();
    assert_eq!(report.shared, Mentions { count: 1, first: vec![key("both")] });
    assert!(log.current(&shared).await.unwrap().unwrap().has_body());
    assert!(log.version(&shared, Version::new(1)).await.unwrap().unwrap().erased.is_some());
    assert_eq!(faults(&log).await, Vec::<String>::new());
}

#[tokio::test]
async fn steps_are_bounded_and_two_nodes_may_purge_at_once() {
    let database = database().await;
    let log = open(&database).await;
    let other_node = open(&database).await;
    append(&log, write(patient(), 1, "MARKER")).await;
    for part in 0..5 {
        let drafts = (0..100).map(|number| write(key(&format!("{part}-{number}")), 1, "MARKER")).collect();
        log.append(group(drafts)).await.unwrap();
    }
    let asked = request();
    let (one, other) = futures::join!(log.purge(&asked), other_node.purge(&asked));
    for report in [one.unwrap(), other.unwrap()] {
        assert_eq!((report.resources, report.versions), (501, 501));
    }
    let largest = "SELECT max(n) FROM (SELECT count(*) AS n FROM anamnesis.event WHERE erased_by IS NOT NULL
        GROUP BY xmin) AS steps";
    assert!(number(&database, largest).await <= 200);
    assert_eq!(all(&log).await.iter().filter(|event| event.kind == Kind::ResourceErased).count(), 501);
    assert_eq!(faults(&log).await, Vec::<String>::new());
    check_whole(&log).await;
}

#[tokio::test]
async fn writes_beside_a_purge_are_before_it_and_erased_or_refused_or_after_its_end() {
    let database = database().await;
    let log = open(&database).await;
    let other_node = open(&database).await;
    append(&log, write(patient(), 1, "MARKER")).await;
    for number in 0..50 {
        append(&log, write(key(&format!("old-{number}")), 1, "MARKER")).await;
    }
    let writers = (0..8).map(|writer| {
        let node = if writer % 2 == 0 { log.clone() } else { other_node.clone() };
        async move {
            let (mut recorded, mut refused) = (Vec::new(), 0);
            for number in 0..40 {
                let draft = write(key(&format!("{writer}-{number}")), 1, "MARKER");
                match node.append(Group::single(draft)).await {
                    Ok(written) => recorded.push(written[0].position),
                    Err(AppendError::Purging { .. }) => refused += 1,
                    Err(other) => panic!("{other:?}"),
                }
            }
            (recorded, refused)
        }
    });
    let asked = request();
    let purging = async {
        tokio::task::yield_now().await;
        log.purge(&asked).await.unwrap()
    };
    let (report, written) = futures::join!(purging, futures::future::join_all(writers));
    let (begun, ended) = (report.begun.unwrap(), report.ended.unwrap());
    let written: BTreeSet<Position> = written.into_iter().flat_map(|(recorded, _)| recorded).collect();
    assert!(written.iter().any(|position| *position < begun), "none was before it");
    for event in check_whole(&log).await {
        let is_write = event.kind == Kind::ResourceCreated;
        assert!(!is_write || event.position < begun || event.position > ended, "{}", event.position);
        assert_eq!(is_write && event.position < begun, event.erased.is_some(), "{}", event.position);
    }
    assert_eq!(faults(&log).await, Vec::<String>::new());
}

#[tokio::test]
async fn nothing_but_the_end_of_its_own_purge_takes_what_is_left_of_a_compartment() {
    let database = database().await;
    let log = open(&database).await;
    append(&log, write(key("a"), 1, "first")).await;
    let (client, connection) = tokio_postgres::connect(&database, tokio_postgres::NoTls).await.unwrap();
    let driver = tokio::spawn(connection);
    let append = |kind: i32, home: &str| {
        format!(
            "BEGIN; INSERT INTO anamnesis.event
                 (log, seq, recorded_at, prev_seq, version, kind, kind_version, resource_type, id, home, agent, hash, payload)
             VALUES (1, 2, now(), 1, 1, {kind}, 1, 'Patient', 'p', '{home}', 'x', 'x', '');
             UPDATE anamnesis.event SET payload = NULL, commitment = sha256('x'), erased_by = 2 WHERE seq = 1; ROLLBACK"
        )
    };
    assert!(client.batch_execute(&append(9, HOME)).await.is_ok());
    for refused in
        [append(9, "Patient/q"), append(8, HOME), append(10, HOME), append(11, HOME), append(6, HOME)]
    {
        assert!(client.batch_execute(&refused).await.is_err(), "{refused}");
        client.batch_execute("ROLLBACK").await.unwrap();
    }
    drop(client);
    driver.await.unwrap().unwrap();
}

#[tokio::test]
async fn an_audit_finds_a_body_that_came_back_after_a_purge() {
    let database = database().await;
    let log = open(&database).await;
    fill(&log).await;
    log.purge(&request()).await.unwrap();
    // The hold's reason: no erasure of a resource takes it.
    let restore = "SET session_replication_role = replica;
        UPDATE anamnesis.event SET payload = (SELECT payload FROM anamnesis.event WHERE id = 'q' LIMIT 1),
            commitment = NULL, erased_by = NULL WHERE kind = 10";
    statement(&database, restore).await;
    let found = faults(&log).await;
    assert!(found.iter().any(|fault| fault.contains("a body that it erases is still there")), "{found:?}");
}

#[tokio::test]
async fn an_audit_finds_a_hold_that_is_not_in_force_and_one_that_nobody_placed() {
    let database = database().await;
    let log = open(&database).await;
    fill(&log).await;
    append(&log, mark(Operation::Hold, Erases::Nothing, 1)).await;
    assert_eq!(faults(&log).await, Vec::<String>::new());
    statement(&database, "UPDATE anamnesis.compartment_guard SET hold_seq = 12").await;
    let found = faults(&log).await;
    assert!(found.iter().any(|fault| fault.contains("is not in force")), "{found:?}");
    statement(
        &database,
        "UPDATE anamnesis.compartment_guard SET hold_seq = 14, compartment = gen_random_uuid()",
    )
    .await;
    let found = faults(&log).await;
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found.iter().any(|fault| fault.contains("of which there is no event")), "{found:?}");
}
