//! Links: where they are found, where not, and what rewriting leaves as it was.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::json::{Document, Limits};

fn parse(text: &str) -> Document {
    Document::parse(text, &Limits::default()).unwrap()
}

fn found(text: &str) -> Vec<(LinkKind, String, String)> {
    let document = parse(text);
    let root = document.root();
    let resource_type = root.get("resourceType").unwrap().as_str().unwrap();
    let links = links(root, &resource_type);
    links.iter().map(|link| (link.kind, path_of(root, link.value), link.text.to_string())).collect()
}

/// Rewrites `urn:uuid:1` to `Patient/7`.
fn rewritten(text: &str) -> String {
    let document = parse(text);
    let map = HashMap::from([("urn:uuid:1", "Patient/7")]);
    let resource_type = document.root().get("resourceType").unwrap().as_str().unwrap();
    let splice =
        rewrite(document.root(), &resource_type, |link| map.get(&*link.text).map(|new| (*new).to_owned()));
    String::from_utf8(splice.apply_to(&document).unwrap()).unwrap()
}

#[test]
fn links_are_found_by_type() {
    use LinkKind::{Canonical, Narrative, Reference, Uri};
    let text = r##"{"resourceType":"Observation","meta":{"profile":["urn:p"],"source":"urn:s"},
        "text":{"div":"<div><a href=\"urn:n\">n</a></div>"},
        "identifier":[{"system":"urn:system","value":"urn:value"}],
        "contained":[{"resourceType":"Patient","managingOrganization":{"reference":"urn:c"}}],
        "extension":[{"url":"urn:x","valueReference":{"reference":"urn:xr"}}],
        "_status":{"extension":[{"url":"urn:st","valueUri":"urn:stu"}]},
        "subject":{"reference":"urn:subject","display":"urn:display","type":"urn:type"},
        "performer":[{"reference":"urn:a"},{"reference":"urn:b"}],"valueString":"urn:string"}"##;
    let expected = [
        (Canonical, "meta.profile[0]", "urn:p"),
        (Uri, "meta.source", "urn:s"),
        (Narrative, "text.div", "urn:n"),
        (Uri, "identifier[0].system", "urn:system"),
        (Reference, "contained[0].managingOrganization.reference", "urn:c"),
        (Uri, "extension[0].url", "urn:x"),
        (Reference, "extension[0].valueReference.reference", "urn:xr"),
        (Uri, "_status.extension[0].url", "urn:st"),
        (Uri, "_status.extension[0].valueUri", "urn:stu"),
        (Reference, "subject.reference", "urn:subject"),
        (Uri, "subject.type", "urn:type"),
        (Reference, "performer[0].reference", "urn:a"),
        (Reference, "performer[1].reference", "urn:b"),
    ];
    let expected = expected.map(|(kind, path, text)| (kind, path.to_owned(), text.to_owned()));
    assert_eq!(found(text), expected);
}

#[test]
fn an_element_named_like_the_marker_of_a_resource_is_no_resource() {
    let text = r#"{"resourceType":"ExampleScenario","instance":[{"resourceId":"a","resourceType":"Patient",
        "version":[{"versionId":"1"}]}]}"#;
    assert_eq!(found(text), []);
}

#[test]
fn rewriting_touches_nothing_else() {
    let text = r#"{ "resourceType":"Observation", "subject" : {"reference":"urn:uuid:1"},
        "identifier":[{"value":"urn:uuid:1"}], "valueQuantity":{"value":1.0}, "performer":[{"reference":"urn:uuid:12"}] }"#;
    let expected = text.replacen("urn:uuid:1", "Patient/7", 1);
    assert_eq!(rewritten(text), expected);
}

