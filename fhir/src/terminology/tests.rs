//! Tests of the engine over R4's own definitions and over made-up ones.

mod imports;
mod letters;
mod made_up;
mod properties;
mod whole;

use super::*;

const GENDERS: &str = "http://hl7.org/fhir/ValueSet/administrative-gender";
const GENDER: &str = "http://hl7.org/fhir/administrative-gender";
const ACT_CODE: &str = "http://terminology.hl7.org/CodeSystem/v3-ActCode";

fn engine() -> Engine<'static> {
    Engine::new(&Published)
}

fn coded(system: &str, code: &str) -> Coded {
    Coded { system: Some(system.to_owned()), code: code.to_owned(), ..Coded::default() }
}

#[test]
fn a_set_of_a_whole_system_has_its_codes_in_order() {
    let set = engine().value_set(GENDERS).unwrap();
    let expansion = engine().expand(&set, &ExpansionRequest::default()).unwrap();
    let codes: Vec<&str> = expansion.contains.iter().map(|row| row.code.as_str()).collect();
    assert_eq!(codes, ["male", "female", "other", "unknown"]);
    assert_eq!(expansion.contains[0].display.as_deref(), Some("Male"));
    assert_eq!(expansion.used, [(GENDER.to_owned(), Some("4.0.1".to_owned()))].into());
}

#[test]
fn pages_follow_each_other_and_say_the_total() {
    let set = engine().value_set("http://hl7.org/fhir/ValueSet/service-type").unwrap();
    let page = |offset, count| {
        let request = ExpansionRequest { offset, count, ..ExpansionRequest::default() };
        engine().expand(&set, &request).unwrap()
    };
    let whole = page(0, None);
    let total = whole.total.unwrap();
    assert_eq!(total, whole.contains.len());
    let (first, second) = (page(0, Some(100)), page(100, Some(100)));
    assert_eq!((first.total, first.contains.len()), (whole.total, 100));
    assert_eq!([first.contains, second.contains].concat(), whole.contains[..200]);
    assert!(page(total, Some(5)).contains.is_empty());
}

#[test]
fn a_filter_takes_the_beginnings_of_words() {
    let set = engine().value_set("http://hl7.org/fhir/ValueSet/resource-types").unwrap();
    let found = |filter: &str| {
        let request = ExpansionRequest { filter: Some(filter.to_owned()), ..ExpansionRequest::default() };
        let expansion = engine().expand(&set, &request).unwrap();
        expansion.contains.into_iter().map(|row| row.code).collect::<Vec<_>>()
    };
    assert_eq!(found("medicationst"), ["MedicationStatement"]);
    assert_eq!(found("statement"), Vec::<String>::new());
    assert!(found("").len() > 140);
}

#[test]
fn concepts_are_below_others_at_any_distance() {
    let below = engine().related(ACT_CODE, "_ActAccountCode", Direction::Below, 100).unwrap();
    assert!(below.contains(&"CC".to_owned()) && below.contains(&"AE".to_owned()), "{below:?}");
    let above = engine().related(ACT_CODE, "AE", Direction::Above, 100).unwrap();
    assert_eq!(above, ["AE", "CC", "_ActAccountCode"]);
    assert_eq!(
        engine().related(ACT_CODE, "_ActAccountCode", Direction::Below, 2),
        Err(ListError::TooCostly(2))
    );
    assert!(matches!(
        engine().related(ACT_CODE, "none", Direction::Below, 2),
        Err(ListError::UnknownCode(_))
    ));
}

#[test]
fn subsumption_has_four_answers() {
    let relation =
        |left, right| engine().subsumption(&Canonical::parse(ACT_CODE), left, right).unwrap().code();
    assert_eq!(relation("AE", "AE"), "equivalent");
    assert_eq!(relation("_ActAccountCode", "AE"), "subsumes");
    assert_eq!(relation("AE", "_ActAccountCode"), "subsumed-by");
    assert_eq!(relation("AE", "AMB"), "not-subsumed");
}

#[test]
fn a_wrong_display_is_said_with_the_right_one() {
    let set = engine().value_set(GENDERS).unwrap();
    let judge = |display: &str| {
        let coded = Coded { display: Some(display.to_owned()), ..coded(GENDER, "female") };
        engine().validate_in_set(&set, &coded, &Terms::default()).unwrap()
    };
    assert!(judge("female ").result);
    let wrong = judge("Male");
    assert!(!wrong.result && wrong.message.unwrap().contains("\"Female\""));
    assert_eq!(wrong.display.as_deref(), Some("Female"));
}

#[test]
fn a_code_that_groups_others_is_right_only_where_that_is_said() {
    let canonical = Canonical::parse(ACT_CODE);
    let judge = |with_abstract| {
        let terms = Terms { with_abstract, ..Terms::default() };
        engine().validate_in_system(&canonical, &coded(ACT_CODE, "_ActAccountCode"), &terms).unwrap().result
    };
    assert_eq!((judge(false), judge(true)), (false, true));
}

#[test]
fn grammars_decide_where_there_is_no_list() {
    let language = |code| Published.validate_code("http://hl7.org/fhir/ValueSet/all-languages", None, code);
    assert_eq!(language("de-CH"), Membership::Member);
    assert_eq!(language("de_CH"), Membership::NotMember);
    let units = "http://hl7.org/fhir/ValueSet/ucum-units";
    assert_eq!(
        Published.validate_code(units, Some("http://unitsofmeasure.org"), "mm[Hg]"),
        Membership::Member
    );
    assert!(matches!(Published.codes(units, 10), Err(ListError::NotEnumerable(_))));
}

#[test]
fn a_map_translates_both_ways() {
    let source = "http://hl7.org/fhir/ValueSet/address-use";
    let query = MapQuery { source: Some(source.to_owned()), ..MapQuery::default() };
    let asked = Translation {
        codings: vec![(Some("http://hl7.org/fhir/address-use".to_owned()), "home".to_owned())],
        ..Translation::default()
    };
    let found = translate(&Published, &query, &asked).unwrap();
    assert_eq!(found.first().and_then(|found| found.code.as_deref()), Some("H"));
    assert!(found.iter().all(Match::is_mapped));
    let back = Translation {
        codings: vec![(found[0].system.clone(), "H".to_owned())],
        is_reverse: true,
        ..Translation::default()
    };
    let back = translate(&Published, &query, &back).unwrap();
    assert_eq!(back.first().and_then(|found| found.code.as_deref()), Some("home"));
    let nothing = MapQuery { url: Some("http://example.org/none".to_owned()), ..MapQuery::default() };
    assert!(matches!(translate(&Published, &nothing, &asked), Err(ListError::UnknownConceptMap(_))));
}
