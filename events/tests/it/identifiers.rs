//! Conditional writes: an identifier that must be free is free, whoever races for it.

use anamnesis_events::*;

use crate::support::*;

fn patient(id: &str) -> ResourceKey {
    ResourceKey::new("Patient", id)
}

fn mrn(value: &str) -> Identifier {
    Identifier { system: "urn:mrn".into(), value: value.into() }
}

fn holding(id: &str, version: u32, values: &[&str]) -> Draft {
    Draft { identifiers: values.iter().map(|value| mrn(value)).collect(), ..write(patient(id), version, "") }
}

fn conditional(id: &str, value: &str) -> Group {
    Group::single(Draft { require_no_identifier: vec![mrn(value)], ..holding(id, 1, &[value]) })
}

#[tokio::test]
async fn of_racing_conditional_creates_exactly_one_wins() {
    let database = database().await;
    let logs = [open(&database).await, open(&database).await];
    for round in 0..20 {
        let value = format!("value-{round}");
        let creates = (0..8).map(|n| logs[n % 2].append(conditional(&format!("{round}-{n}"), &value)));
        let results = futures::future::join_all(creates).await;
        let winners: Vec<usize> = (0..8).filter(|n| results[*n].is_ok()).collect();
        assert_eq!(winners.len(), 1, "{results:?}");
        let id = format!("{round}-{}", winners[0]);
        for result in results.iter().filter_map(|result| result.as_ref().err()) {
            let kind = ConflictKind::IdentifierTaken { id: id.clone() };
            assert_eq!(*result, AppendError::Conflict { index: 0, kind });
        }
        assert_eq!(logs[0].find_identifier("Patient", &mrn(&value)).await.unwrap(), [id]);
    }
    assert_eq!(check_whole(&logs[0]).await.len(), 20);
}

#[tokio::test]
async fn identifiers_follow_updates_and_deletes() {
    let log = fresh_log().await;
    let find = async |value: &str| log.find_identifier("Patient", &mrn(value)).await.unwrap();
    log.append(Group::single(holding("1", 1, &["a", "b", "b"]))).await.unwrap();
    log.append(Group::single(holding("2", 1, &["b"]))).await.unwrap();
    assert_eq!((find("a").await, find("b").await), (vec!["1".to_owned()], vec!["1".into(), "2".into()]));
    log.append(Group::single(holding("1", 2, &["b", "c"]))).await.unwrap();
    assert_eq!((find("a").await, find("c").await), (vec![], vec!["1".to_owned()]));
    log.append(Group::single(delete(patient("1"), 3))).await.unwrap();
    assert_eq!((find("b").await, find("c").await), (vec!["2".to_owned()], vec![]));
    log.append(conditional("3", "c")).await.unwrap();
    log.append(Group::single(holding("1", 4, &["a"]))).await.unwrap();
    assert_eq!((find("a").await, find("c").await), (vec!["1".to_owned()], vec!["3".to_owned()]));
    assert!(log.find_identifier("Person", &mrn("a")).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_resource_may_keep_the_identifier_that_it_holds() {
    let log = fresh_log().await;
    log.append(conditional("1", "a")).await.unwrap();
    let again = Draft { require_no_identifier: vec![mrn("a")], ..holding("1", 2, &["a"]) };
    log.append(Group::single(again)).await.unwrap();
    assert_eq!(log.find_identifier("Patient", &mrn("a")).await.unwrap(), ["1"]);
}

#[tokio::test]
async fn identifiers_move_within_one_bundle() {
    let log = fresh_log().await;
    log.append(Group::single(holding("1", 1, &["a"]))).await.unwrap();
    let taken = Draft { require_no_identifier: vec![mrn("a")], ..holding("2", 1, &["a"]) };
    log.append(group(vec![delete(patient("1"), 2), taken])).await.unwrap();
    assert_eq!(log.find_identifier("Patient", &mrn("a")).await.unwrap(), ["2"]);
}

#[tokio::test]
async fn a_resource_with_more_identifiers_than_can_be_kept_is_refused() {
    let log = fresh_log().await;
    let values: Vec<String> = (0..10_001).map(|n| n.to_string()).collect();
    let mut values: Vec<&str> = values.iter().map(String::as_str).collect();
    let refused = log.append(Group::single(holding("a", 1, &values))).await.unwrap_err();
    let (what, limit) = ("identifiers", 10_000);
    assert_eq!(refused, AppendError::TooMany { index: 0, what, limit });
    values.pop();
    log.append(Group::single(holding("a", 1, &values))).await.unwrap();
    log.append(Group::single(holding("a", 2, &["else"]))).await.unwrap();
    assert_eq!(log.find_identifier("Patient", &mrn("9999")).await.unwrap(), [""; 0]);
}
