//! Given records, then alerts.

use chrono::{DateTime, Utc};

use super::{Alert, Rule, RuleOptions, Rules};
use crate::{Action, Agent, Kind, Number, Outcome, Record, Recorded};

/// A Tuesday at noon, UTC.
const NOON: &str = "2026-11-24T12:00:00Z";

fn record(subject: &str) -> Record {
    Record {
        kind: Kind::Rest,
        subtype: "read".into(),
        action: Action::R,
        outcome: Outcome::Success,
        status: 200,
        agent: Agent { subject: subject.into(), ..Agent::default() },
        service: "fhir".into(),
        entities: vec![],
        entities_more: 0,
        patients: vec![],
        patients_more: 0,
        query: None,
        position: None,
        correlation: String::new(),
        entry: None,
        custom: vec![],
        purpose: None,
        reason: None,
        repeated: 0,
    }
}

fn of_patient(subject: &str, patient: usize) -> Record {
    Record { patients: vec![format!("Patient/{patient}")], ..record(subject) }
}

fn refused(subject: &str, address: &str, status: u16) -> Record {
    let agent = Agent { subject: subject.into(), address: Some(address.into()), ..Agent::default() };
    Record { outcome: Outcome::Minor, status, agent, ..record(subject) }
}

/// Sees a record so many seconds after noon.
fn see(rules: &mut Rules, second: u64, record: Record) -> Vec<Alert> {
    let begin: DateTime<Utc> = NOON.parse().unwrap();
    let recorded_at = begin + std::time::Duration::from_secs(second);
    rules.see(&Recorded { number: Number::new(second + 1), recorded_at, record })
}

fn options() -> RuleOptions {
    RuleOptions { patients_max: 5, refused_max: 3, ..RuleOptions::default() }
}

#[test]
fn many_patients_in_a_short_time_are_told_once() {
    let mut rules = Rules::new(options());
    for patient in 0..4 {
        assert_eq!(see(&mut rules, patient, of_patient("a", patient as usize)), []);
        // The same one again, and another's, count for nothing.
        assert_eq!(see(&mut rules, patient, of_patient("a", 0)), []);
        assert_eq!(see(&mut rules, patient, of_patient("b", 0)), []);
    }
    let alerts = see(&mut rules, 10, of_patient("a", 4));
    assert_eq!(alerts.len(), 1);
    assert_eq!((alerts[0].rule, alerts[0].count, alerts[0].number), (Rule::ManyPatients, 5, Number::new(11)));
    for patient in 5..30 {
        assert_eq!(
            see(&mut rules, 10 + patient, of_patient("a", patient as usize)),
            [],
            "it is quiet for a while"
        );
    }
}

#[test]
fn patients_over_a_long_time_are_not_many() {
    let mut rules = Rules::new(options());
    for patient in 0..50 {
        assert_eq!(see(&mut rules, patient * 200, of_patient("a", patient as usize)), []);
    }
}

#[test]
fn one_answer_with_many_patients_counts_all_of_them() {
    let mut rules = Rules::new(options());
    let page = Record { patients_more: 4, ..of_patient("a", 1) };
    assert_eq!(see(&mut rules, 0, page)[0].count, 5);
    let refused = Record { outcome: Outcome::Minor, patients_more: 4, ..of_patient("b", 1) };
    assert_eq!(see(&mut rules, 0, refused), []);
}

#[test]
fn bursts_of_refusals_are_told_of_whom_and_of_where() {
    let mut rules = Rules::new(options());
    for second in 0..2 {
        assert_eq!(see(&mut rules, second, refused("a", "192.0.2.1", 403)), []);
        assert_eq!(see(&mut rules, second, refused("", "192.0.2.9", 401)), []);
        assert_eq!(see(&mut rules, second, refused("a", "192.0.2.1", 404)), []);
    }
    assert_eq!(see(&mut rules, 2, refused("", "192.0.2.8", 401)), [], "from somewhere else");
    assert_eq!(see(&mut rules, 3, refused("", "192.0.2.9", 401))[0].rule, Rule::RefusedBurst);
    assert_eq!(see(&mut rules, 4, refused("a", "192.0.2.1", 403))[0].count, 3);
    for step in 1..20 {
        assert_eq!(see(&mut rules, 2000 + step * 299, refused("c", "192.0.2.1", 403)), [], "{step}");
    }
}

#[test]
fn bulk_outside_the_hours_of_work_is_told_in_their_zone() {
    let export = || Record { subtype: "$export".into(), ..record("a") };
    let hour = |hours: u64| hours * 3600;
    let told = |zone: &str, second: u64| {
        let zone = zone.parse().unwrap();
        let mut rules = Rules::new(RuleOptions { zone, ..options() });
        let alerts = see(&mut rules, second, export());
        assert!(alerts.iter().all(|alert| alert.rule == Rule::AfterHoursExport));
        !alerts.is_empty()
    };
    assert!(!told("UTC", 0));
    assert!(!told("UTC", hour(7)), "19:00");
    assert!(told("UTC", hour(8)), "20:00");
    assert!(told("Europe/Berlin", hour(7)), "20:00 there");
    assert!(told("America/Los_Angeles", 0), "04:00 there");
    assert!(told("UTC", hour(4 * 24)), "Saturday noon");
    let mut rules = Rules::new(options());
    assert_eq!(see(&mut rules, hour(8), record("a")), [], "a read is no export");
}

#[test]
fn an_emergency_is_told_and_then_quiet_for_a_while() {
    let emergency = || Record { purpose: Some("BTG".into()), ..record("a") };
    let mut rules = Rules::new(options());
    assert_eq!(see(&mut rules, 0, emergency())[0].rule, Rule::BreakGlass);
    assert_eq!(see(&mut rules, 899, emergency()), []);
    assert_eq!(see(&mut rules, 900, emergency()).len(), 1);
}

#[test]
fn no_more_principals_are_remembered_than_fit() {
    let mut rules = Rules::new(RuleOptions { principals_max: 20, ..options() });
    for second in 0..500 {
        see(&mut rules, second, of_patient(&format!("agent-{second}"), 1));
        assert!(rules.principals.len() <= 20);
    }
    assert!(rules.principals.contains_key("\nagent-499"));
}
