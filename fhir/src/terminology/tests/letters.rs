//! Code systems that tell letters apart, and those that do not.

use super::made_up::Shelf;
use super::*;

/// `Arm` with `haND` and `Leg-1` below it; `haND` is linked in another spelling.
fn shelf(case: &str, compose: &str) -> Shelf {
    let mut shelf = Shelf::default();
    shelf.add(&format!(
        r#"{{"resourceType":"CodeSystem","url":"urn:c","content":"complete",{case}"concept":[
            {{"code":"Arm","display":"Arm","property":[{{"code":"child","valueCode":"HAnd"}}],
                "concept":[{{"code":"Leg-1","display":"Leg"}}]}},
            {{"code":"haND","display":"Hand"}},{{"code":"12"}}]}}"#
    ));
    shelf.add(&format!(
        r#"{{"resourceType":"ValueSet","url":"urn:set","status":"active","compose":{compose}}}"#
    ));
    shelf
}

const FOLDS: &str = r#""caseSensitive":false,"#;
const TELLS_APART: [&str; 2] = ["", r#""caseSensitive":true,"#];

fn is_in(case: &str, compose: &str, code: &str) -> bool {
    let shelf = shelf(case, compose);
    match Engine::new(&shelf).validate_code("urn:set", Some("urn:c"), code) {
        Membership::Unknown => unreachable!("all is known"),
        membership => membership == Membership::Member,
    }
}

fn listed(case: &str, compose: &str) -> String {
    let shelf = shelf(case, compose);
    let engine = Engine::new(&shelf);
    let expansion = engine.expand(&engine.value_set("urn:set").unwrap(), &ExpansionRequest::default());
    expansion.unwrap().contains.into_iter().map(|row| row.code).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_code_is_in_a_set_in_any_spelling_only_where_letters_are_not_told_apart() {
    let filter = |property: &str, op: &str, value: &str| {
        format!(
            r#"{{"include":[{{"system":"urn:c","filter":[{{"property":"{property}","op":"{op}","value":"{value}"}}]}}]}}"#
        )
    };
    for compose in [
        r#"{"include":[{"system":"urn:c"}],"exclude":[{"system":"urn:c","concept":[{"code":"arm"}]}]}"#
            .to_owned(),
        r#"{"include":[{"system":"urn:c","concept":[{"code":"HANd"}]}]}"#.to_owned(),
        r#"{"inactive":false,"include":[{"system":"urn:c","concept":[{"code":"HANd"}]}]}"#.to_owned(),
        filter("concept", "is-a", "hand"),
        filter("concept", "descendent-of", "aRM"),
        filter("concept", "in", "x, hanD"),
        filter("concept", "generalizes", "HAND"),
        filter("code", "=", "HAND"),
        filter("parent", "=", "ARM"),
        filter("parent", "in", "ARM,x"),
    ] {
        assert!(is_in(FOLDS, &compose, "HaNd"), "{compose}");
        assert!(!is_in(FOLDS, &compose, "12") || compose.contains("exclude"), "{compose}");
        for case in TELLS_APART {
            assert!(!is_in(case, &compose, "HaNd"), "{compose}");
        }
    }
    let without =
        r#"{"include":[{"system":"urn:c"}],"exclude":[{"system":"urn:c","concept":[{"code":"arm"}]}]}"#;
    assert!(!is_in(FOLDS, without, "ARM"));
    assert!(is_in(FOLDS, &filter("child", "=", "HAND"), "ARM"));
    assert!(!is_in(FOLDS, &filter("concept", "not-in", "HAND,12"), "hand"));
    assert!(!is_in(FOLDS, &filter("display", "=", "hand"), "hand"), "a display is a text as it stands");
}

#[test]
fn lists_have_each_code_once_in_any_spelling() {
    for (compose, folds, tells_apart) in [
        (
            r#"{"include":[{"system":"urn:c"}],"exclude":[{"system":"urn:c","concept":[{"code":"arm"}]}]}"#,
            "Leg-1 haND 12",
            "Arm Leg-1 haND 12",
        ),
        (
            r#"{"include":[{"system":"urn:c","concept":[{"code":"leg-1"},{"code":"LEG-1"}]},{"system":"urn:c"}]}"#,
            "leg-1 Arm haND 12",
            "leg-1 LEG-1 Arm Leg-1 haND 12",
        ),
    ] {
        assert_eq!(listed(FOLDS, compose), folds, "{compose}");
        assert_eq!(listed(TELLS_APART[0], compose), tells_apart, "{compose}");
    }
}

#[test]
fn concepts_are_found_and_compared_in_any_spelling() {
    let shelf = shelf(FOLDS, r#"{"include":[{"system":"urn:c"}]}"#);
    let (engine, system) = (Engine::new(&shelf), Canonical::new("urn:c", None));
    let Looked::Concept(_, concept) = engine.lookup(&system, "HAND").unwrap() else { unreachable!() };
    assert_eq!((concept.code.as_str(), concept.display.as_deref()), ("haND", Some("Hand")));
    assert_eq!(engine.subsumption(&system, "ARM", "hand"), Ok(Subsumption::Subsumes));
    assert_eq!(engine.subsumption(&system, "LEG-1", "arm"), Ok(Subsumption::SubsumedBy));
    assert_eq!(engine.subsumption(&system, "HAND", "hand"), Ok(Subsumption::Equivalent));
    let terms = Terms::default();
    assert!(engine.validate_in_system(&system, &coded("urn:c", "HAND"), &terms).unwrap().result);
    let set = engine.value_set("urn:set").unwrap();
    assert!(engine.validate_in_set(&set, &coded("urn:c", "HAND"), &terms).unwrap().result);
}

#[test]
fn the_display_of_a_set_is_that_of_any_spelling() {
    let shelf = shelf(
        FOLDS,
        r#"{"include":[{"system":"urn:c","concept":[{"code":"HAND","display":"Paw"},{"code":"arm","display":"Leg"}]}]}"#,
    );
    let engine = Engine::new(&shelf);
    let set = engine.value_set("urn:set").unwrap();
    let judged = |code: &str| engine.validate_in_set(&set, &coded("urn:c", code), &Terms::default()).unwrap();
    assert_eq!(judged("hand").display.as_deref(), Some("Paw"));
    assert_eq!(judged("HAND").display.as_deref(), Some("Paw"));
}

#[test]
fn searches_get_the_spellings_that_they_look_for() {
    let all = r#"{"include":[{"system":"urn:c"}]}"#;
    let codes = |shelf: &Shelf, codes_max: usize| {
        let codes = Engine::new(shelf).codes("urn:set", codes_max)?;
        Ok(codes.into_iter().map(|row| row.code).collect::<Vec<_>>().join(" "))
    };
    let folds = shelf(FOLDS, all);
    let spelled = "12 ARM Arm HAND LEG-1 Leg-1 arm haND hand leg-1";
    assert_eq!(codes(&folds, 10), Ok(spelled.to_owned()));
    assert_eq!(codes(&folds, 9), Err(ListError::TooCostly(9)), "spellings count");
    let listed = shelf(FOLDS, r#"{"include":[{"system":"urn:c","concept":[{"code":"haNd"}]}]}"#);
    assert_eq!(codes(&listed, 10), Ok("HAND haND haNd hand".to_owned()), "as listed, and as defined");
    assert_eq!(codes(&shelf(TELLS_APART[1], all), 4), Ok("12 Arm Leg-1 haND".to_owned()));
    let related = |direction, codes_max| {
        Engine::new(&folds).related("urn:c", "HAnd", direction, codes_max).map(|codes| codes.join(" "))
    };
    assert_eq!(related(Direction::Below, 3), Ok("HAND haND hand".to_owned()));
    assert_eq!(related(Direction::Above, 6), Ok("ARM Arm HAND arm haND hand".to_owned()));
    assert_eq!(related(Direction::Above, 5), Err(ListError::TooCostly(5)));
}
