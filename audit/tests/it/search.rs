//! Searching: each criterion, together, in pages that hold still, over months.

use std::sync::{Arc, Mutex};

use anamnesis_audit::{
    Action, AuditLog, AuditOptions, Criterion, Kind, Number, Outcome, Record, Search, SearchOrder,
};
use chrono::{DateTime, Days, Utc};

use super::support::{database, fresh_log, read};

fn numbers(page: &anamnesis_audit::Page) -> Vec<u64> {
    page.records.iter().map(|one| one.number.get()).collect()
}

async fn found(log: &AuditLog, criteria: Vec<Criterion>) -> Vec<u64> {
    let page = log.search(&Search { criteria, limit: 100, ..Search::default() }).await.unwrap();
    assert_eq!(page.next, None);
    numbers(&page)
}

fn records() -> Vec<Record> {
    let mut records = vec![
        read("dr-a", "Patient/1", "Observation/1"),
        read("dr-b", "Patient/2", "Observation/2"),
        read("dr-a", "Patient/2", "Condition/1"),
        read("dr-c", "Patient/12", "Observation/1"),
    ];
    records[1].agent.client = Some("app".into());
    records[1].agent.resource = Some("Practitioner/7".into());
    records[1].agent.name = Some("Änne Muster".into());
    records[1].agent.address = Some("192.0.2.77".into());
    records[2].action = Action::D;
    records[2].subtype = "delete".into();
    records[2].outcome = Outcome::Minor;
    records[3].kind = Kind::Authentication;
    records[3].agent.address = Some("2001:db8::1".into());
    records
}

#[tokio::test(flavor = "multi_thread")]
async fn each_criterion_finds_what_it_is_of_alone_and_with_others() {
    let log = fresh_log().await;
    // In one block, so that the records themselves decide, and each in one of its own.
    log.append(records()).await.unwrap();
    for record in records() {
        log.append(vec![record]).await.unwrap();
    }
    let text = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>();
    for (criteria, wanted) in [
        (vec![], vec![1, 2, 3, 4]),
        (vec![Criterion::Agent(text(&["dr-a"]))], vec![1, 3]),
        (vec![Criterion::Agent(text(&["app", "dr-c"]))], vec![2, 4]),
        (vec![Criterion::Agent(text(&["Practitioner/7"]))], vec![2]),
        (vec![Criterion::AgentName(text(&["änne m"]))], vec![2]),
        (vec![Criterion::AgentName(text(&["ä"]))], vec![2]),
        (vec![Criterion::AgentName(text(&["muster"]))], vec![]),
        (vec![Criterion::Address(text(&["192.0.2.7"]))], vec![1, 2, 3]),
        (vec![Criterion::Address(text(&["192.0.2.77", "2001:db8:"]))], vec![2, 4]),
        (vec![Criterion::Address(text(&["19"]))], vec![1, 2, 3]),
        (vec![Criterion::Patient(text(&["Patient/1"]))], vec![1]),
        (vec![Criterion::Patient(text(&["Patient/2"]))], vec![2, 3]),
        (vec![Criterion::Entity(text(&["Observation/1"]))], vec![1, 4]),
        (vec![Criterion::Entity(text(&["Patient/12"]))], vec![4]),
        (vec![Criterion::Action(vec![Action::R])], vec![1, 2, 4]),
        (vec![Criterion::Action(vec![Action::D, Action::C])], vec![3]),
        (vec![Criterion::Outcome(vec![Outcome::Minor])], vec![3]),
        (vec![Criterion::Outcome(vec![Outcome::Success])], vec![1, 2, 4]),
        (vec![Criterion::Kind(vec![Kind::Authentication])], vec![4]),
        (vec![Criterion::Subtype(text(&["delete"]))], vec![3]),
        (vec![Criterion::Agent(text(&["dr-a"])), Criterion::Patient(text(&["Patient/2"]))], vec![3]),
        (vec![Criterion::Agent(text(&["dr-b"])), Criterion::Action(vec![Action::D])], vec![]),
    ] {
        let mut both: Vec<u64> =
            wanted.iter().chain(&wanted.iter().map(|one| one + 4).collect::<Vec<_>>()).copied().collect();
        both.reverse();
        assert_eq!(found(&log, criteria.clone()).await, both, "{criteria:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_hold_still_while_records_come() {
    let log = fresh_log().await;
    for step in 0..7 {
        let what = format!("Observation/{step}");
        log.append(vec![read("a", "Patient/1", &what), read("b", "Patient/1", &what)]).await.unwrap();
    }
    for (order, wanted) in [
        (SearchOrder::NewestFirst, (1..=14).rev().collect::<Vec<u64>>()),
        (SearchOrder::OldestFirst, (1..=14).collect()),
    ] {
        let (mut seen, mut behind) = (vec![], None);
        loop {
            let page = log.search(&Search { order, behind, limit: 3, ..Search::default() }).await.unwrap();
            assert!(page.records.len() <= 3);
            seen.extend(numbers(&page));
            behind = page.next;
            if behind.is_none() || seen.len() >= wanted.len() {
                break;
            }
            if order == SearchOrder::NewestFirst {
                log.append(vec![read("late", "Patient/1", "Observation/9")]).await.unwrap();
            }
        }
        assert_eq!(seen[..wanted.len()], wanted);
        if order == SearchOrder::NewestFirst {
            break;
        }
    }
    let oldest = Search { order: SearchOrder::OldestFirst, limit: 5, ..Search::default() };
    let page = log.search(&oldest).await.unwrap();
    assert_eq!((numbers(&page), page.next), (vec![1, 2, 3, 4, 5], Some(Number::new(5))));
    let page = log.search(&Search { behind: page.next, ..oldest }).await.unwrap();
    assert_eq!(numbers(&page), [6, 7, 8, 9, 10]);
}

#[tokio::test(flavor = "multi_thread")]
async fn times_are_exact_and_go_over_months() {
    let now: Arc<Mutex<DateTime<Utc>>> = Arc::new(Mutex::new("2026-01-30T12:00:00Z".parse().unwrap()));
    let clock = {
        let now = now.clone();
        Arc::new(move || *now.lock().unwrap())
    };
    let options = AuditOptions { clock, ..AuditOptions::default() };
    let log = AuditLog::open(&database().await, "default", options).await.unwrap();
    for day in 0..40_u64 {
        let time = "2026-01-30T12:00:00Z".parse::<DateTime<Utc>>().unwrap() + Days::new(day);
        *now.lock().unwrap() = time;
        log.append(vec![read("a", "Patient/1", &format!("Observation/{day}"))]).await.unwrap();
    }
    let at = |text: &str| Some(text.parse::<DateTime<Utc>>().unwrap());
    for (from, until, wanted) in [
        (at("2026-03-01T12:00:00Z"), None, (31..=40).rev().collect::<Vec<u64>>()),
        (None, at("2026-02-01T12:00:00Z"), vec![2, 1]),
        (at("2026-01-31T12:00:00Z"), at("2026-02-02T12:00:00.000001Z"), vec![4, 3, 2]),
        (at("2027-01-01T00:00:00Z"), None, vec![]),
        (None, at("2020-01-01T00:00:00Z"), vec![]),
    ] {
        let page = log.search(&Search { from, until, limit: 50, ..Search::default() }).await.unwrap();
        assert_eq!(numbers(&page), wanted, "{from:?} {until:?}");
        let order = SearchOrder::OldestFirst;
        let page = log.search(&Search { from, until, order, limit: 50, ..Search::default() }).await.unwrap();
        assert_eq!(numbers(&page), wanted.into_iter().rev().collect::<Vec<_>>());
    }
}
