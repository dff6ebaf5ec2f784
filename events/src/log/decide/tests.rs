//! Given what is recorded, when a batch comes, then who wins and what moves.

use super::*;
use crate::Erases;

fn key(id: &str) -> ResourceKey {
    ResourceKey::new("Patient", id)
}

fn named(value: &str) -> Identifier {
    Identifier { system: "urn:x".into(), value: value.into() }
}

fn write(id: &str, version: u32) -> Draft {
    Draft {
        key: key(id),
        operation: if version == 1 { Operation::Create } else { Operation::Update },
        erases: Erases::Nothing,
        version: Version::new(version),
        home: format!("Patient/{id}"),
        touches: vec![],
        payload: vec![],
        stamp_at: None,
        identifiers: vec![],
        require_no_identifier: vec![],
        agent: "test".into(),
        source: None,
    }
}

fn with(id: &str, version: u32, identifiers: &[&str], required_free: &[&str]) -> Draft {
    Draft {
        identifiers: identifiers.iter().map(|value| named(value)).collect(),
        require_no_identifier: required_free.iter().map(|value| named(value)).collect(),
        ..write(id, version)
    }
}

fn group(drafts: Vec<Draft>) -> Group {
    Group { drafts, ..Group::default() }
}

fn head(version: u32, position: u64, identifiers: &[&str]) -> HeadState {
    let identifiers = identifiers.iter().map(|value| identifier_key("Patient", &named(value))).collect();
    HeadState {
        version: Version::new(version),
        deleted: false,
        position: Position::new(position),
        identifiers,
    }
}

fn recorded(heads: &[(&str, HeadState)]) -> Recorded {
    let mut recorded = Recorded::default();
    for (id, head) in heads {
        recorded.heads.insert(key(id), head.clone());
        for identifier in &head.identifiers {
            recorded.holders.entry(*identifier).or_default().push((*id).to_owned());
        }
    }
    recorded
}

fn judge(recorded: &Recorded, groups: &[Group]) -> Verdict {
    decide(recorded, Position::new(10), groups.iter())
}

fn positions(verdict: &Verdict) -> Vec<Option<Vec<u64>>> {
    let of_group = |won: &Vec<Won>| won.iter().map(|won| won.position.get()).collect();
    verdict.groups.iter().map(|group| group.as_ref().ok().map(of_group)).collect()
}

fn moved_head(index: usize, found: u32) -> NotWritten {
    NotWritten::Lost(Lost {
        index,
        kind: ConflictKind::HeadMoved { found: Version::new(found), deleted: false },
    })
}

#[test]
fn winners_are_numbered_without_a_hole_around_the_losers() {
    let groups =
        [group(vec![write("a", 1)]), group(vec![write("b", 2)]), group(vec![write("c", 1), write("d", 1)])];
    let verdict = judge(&Recorded::default(), &groups);
    assert_eq!(positions(&verdict), [Some(vec![11]), None, Some(vec![12, 13])]);
    assert_eq!(verdict.groups[1], Err(moved_head(0, 0)));
    assert_eq!(verdict.tail, Position::new(13));
    assert_eq!(verdict.moved.iter().map(|(key, ..)| key.id.as_str()).collect::<Vec<_>>(), ["a", "c", "d"]);
}

#[test]
fn a_group_loses_whole_and_leaves_nothing_behind() {
    let groups = [
        group(vec![write("a", 1), with("b", 1, &["taken"], &[]), write("c", 7)]),
        group(vec![with("a", 1, &[], &["taken"])]),
    ];
    let verdict = judge(&Recorded::default(), &groups);
    assert_eq!(verdict.groups[0], Err(moved_head(2, 0)));
    assert_eq!(positions(&verdict), [None, Some(vec![11])]);
}

#[test]
fn two_writes_of_a_resource_in_one_batch_win_when_their_versions_chain() {
    let recorded = recorded(&[("a", head(3, 5, &[]))]);
    let groups = [group(vec![write("a", 4)]), group(vec![write("a", 5)]), group(vec![write("a", 5)])];
    let verdict = judge(&recorded, &groups);
    assert_eq!(positions(&verdict), [Some(vec![11]), Some(vec![12]), None]);
    assert_eq!(verdict.groups[2], Err(moved_head(0, 5)));
    let previous = |index: usize| verdict.groups[index].as_ref().unwrap()[0].previous;
    assert_eq!((previous(0), previous(1)), (Some(Position::new(5)), Some(Position::new(11))));
    let (_, before, after) = &verdict.moved[0];
    assert_eq!((before.version, after.version), (Version::new(3), Version::new(5)));
    assert_eq!(after.position, Position::new(12));
}

#[test]
fn a_deleted_resource_can_come_back_with_the_next_version_only() {
    let mut gone = head(2, 4, &[]);
    gone.deleted = true;
    let recorded = recorded(&[("a", gone)]);
    let verdict = judge(&recorded, &[group(vec![write("a", 1)]), group(vec![write("a", 3)])]);
    let kind = ConflictKind::HeadMoved { found: Version::new(2), deleted: true };
    assert_eq!(verdict.groups[0], Err(NotWritten::Lost(Lost { index: 0, kind })));
    assert_eq!(verdict.groups[1].as_ref().unwrap()[0].previous, Some(Position::new(4)));
}

