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
    assert_eq!(event.hash, envelope::chain(&envelope::genesis(log.workspace()), &event));
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

fn moved(index: usize, found: u32, deleted: bool) -> AppendError {
    AppendError::Conflict { index, kind: ConflictKind::HeadMoved { found: Version::new(found), deleted } }
}

#[tokio::test]
async fn a_stale_version_is_refused_and_says_where_the_resource_stands() {
    let log = fresh_log().await;
    let append = async |draft| log.append(Group::single(draft)).await;
    append(write(key("1"), 1, "a")).await.unwrap();
    assert_eq!(append(write(key("1"), 1, "b")).await.unwrap_err(), moved(0, 1, false));
    assert_eq!(append(write(key("1"), 3, "b")).await.unwrap_err(), moved(0, 1, false));
    append(delete(key("1"), 2)).await.unwrap();
    assert_eq!(append(write(key("1"), 2, "b")).await.unwrap_err(), moved(0, 2, true));
    assert_eq!(append(write(key("2"), 2, "b")).await.unwrap_err(), moved(0, 0, false));
    assert_eq!(check_whole(&log).await.len(), 2);
}

#[tokio::test]
async fn a_group_with_one_conflict_is_not_recorded_at_all() {
    let log = fresh_log().await;
    let drafts = vec![write(key("1"), 1, "a"), write(key("2"), 5, "b"), write(key("3"), 1, "c")];
    assert_eq!(log.append(group(drafts)).await.unwrap_err(), moved(1, 0, false));
    assert_eq!(log.head().await.unwrap(), Position::ZERO);
    assert_eq!(log.heads(&[key("1"), key("3")]).await.unwrap(), [None, None]);
}

#[tokio::test]
async fn a_conflict_does_not_fail_its_neighbours_in_the_batch() {
    let log = fresh_log().await;
    // Joined futures are queued at once, so that most of them end up in one batch.
    let writes = (0..60).map(|n| {
        let version = if n % 3 == 0 { 9 } else { 1 };
        log.append(group(vec![
            write(key(&format!("{n}")), version, "a"),
            write(key(&format!("{n}b")), 1, "b"),
        ]))
    });
    for (n, result) in futures::future::join_all(writes).await.into_iter().enumerate() {
        assert_eq!(result.is_err(), n % 3 == 0, "{n}: {result:?}");
    }
    assert_eq!(check_whole(&log).await.len(), 80);
}

#[tokio::test]
async fn a_group_without_drafts_records_nothing() {
    let log = fresh_log().await;
    assert_eq!(log.append(group(vec![])).await, Ok(vec![]));
    assert_eq!(log.head().await.unwrap(), Position::ZERO);
}

#[tokio::test]
async fn drafts_that_could_not_be_read_back_are_refused() {
    let log = fresh_log().await;
    let good = || write(key("1"), 1, "a");
    let bad = [
        Draft { version: Version::NONE, ..good() },
        Draft { key: key(""), ..good() },
        Draft { key: key("a\nb"), ..good() },
        Draft { key: ResourceKey::new("A/b", "c"), ..good() },
        Draft { home: "x".repeat(256), ..good() },
        Draft { touches: vec!["Patient/1\nPatient/2".into()], ..good() },
        Draft { agent: "\0".into(), ..good() },
        Draft { stamp_at: Some(3), ..good() },
        Draft { stamp_at: Some(usize::MAX), ..good() },
        Draft { operation: Operation::Delete, ..good() },
    ];
    for draft in bad {
        let result = log.append(group(vec![good(), draft])).await;
        assert!(matches!(result, Err(AppendError::Invalid { index: 1, .. })), "{result:?}");
    }
    assert_eq!(log.head().await.unwrap(), Position::ZERO);
}

#[tokio::test]
async fn a_group_beyond_the_limits_is_refused() {
    let options = LogOptions { group_events_max: 2, queue_bytes_max: 1000, ..LogOptions::default() };
    let log = fresh_log_with(options).await;
    let three = (0..3).map(|n| write(key(&n.to_string()), 1, "a")).collect();
    assert!(matches!(log.append(group(three)).await, Err(AppendError::TooLarge { events: 3, .. })));
    let long = write(key("1"), 1, &"x".repeat(1000));
    assert!(matches!(log.append(group(vec![long])).await, Err(AppendError::TooLarge { events: 1, .. })));
}

