//! Appending: positions, versions, conflicts, groups, identifiers, stamps and limits.

use anamnesis_events::*;

use crate::support::*;

#[tokio::test]
async fn the_first_event_has_position_one_and_reads_back() {
    let log = fresh_log().await;
    let mut draft = write(key("1"), 1, "hello");
    draft.touches = vec!["Practitioner/z".into(), "Practitioner/a".into()];
    draft.source = Some("import".into());
    let recorded = log.append(Group::single(draft)).await.unwrap().remove(0);
    assert_eq!(recorded.position, Position::new(1));
    assert_eq!(*log.watch().borrow(), Position::new(1), "the doorbell rings before the answer");
    let event = log.current(&key("1")).await.unwrap().unwrap();
    let stamp = recorded.recorded_at.format("%Y-%m-%dT%H:%M:%S%.6fZ");
    let body = format!(
        r#"{{"resourceType":"Observation","id":"1","meta":{{"versionId":"1","lastUpdated":"{stamp}"}},"note":"hello"}}"#
    );
    assert_eq!(event.payload, body.as_bytes());
    assert_eq!(recorded.payload, event.payload);
    assert_eq!(event.recorded_at, recorded.recorded_at);
    assert_eq!(event.touches, ["Patient/p", "Practitioner/a", "Practitioner/z"]);
    assert_eq!(
        (event.home.as_str(), &*event.agent, event.source.as_deref()),
        ("Patient/p", "test", Some("import"))
    );
    assert_eq!(
        (event.kind, event.kind_version, event.operation),
        (Kind::ResourceCreated, 1, Operation::Create)
    );
    assert_eq!((event.transaction, event.previous), (None, None));
    assert_eq!(event.hash, envelope::chain(&envelope::genesis("default"), &event));
    log.close().await;
}

#[tokio::test]
async fn a_log_of_writes_updates_deletes_and_bundles_is_whole() {
    let log = fresh_log().await;
    log.append(Group::single(write(key("1"), 1, "a"))).await.unwrap();
    log.append(group(vec![write(key("2"), 1, "b"), write(key("1"), 2, "c")])).await.unwrap();
    log.append(Group::single(delete(key("1"), 3))).await.unwrap();
    log.append(Group::single(write(key("1"), 4, "back"))).await.unwrap();
    let events = check_whole(&log).await;
    assert_eq!(events.len(), 5);
    assert!(events[3].payload.is_empty());
    assert_eq!(all(&log).await, events);
}