#[test]
fn an_identifier_that_must_be_free_is_refused_when_another_holds_it() {
    let recorded = recorded(&[("a", head(1, 1, &["x"]))]);
    let groups = [group(vec![with("b", 1, &["x"], &["x"])]), group(vec![with("a", 2, &["x"], &["x"])])];
    let verdict = judge(&recorded, &groups);
    let kind = ConflictKind::IdentifierTaken { id: "a".into() };
    assert_eq!(verdict.groups[0], Err(NotWritten::Lost(Lost { index: 0, kind })));
    assert!(verdict.groups[1].is_ok(), "its own identifier is not in its own way");
}

#[test]
fn of_two_conditional_creates_in_one_batch_the_first_wins() {
    let groups = [group(vec![with("a", 1, &["x"], &["x"])]), group(vec![with("b", 1, &["x"], &["x"])])];
    let verdict = judge(&Recorded::default(), &groups);
    let kind = ConflictKind::IdentifierTaken { id: "a".into() };
    assert_eq!(verdict.groups[1], Err(NotWritten::Lost(Lost { index: 0, kind })));
}

#[test]
fn an_identifier_that_was_given_up_in_the_batch_is_free() {
    let recorded = recorded(&[("a", head(1, 1, &["x"]))]);
    let deleted = Draft { operation: Operation::Delete, ..write("a", 2) };
    let verdict = judge(&recorded, &[group(vec![deleted]), group(vec![with("b", 1, &["x"], &["x"])])]);
    assert_eq!(positions(&verdict), [Some(vec![11]), Some(vec![12])]);
}

#[test]
fn the_same_identifier_of_another_type_is_another_one() {
    let of = |resource_type: &str| identifier_key(resource_type, &named("x"));
    assert_ne!(of("Patient"), of("Practitioner"));
    let left = Identifier { system: "a".into(), value: "bc".into() };
    let right = Identifier { system: "ab".into(), value: "c".into() };
    assert_ne!(identifier_key("Patient", &left), identifier_key("Patient", &right));
}

#[test]
fn thousands_of_identifiers_change_hands_in_no_time() {
    // Comparing each with each would be ten thousand million comparisons.
    let name = |group: &str| -> Vec<Uuid> {
        (0..100_000).map(|n| identifier_key("Patient", &named(&format!("{group}{n}")))).collect()
    };
    let (before, after) = (name("before"), name("after"));
    let kept: Vec<Uuid> = before.iter().chain(&after).copied().collect();
    assert_eq!(without(&before, &after).count(), 100_000);
    assert_eq!(without(&kept, &before).collect::<Vec<_>>(), after.iter().collect::<Vec<_>>());
}

/// The group under a key, as a request with this fingerprint.
fn keyed(group: Group, key: u128, fingerprint: u8) -> Group {
    let asked = Idempotency { key: Uuid::from_u128(key), fingerprint: [fingerprint; 32], note: vec![] };
    Group { idempotency: Some(asked), ..group }
}

#[test]
fn a_request_that_was_recorded_is_not_judged_again() {
    let mut recorded = recorded(&[("a", head(1, 5, &[]))]);
    let span = Span { first: Position::new(5), events: 1 };
    recorded.requests.insert(Uuid::from_u128(1), Request { fingerprint: [1; 32], span });
    // Version 1 of `a` is there, so judged by the heads this would be a conflict.
    let groups = [keyed(group(vec![write("a", 1)]), 1, 1), keyed(group(vec![write("b", 1)]), 1, 2)];
    let verdict = judge(&recorded, &groups);
    assert_eq!(verdict.groups[..], [Err(NotWritten::Repeated(span)), Err(NotWritten::KeyReused)]);
    assert_eq!(verdict.tail, Position::new(10), "no position is taken");
    assert!(verdict.moved.is_empty());
}

#[test]
fn a_key_that_comes_twice_in_one_batch_is_that_of_the_first_that_wins() {
    let groups = [
        keyed(group(vec![write("a", 2)]), 1, 1),
        keyed(group(vec![write("b", 1), write("c", 1)]), 1, 1),
        keyed(group(vec![write("b", 1), write("c", 1)]), 1, 1),
        keyed(group(vec![write("d", 1)]), 1, 9),
        group(vec![write("e", 1)]),
    ];
    let verdict = judge(&Recorded::default(), &groups);
    assert_eq!(positions(&verdict), [None, Some(vec![11, 12]), None, None, Some(vec![13])]);
    assert_eq!(verdict.groups[0], Err(moved_head(0, 0)), "a loser's key is not taken");
    let span = Span { first: Position::new(11), events: 2 };
    assert_eq!(verdict.groups[2], Err(NotWritten::Repeated(span)));
    assert_eq!(verdict.groups[3], Err(NotWritten::KeyReused));
}
