//! `_sort` by the type, and what is said where the index has no order.

use anamnesis_projections::search::{Handling, IssueKind};
use serde_json::json;

use crate::world::World;

#[tokio::test]
async fn several_types_are_sorted_by_their_names() {
    let world = World::new().await;
    let of = |kind: &str, id: &str| json!({"resourceType": kind, "id": id});
    let written =
        [("Patient", "p1"), ("Account", "a1"), ("Patient", "p2"), ("Device", "d"), ("Account", "a2")];
    world.put(written.map(|(kind, id)| of(kind, id))).await;
    for (query, expected) in [
        ("?_sort=_type", "a1 a2 d p1 p2"),
        ("?_sort=-_type", "p2 p1 d a2 a1"),
        ("?_sort=_type,-_lastUpdated", "a2 a1 d p2 p1"),
        ("?_sort=-_type,_id&_type=Patient,Account", "p1 p2 a1 a2"),
        ("Patient?_sort=_type", "p1 p2"),
    ] {
        assert_eq!(world.ids(query).await.join(" "), expected, "{query}");
        // The same in pages, forth and back.
        let (mut ids, mut token) = (Vec::new(), String::new());
        let joint = if query.contains('?') { '&' } else { '?' };
        let last = loop {
            let page = world.search(&format!("{query}{joint}_count=2{token}")).await;
            ids.extend(page.matches.iter().map(|found| found.id.clone()));
            match page.next.clone() {
                Some(next) => token = format!("&ct={next}"),
                None => break page,
            }
        };
        assert_eq!(ids.join(" "), expected, "{query}");
        if let Some(previous) = last.previous {
            let page = world.search(&format!("{query}{joint}_count=2&ct={previous}")).await;
            let back: Vec<_> = page.matches.into_iter().map(|found| found.id).collect();
            assert_eq!(back, ids[ids.len() - last.matches.len() - 2..][..2], "{query}");
        }
    }
}

#[tokio::test]
async fn what_has_no_order_is_told_with_what_has_one() {
    let world = World::new().await;
    let person = "RelatedPerson is sorted by _id, _lastUpdated, _type, address, address-city, \
                  address-country, address-postalcode, address-state, birthdate, name, phonetic";
    for (query, why) in [
        ("RelatedPerson?_sort=-gender", format!("gender is of type token, of which the index has no order; {person}")),
        ("RelatedPerson?_sort=patient", format!("patient is of type reference, of which the index has no order; {person}")),
        ("RelatedPerson?_sort=nonsense", format!("nonsense is no search parameter of RelatedPerson; {person}")),
        (
            "?_type=Patient,Device&_sort=birthdate",
            "birthdate would have an order of its own in each type; several types are sorted by _id, _lastUpdated, _type"
                .to_owned(),
        ),
    ] {
        let (_, issues) = world.query(query).unwrap();
        let expected = format!("search parameter _sort: {why}; it was left out");
        assert_eq!((issues[0].kind, issues[0].text.as_str()), (IssueKind::NotSupported, expected.as_str()));
        let refused = world.query_as(query, Handling::Strict).unwrap_err();
        assert_eq!(refused[0].text, format!("search parameter _sort: {why}"));
    }
}