#[test]
fn a_link_with_json_escapes_is_found() {
    let text = r#"{"resourceType":"Observation","subject":{"reference":"urn\u003auuid:1"}}"#;
    assert!(may_hold_indirect_links(text));
    assert_eq!(rewritten(text), r#"{"resourceType":"Observation","subject":{"reference":"Patient/7"}}"#);
}

#[test]
fn links_in_narratives_are_rewritten_in_place() {
    let narrative = |div: &str| {
        let text = serde_json::json!({"resourceType": "Patient", "text": {"div": div}}).to_string();
        let rewritten: serde_json::Value = serde_json::from_str(&rewritten(&text)).unwrap();
        rewritten["text"]["div"].as_str().unwrap().to_owned()
    };
    for (before, after) in [
        ("<a href=\"urn:uuid:1\">x</a>", "<a href=\"Patient/7\">x</a>"),
        (
            "é\n\u{1f600}<img  alt='>' src = 'urn:uuid:1' />\"",
            "é\n\u{1f600}<img  alt='>' src = 'Patient/7' />\"",
        ),
        ("<a title=\"href='urn:uuid:1'\">", "<a title=\"href='urn:uuid:1'\">"),
        ("<a\nname=\"n\"\n\thref=\"urn:uuid:1\">", "<a\nname=\"n\"\n\thref=\"Patient/7\">"),
        ("<a href=\"urn&#58;uuid&#x3a;1\"/>", "<a href=\"Patient/7\"/>"),
        ("<!-- <a href=\"urn:uuid:1\"> --><b/>", "<!-- <a href=\"urn:uuid:1\"> --><b/>"),
        ("<a href \n =\n \"urn:uuid:1\">", "<a href \n =\n \"Patient/7\">"),
        ("<abbr href=\"urn:uuid:1\"/>", "<abbr href=\"urn:uuid:1\"/>"),
        ("<a src=\"urn:uuid:1\"/>", "<a src=\"urn:uuid:1\"/>"),
        (
            "<a href=\"urn:uuid:1\"/><a href=\"urn:uuid:1\"/>",
            "<a href=\"Patient/7\"/><a href=\"Patient/7\"/>",
        ),
        ("<a href=\"urn:uuid:1", "<a href=\"urn:uuid:1"),
        ("<a href=urn:uuid:1>", "<a href=urn:uuid:1>"),
        ("<a", "<a"),
    ] {
        assert_eq!(narrative(before), after);
    }
}

#[test]
fn hostile_narratives_take_linear_time() {
    const REPEATS: usize = 200_000;
    for part in
        ["&", "<", "<a ", "<a href='", "<a href=\"&", "<a href='x'/>", "<a =", "<!--", "<a\n = ", "&#x"]
    {
        let div = format!("<a href='{}", part.repeat(REPEATS));
        let text = serde_json::json!({"resourceType": "Patient", "text": {"div": div}}).to_string();
        let document = parse(&text);
        // Quadratic time would be minutes.
        assert!(links(document.root(), "Patient").len() <= REPEATS, "{part}");
    }
}

#[test]
fn raw_escapes_of_a_narrative_stay_as_they_were() {
    let text = r#"{"resourceType":"Patient","text":{"div":"\u003cdiv>\u00e9\ud83d\ude00\/\u20ac<a href=\u0022urn:uuid:1\">\n</a>"}}"#;
    assert_eq!(rewritten(text), text.replace("urn:uuid:1", "Patient/7"));
}

#[test]
fn new_links_are_escaped_for_their_place() {
    let document = parse(r#"{"resourceType":"Patient","text":{"div":"<a href='u'/>"},"implicitRules":"u"}"#);
    let splice = rewrite(document.root(), "Patient", |_| Some("a\"&'\\".to_owned()));
    let expected = r#"{"resourceType":"Patient","text":{"div":"<a href='a&quot;&amp;&#39;\\'/>"},"implicitRules":"a\"&'\\"}"#;
    assert_eq!(splice.apply_to(&document).unwrap(), expected.as_bytes());
}

#[test]
fn conditional_references_are_known() {
    let text = r#"{"resourceType":"Observation","subject":{"reference":"Patient?identifier=s|v"},
        "performer":[{"reference":"Patient/1"},{"reference":"Nobody?a=b"},{"reference":"Patient?"}],
        "meta":{"source":"Patient?a=b"}}"#;
    let document = parse(text);
    let found = links(document.root(), "Observation");
    let conditional: Vec<_> = found.iter().filter_map(Link::conditional).collect();
    assert_eq!(conditional, [Conditional { resource_type: "Patient", query: "identifier=s|v" }]);
    assert_eq!(found.iter().filter_map(Link::target).count(), 1);
}

#[test]
fn the_quick_look_lets_no_indirect_link_pass() {
    assert!(!may_hold_indirect_links(r#"{"resourceType":"Patient","id":"a"}"#));
    for text in [r#""urn:uuid:1""#, r#""Patient?a=b""#, r#""urn\u003a""#, r#""<a href='urn&#58;1'>""#] {
        assert!(may_hold_indirect_links(text), "{text}");
    }
}

proptest! {
    #[test]
    fn every_narrative_link_is_found_where_it_stands(div in "([<>a-c='\" /!-]|<a href=|<img src=|&amp;|&#|\\PC){0,60}") {
        let text = serde_json::json!({"resourceType": "Patient", "text": {"div": div}}).to_string();
        let document = parse(&text);
        for link in links(document.root(), "Patient") {
            prop_assert!(document.text().get(link.span.clone()).is_some());
        }
        let splice = rewrite(document.root(), "Patient", |link| Some(link.text.to_string()));
        let bytes = splice.apply_to(&document).unwrap();
        let same = Document::parse(bytes, &Limits::default()).unwrap();
        let texts = |document: &Document| -> Vec<String> {
            links(document.root(), "Patient").iter().map(|link| link.text.to_string()).collect()
        };
        prop_assert_eq!(texts(&document), texts(&same));
    }
}
