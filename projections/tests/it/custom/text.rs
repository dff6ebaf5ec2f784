//! The text that custom parameters are stored as: the same for the same parameters, and nothing else is read.

use anamnesis_events::Position;
use anamnesis_fhir::search::SearchParameterKind as Kind;
use anamnesis_projections::Inputs;
use anamnesis_projections::search::{CustomParameter, CustomParameters, ParametersError};
use proptest::prelude::*;

use super::{custom, nickname, referrer, url};

fn refusal(all: impl IntoIterator<Item = CustomParameter>) -> String {
    CustomParameters::new(all).unwrap_err().to_string()
}

#[test]
fn what_cannot_be_indexed_is_refused_with_its_address() {
    let with = |change: fn(&mut CustomParameter)| {
        let mut changed = nickname();
        change(&mut changed);
        refusal([changed])
    };
    for (refused, reason) in [
        (with(|one| one.definition.expression = Some("Patient.name.".to_owned())), "cannot be read"),
        (with(|one| one.definition.bases = vec!["Nobody".to_owned()]), "Nobody"),
        (with(|one| one.definition.bases.clear()), "no type of resource"),
        (with(|one| one.definition.expression = None), "no expression"),
        (with(|one| one.definition.kind = Kind::Special), "special"),
        (with(|one| one.definition.kind = Kind::Composite), "no components"),
        (with(|one| one.definition.code = "a:b".to_owned()), "begins with a letter or digit"),
        (with(|one| one.definition.code = "ct".to_owned()), "how results are given"),
        (with(|one| one.definition.code = "name".to_owned()), "Patient has another search parameter"),
        (with(|one| one.definition.components.push((url("x"), "x".to_owned()))), "not composite"),
        (
            with(|one| {
                one.definition.url = "http://hl7.org/fhir/SearchParameter/individual-gender".to_owned();
            }),
            "cannot be made anew",
        ),
        (refusal([nickname(), nickname()]), "more than one"),
        (
            refusal([nickname(), custom("a", Kind::Token, "Patient", "Patient.active")].map(|mut one| {
                one.definition.code = "same".to_owned();
                one
            })),
            "http://example.org/SearchParameter/a",
        ),
    ] {
        assert!(refused.contains(reason), "{refused}");
    }
    let many = (0..1001).map(|at| custom(&format!("a{at}"), Kind::Token, "Patient", "Patient.active"));
    assert!(matches!(CustomParameters::new(many), Err(ParametersError::TooMany { count: 1001 })));
    let mut long = nickname();
    long.id = "x".repeat(1 << 20);
    assert!(matches!(CustomParameters::new([long]), Err(ParametersError::TooLarge { .. })));
}