#[tokio::test]
async fn what_does_not_fit_the_queue_is_refused_as_overload_and_the_rest_is_recorded() {
    let options = LogOptions { queue_groups_max: 4, ..LogOptions::default() };
    let log = fresh_log_with(options).await;
    let writes = (0..40).map(|n| log.append(Group::single(write(key(&n.to_string()), 1, "a"))));
    let results = futures::future::join_all(writes).await;
    let refused = results.iter().filter(|result| **result == Err(AppendError::Overloaded)).count();
    let recorded = results.iter().filter(|result| result.is_ok()).count();
    assert!(refused > 0 && recorded >= 4, "{refused} refused, {recorded} recorded");
    assert_eq!(refused + recorded, 40);
    assert_eq!(check_whole(&log).await.len(), recorded);
}

#[tokio::test]
async fn memory_of_the_queue_is_bounded_and_given_back() {
    let options = LogOptions { queue_bytes_max: 3000, ..LogOptions::default() };
    let log = fresh_log_with(options).await;
    for round in 0..3 {
        let write = |n: u32| write(key(&format!("{round}-{n}")), 1, &"x".repeat(1200));
        let writes = (0..4).map(|n| log.append(Group::single(write(n))));
        let results = futures::future::join_all(writes).await;
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 2, "{results:?}");
    }
}

#[tokio::test]
async fn a_request_that_goes_away_does_not_take_its_append_with_it() {
    let log = fresh_log().await;
    {
        let append = log.append(Group::single(write(key("1"), 1, "a")));
        futures::pin_mut!(append);
        assert!(futures::poll!(append).is_pending());
    }
    let mut head = log.watch();
    head.wait_for(|head| *head == Position::new(1)).await.unwrap();
    assert!(log.current(&key("1")).await.unwrap().is_some());
}

#[tokio::test]
async fn closing_records_what_is_queued_and_takes_no_more() {
    let log = fresh_log().await;
    let writes = (0..50).map(|n| log.append(Group::single(write(key(&n.to_string()), 1, "a"))));
    let (results, ()) = futures::join!(futures::future::join_all(writes), log.close());
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    assert_eq!(log.append(Group::single(write(key("x"), 1, "a"))).await, Err(AppendError::Closed));
    assert_eq!(check_whole(&log).await.len(), 50);
    log.close().await;
}

#[tokio::test]
async fn times_strictly_increase_also_when_the_clock_jumps_back() {
    let jumps = std::sync::atomic::AtomicI64::new(0);
    let clock = move || {
        let count = jumps.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let seconds = if count % 2 == 0 { 1_700_000_000 } else { 1_600_000_000 };
        chrono::DateTime::from_timestamp(seconds + count, 0).unwrap()
    };
    let options = LogOptions { clock: std::sync::Arc::new(clock), ..LogOptions::default() };
    let log = fresh_log_with(options).await;
    for n in 0..10 {
        log.append(group(vec![write(key(&n.to_string()), 1, "a"), write(key(&format!("{n}b")), 1, "a")]))
            .await
            .unwrap();
    }
    let events = check_whole(&log).await;
    assert_eq!(events[0].recorded_at.timestamp(), 1_700_000_000);
    assert_eq!(events[19].recorded_at.timestamp(), 1_700_000_008);
}

#[tokio::test]
async fn workspaces_in_one_database_have_logs_of_their_own() {
    let database = database().await;
    let first = open(&database).await;
    let second = Log::open(&database, "other", LogOptions::default()).await.unwrap();
    first.append(Group::single(write(key("1"), 1, "a"))).await.unwrap();
    let recorded = second.append(Group::single(write(key("1"), 1, "b"))).await.unwrap();
    assert_eq!(recorded[0].position, Position::new(1));
    assert_eq!(check_whole(&first).await.len(), 1);
    let event = second.current(&key("1")).await.unwrap().unwrap();
    assert_eq!(event.hash, envelope::chain(&envelope::genesis("other"), &event));
}

#[tokio::test]
async fn names_of_workspaces_are_checked() {
    let database = database().await;
    for name in ["", "a\nb", &"x".repeat(65)] {
        let opened = Log::open(&database, name, LogOptions::default()).await;
        assert!(matches!(opened, Err(LogError::Workspace(_))), "{name:?}");
    }
}

#[tokio::test]
async fn large_bodies_and_odd_characters_come_back_as_they_were() {
    let log = fresh_log().await;
    let note: String = "äöü 𝄞 \u{2028} ".chars().cycle().take(300_000).collect();
    let mut draft = write(ResourceKey::new("Basic", "A-._ü"), 1, &note);
    draft.payload.extend((0..200_000u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()));
    let recorded = log.append(Group::single(draft)).await.unwrap().remove(0);
    let event = log.current(&ResourceKey::new("Basic", "A-._ü")).await.unwrap().unwrap();
    assert_eq!(event.payload, recorded.payload);
    check_whole(&log).await;
}
