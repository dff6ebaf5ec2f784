//! A code is in the expansion exactly where validation says that it is in the value set.

use proptest::prelude::*;

use super::made_up::Shelf;
use super::*;

/// A code system of up to 12 concepts, each below any of the others.
fn system() -> impl Strategy<Value = String> {
    let concept = (prop::collection::vec(0..12usize, 0..3), any::<bool>(), 0..3u8);
    prop::collection::vec(concept, 1..12).prop_map(|rows| {
        let rows: Vec<String> = rows
            .iter()
            .enumerate()
            .map(|(code, (parents, is_inactive, side))| {
                let mut properties: Vec<String> = parents
                    .iter()
                    .map(|parent| format!(r#"{{"code":"parent","valueCode":"c{parent}"}}"#))
                    .collect();
                properties.push(format!(r#"{{"code":"inactive","valueBoolean":{is_inactive}}}"#));
                properties.push(format!(r#"{{"code":"side","valueCode":"s{side}"}}"#));
                format!(r#"{{"code":"c{code}","property":[{}]}}"#, properties.join(","))
            })
            .collect();
        let rows = rows.join(",");
        format!(r#"{{"resourceType":"CodeSystem","url":"urn:x","content":"complete","concept":[{rows}]}}"#)
    })
}

fn part() -> impl Strategy<Value = String> {
    let filter = (
        prop::sample::select(vec!["is-a", "is-not-a", "descendent-of", "generalizes", "=", "in", "not-in"]),
        0..12usize,
    )
        .prop_map(|(op, code)| format!(r#"{{"property":"concept","op":"{op}","value":"c{code}"}}"#));
    let side = (prop::sample::select(vec!["=", "exists"]), 0..3u8)
        .prop_map(|(op, side)| format!(r#"{{"property":"side","op":"{op}","value":"s{side}"}}"#));
    let filters = prop::collection::vec(prop_oneof![filter, side], 1..3);
    prop_oneof![
        filters.prop_map(|rows| format!(r#"{{"system":"urn:x","filter":[{}]}}"#, rows.join(","))),
        prop::collection::vec(0..12usize, 1..5).prop_map(|codes| {
            let rows: Vec<String> = codes.iter().map(|code| format!(r#"{{"code":"c{code}"}}"#)).collect();
            format!(r#"{{"system":"urn:x","concept":[{}]}}"#, rows.join(","))
        }),
        Just(r#"{"system":"urn:x"}"#.to_owned()),
        Just(r#"{"valueSet":["urn:inner"]}"#.to_owned()),
        Just(r#"{"system":"urn:x","valueSet":["urn:inner"]}"#.to_owned()),
    ]
}

fn set(url: &'static str, inner: bool) -> impl Strategy<Value = String> {
    let part = || {
        part().prop_filter("an inner set draws on no other", move |part| !inner || !part.contains("valueSet"))
    };
    (prop::collection::vec(part(), 1..4), prop::collection::vec(part(), 0..3), any::<bool>()).prop_map(
        move |(include, exclude, inactive)| {
            format!(
                r#"{{"resourceType":"ValueSet","url":"{url}","compose":{{"inactive":{inactive},"include":[{}],"exclude":[{}]}}}}"#,
                include.join(","),
                exclude.join(",")
            )
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn a_code_is_listed_exactly_where_it_is_a_member(
        system in system(), inner in set("urn:inner", true), outer in set("urn:outer", false),
    ) {
        let mut shelf = Shelf::default();
        for json in [&system, &inner, &outer] {
            shelf.add(json);
        }
        let engine = Engine::new(&shelf);
        let listed = engine.codes("urn:outer", 1000).unwrap();
        for code in (0..14).map(|number| format!("c{number}")) {
            let is_listed = listed.iter().any(|row| row.code == code);
            let member = engine.validate_code("urn:outer", Some("urn:x"), &code);
            prop_assert_eq!(member == Membership::Member, is_listed, "{}", code);
            prop_assert_ne!(member, Membership::Unknown);
        }
        let mut once = listed.clone();
        once.dedup();
        prop_assert_eq!(once, listed);
    }

    #[test]
    fn any_resource_is_survived(json in "\\{\"compose\":\\{\"include\":\\[\\{\"(system|valueSet|concept)\":[\\[\\]{}\":,a-z0-9]{0,40}") {
        if let Ok(document) = crate::json::Document::parse(json, &crate::json::Limits::default()) {
            let shelf = Shelf::default();
            let _any = Engine::new(&shelf).expand(&ValueSet::read(document.root()), &ExpansionRequest::default());
            let _any = CodeSystem::read(document.root());
        }
    }
}
