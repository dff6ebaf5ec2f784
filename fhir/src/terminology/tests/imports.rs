//! Value sets that draw on others: each is looked into once, and the work has a bound.

use std::sync::Arc;

use super::made_up::Shelf;
use super::*;
use crate::json::{Document, Limits};

const CODES: &str = r#"{"resourceType":"CodeSystem","url":"urn:six","content":"complete","concept":[
    {"code":"a"},{"code":"b"},{"code":"c"},{"code":"d"},{"code":"e"},{"code":"f"}]}"#;

/// `urn:0` draws on `urn:1` in as many parts, and so on; the last has six codes.
fn doubling(depth: usize, parts: usize) -> Shelf {
    let mut shelf = Shelf::default();
    shelf.add(CODES);
    for number in 0..depth {
        let part = match number + 1 == depth {
            true => r#"{"system":"urn:six"}"#.to_owned(),
            false => format!(r#"{{"valueSet":["urn:{}"]}}"#, number + 1),
        };
        let parts = vec![part; parts].join(",");
        shelf.add(&format!(
            r#"{{"resourceType":"ValueSet","url":"urn:{number}","compose":{{"include":[{parts}]}}}}"#
        ));
    }
    shelf
}

#[test]
fn what_is_imported_again_and_again_is_looked_into_once() {
    let shelf = doubling(14, 10);
    // 10^13 ways lead to the codes; a thousand steps are enough for them.
    let budget = Budget::new(20_000);
    let engine = Engine::within(&shelf, &budget);
    let set = engine.value_set("urn:0").unwrap();
    assert_eq!(engine.expand(&set, &ExpansionRequest::default()).unwrap().total, Some(6));
    assert_eq!(engine.is_member(&set, Some("urn:six"), "f"), Ok(true));
    assert_eq!(engine.is_member(&set, Some("urn:six"), "zzz"), Ok(false));
    assert_eq!(engine.is_member(&set, None, "f"), Ok(true));
    assert!(!budget.is_spent());
}

#[test]
fn what_is_to_be_fetched_is_asked_for_once() {
    /// A library that has all but one value set.
    struct Lacking(Shelf);
    impl Library for Lacking {
        fn value_set(&self, canonical: &Canonical) -> Found<ValueSet> {
            if canonical.url == "urn:13" { Found::Pending } else { self.0.value_set(canonical) }
        }
        fn code_system(&self, canonical: &Canonical, extent: &Extent) -> Found<CodeSystem> {
            self.0.code_system(canonical, extent)
        }
        fn concept_maps(&self, query: &MapQuery) -> Found<Vec<Arc<ConceptMap>>> {
            self.0.concept_maps(query)
        }
    }
    let lacking = Lacking(doubling(14, 10));
    let budget = Budget::new(20_000);
    let engine = Engine::within(&lacking, &budget);
    let set = engine.value_set("urn:0").unwrap();
    assert_eq!(engine.is_member(&set, None, "f"), Err(ListError::Pending));
    assert_eq!(engine.expand(&set, &ExpansionRequest::default()), Err(ListError::Pending));
}

#[test]
fn work_has_a_bound_and_can_be_stopped() {
    let shelf = doubling(3, 2);
    let budget = Budget::new(1_000);
    let engine = Engine::within(&shelf, &budget);
    let set = engine.value_set("urn:0").unwrap();
    assert_eq!(engine.is_member(&set, None, "f"), Ok(true));
    budget.stop();
    assert_eq!(engine.is_member(&set, None, "e"), Err(ListError::TooMuchWork));
    assert_eq!(engine.expand(&set, &ExpansionRequest::default()), Err(ListError::TooMuchWork));
    assert!(budget.is_spent());
}

#[test]
fn lists_of_imported_sets_narrow_and_exclude() {
    let mut shelf = doubling(2, 1);
    let concept = |number: usize| format!(r#"{{"code":"{number}","display":"Number {number}"}}"#);
    let concepts: Vec<String> = (0..100).map(concept).collect();
    shelf.add(&format!(
        r#"{{"resourceType":"CodeSystem","url":"urn:many","content":"complete","concept":[{}]}}"#,
        concepts.join(",")
    ));
    let listed: Vec<String> = (40..140).map(|number| format!(r#"{{"code":"{number}"}}"#)).collect();
    shelf.add(&format!(
        r#"{{"resourceType":"ValueSet","url":"urn:upper","compose":{{"include":[{{"system":"urn:many","concept":[{}]}}]}}}}"#,
        listed.join(",")
    ));
    let both = r#"{"resourceType":"ValueSet","url":"urn:both","compose":{"include":[
        {"system":"urn:many","valueSet":["urn:upper"]},{"valueSet":["urn:1"]}],
        "exclude":[{"valueSet":["urn:upper"],"system":"urn:many","filter":[{"property":"code","op":"regex","value":"[0-8]."}]}]}}"#;
    let document = Document::parse(both, &Limits::default()).unwrap();
    let set = ValueSet::read(document.root());
    let engine = Engine::new(&shelf);
    let codes: Vec<String> = engine
        .expand(&set, &ExpansionRequest::default())
        .unwrap()
        .contains
        .into_iter()
        .map(|row| row.code)
        .collect();
    assert_eq!(codes.join(" "), "90 91 92 93 94 95 96 97 98 99 a b c d e f");
    for code in &codes {
        assert_eq!(engine.is_member(&set, None, code), Ok(true), "{code}");
    }
    assert_eq!(engine.is_member(&set, None, "41"), Ok(false));
}

#[test]
fn a_page_of_more_than_were_counted_has_no_total() {
    /// A library that has one page, and counts no further than it wants to.
    struct Large(PageTotal);
    impl Library for Large {
        fn value_set(&self, _canonical: &Canonical) -> Found<ValueSet> {
            Found::Absent
        }
        fn code_system(&self, canonical: &Canonical, _extent: &Extent) -> Found<CodeSystem> {
            let mut system = CodeSystem::named(canonical.url.as_str());
            system.add(Concept { code: "a".to_owned(), ..Concept::default() });
            system.page_total = Some(self.0);
            Found::Here(Arc::new(system))
        }
        fn concept_maps(&self, _query: &MapQuery) -> Found<Vec<Arc<ConceptMap>>> {
            Found::Absent
        }
    }
    let request = ExpansionRequest { count: Some(1), ..ExpansionRequest::default() };
    let set = ValueSet::of_system("urn:s", "urn:c");
    for (counted, total) in [(PageTotal::Exactly(7), Some(7)), (PageTotal::Uncounted, None)] {
        let library = Large(counted);
        let page = Engine::new(&library).expand(&set, &request).unwrap();
        assert_eq!((page.total, page.contains.len()), (total, 1));
    }
}

#[test]
fn a_version_that_is_not_there_is_not_judged_and_undefined_sets_are_not_empty() {
    let engine = Engine::new(&Published);
    let genders = engine.value_set("http://hl7.org/fhir/ValueSet/administrative-gender").unwrap();
    let coded = |version: Option<&str>| Coded {
        system: Some("http://hl7.org/fhir/administrative-gender".to_owned()),
        version: version.map(str::to_owned),
        code: "male".to_owned(),
        display: None,
    };
    let judge = |version| engine.validate_in_set(&genders, &coded(version), &Terms::default());
    assert!(judge(None).unwrap().result && judge(Some("4.0.1")).unwrap().result);
    assert!(matches!(judge(Some("9")), Err(ListError::UnknownCodeSystem(_))));
    let bare = ValueSet { url: "urn:bare".to_owned(), ..ValueSet::default() };
    assert!(matches!(engine.expand(&bare, &ExpansionRequest::default()), Err(ListError::Unsupported(_))));
    assert!(matches!(engine.is_member(&bare, None, "a"), Err(ListError::Unsupported(_))));
}

#[test]
fn the_value_set_of_a_system_has_the_versions_of_the_system() {
    let url = "http://terminology.hl7.org/ValueSet/v3-ActCode";
    let engine = Engine::new(&Published);
    let named = Published::addresses("CodeSystem").find_map(|system| {
        match Published.code_system(&Canonical::parse(system), &Extent::All(None)) {
            Found::Here(system) => {
                let set = system.value_set.clone()?;
                let is_implicit = !Published::addresses("ValueSet").any(|own| own == set);
                is_implicit.then(|| (set, system.version.clone().unwrap_or_default()))
            }
            _ => None,
        }
    });
    assert!(engine.value_set(url).is_ok());
    let (set, version) = named.unwrap();
    assert!(engine.value_set(&format!("{set}|{version}")).is_ok());
    assert_eq!(
        engine.value_set(&format!("{set}|0.none")).unwrap_err(),
        ListError::UnknownValueSet(format!("{set}|0.none"))
    );
    let loinc = engine.value_set("http://loinc.org/vs|2.72").unwrap();
    assert_eq!(loinc.include[0].version.as_deref(), Some("2.72"));
}

#[test]
fn codes_of_a_system_that_is_only_named_are_not_called_wrong() {
    let sct = Canonical::parse("http://snomed.info/sct");
    let unknown = Engine::new(&Published).subsumption(&sct, "1", "2");
    assert_eq!(unknown, Err(ListError::PartOfCodeSystem("http://snomed.info/sct".to_owned())));
}