#[test]
fn the_order_in_which_they_come_does_not_matter() {
    let one = CustomParameters::new([nickname(), referrer()]).unwrap();
    let other = CustomParameters::new([referrer(), nickname()]).unwrap();
    assert_eq!(one.to_inputs(), other.to_inputs());
    assert_ne!(one.to_inputs(), CustomParameters::new([nickname()]).unwrap().to_inputs());
    assert_eq!(CustomParameters::new([]).unwrap().to_inputs(), Inputs::none());
    // What is stored today has to be read for ever.
    let stored = "{\"form\":1,\"parameters\":[{\"id\":\"nickname\",\"position\":1,\
        \"url\":\"http://example.org/SearchParameter/nickname\",\"code\":\"nickname\",\"bases\":[\"Patient\"],\
        \"type\":\"string\",\"expression\":\"Patient.name.where(use = 'nickname').given\"}]}";
    assert_eq!(
        CustomParameters::from_inputs(&Inputs::new(stored)).unwrap().get(&url("nickname")),
        Some(&nickname())
    );
    // With the words of texts beside them it has another form, which a program that does not know of words refuses.
    let with_words = stored.replace("\"form\":1", "\"form\":2,\"full_text\":true");
    let read = CustomParameters::from_inputs(&Inputs::new(with_words.as_str())).unwrap();
    assert!(read.has_full_text() && read.get(&url("nickname")) == Some(&nickname()));
    assert_eq!(read.with_full_text(false).unwrap().to_inputs(), Inputs::new(stored));
    let words_alone = Inputs::new("{\"form\":2,\"full_text\":true,\"parameters\":[]}");
    assert_eq!(CustomParameters::none().with_full_text(true).unwrap().to_inputs(), words_alone);
    for other in [
        stored.replace("\"form\":1", "\"form\":2"),
        stored.replace("\"form\":1", "\"form\":1,\"full_text\":true"),
        with_words.replace("true", "false"),
        words_alone.text().unwrap().replace("true", "1"),
        stored.replace("\"type\":\"string\"", "\"type\":\"strange\""),
        stored.replace("\"position\"", "\"place\""),
        stored.replace("\"position\":1", "\"position\": 1"),
        stored.replace("\"position\":1", "\"position\":1,\"more\":true"),
        "[".repeat(100_000),
    ] {
        let read = CustomParameters::from_inputs(&Inputs::new(other.as_str()));
        assert!(matches!(read, Err(ParametersError::Malformed { .. })), "{read:?}");
    }
}

fn any_parameter() -> impl Strategy<Value = CustomParameter> {
    let texts = || proptest::collection::vec("\\PC{0,8}", 0..3);
    let kinds = prop_oneof![Just(Kind::Token), Just(Kind::String), Just(Kind::Uri), Just(Kind::Reference)];
    let expressions = prop_oneof![
        Just("Patient.name.given"),
        Just("Patient.extension('http://a').value"),
        Just("Patient.name.where(family = 'ä\\'\\u0001')")
    ];
    let parts = ("\\PC{0,12}", "[a-z][a-z0-9]{0,12}", any::<u32>(), kinds, expressions);
    (parts, texts(), texts(), texts(), proptest::option::of("\\PC{0,8}")).prop_map(
        |((id, code, position, kind, expression), targets, comparators, modifiers, usage)| {
            let mut one = custom(&format!("x{code}"), kind, "Patient", expression);
            (one.id, one.position) = (id, Position::new(position.into()));
            one.definition.targets = targets;
            one.definition.comparators = comparators;
            one.definition.modifiers = modifiers;
            one.definition.usage = usage;
            one
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read_again(
        all in proptest::collection::vec(any_parameter(), 0..4), full_text: bool,
    ) {
        let Ok(written) = CustomParameters::new(all.clone()) else { return Ok(()) };
        let written = written.with_full_text(full_text).unwrap();
        let read = CustomParameters::from_inputs(&written.to_inputs()).unwrap();
        prop_assert_eq!(&read, &written);
        prop_assert_eq!(read.has_full_text(), full_text);
        for one in &all {
            prop_assert_eq!(read.get(&one.definition.url), Some(one));
        }
        prop_assert_eq!(read.iter().count(), all.len());
    }

    #[test]
    fn garbage_is_refused(text in "\\PC{0,200}", cut in 0_usize..400, at in 0_usize..400) {
        let inputs = CustomParameters::new([nickname(), referrer()]).unwrap().to_inputs();
        let whole = inputs.text().unwrap();
        prop_assert!(text.is_empty() || CustomParameters::from_inputs(&Inputs::new(text.as_str())).is_err());
        let cut = whole.get(..cut.clamp(1, whole.len() - 1)).unwrap_or("x");
        prop_assert!(CustomParameters::from_inputs(&Inputs::new(cut)).is_err());
        let at = at.min(whole.len());
        let (before, after) = (whole.get(..at).unwrap_or(""), whole.get(at..).unwrap_or(""));
        // Whatever comes of it, it does not panic.
        let _ = CustomParameters::from_inputs(&Inputs::new(format!("{before}{text}{after}")));
    }
}
