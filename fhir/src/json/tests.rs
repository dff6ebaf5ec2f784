//! What the JSON reader accepts, refuses and keeps.

use proptest::prelude::*;

use super::*;

fn parse(text: &str) -> Result<Document, ParseError> {
    Document::parse(text, &Limits::default())
}

fn refusal(text: &str) -> ParseError {
    parse(text).expect_err("should be refused")
}

#[test]
fn literals_and_order_survive() {
    let document = parse(r#" {"b": 1.10, "a": [1e2, -0, "x\n\u00e9\ud83d\ude00"], "c": null} "#).unwrap();
    let root = document.root();
    assert_eq!(root.get("b").unwrap().number(), Some("1.10"));
    let names: Vec<_> = root.members().map(|(name, _)| name.into_owned()).collect();
    assert_eq!(names, ["b", "a", "c"]);
    let items: Vec<_> = root.get("a").unwrap().items().collect();
    assert_eq!(items[0].raw(), "1e2");
    assert_eq!(items[1].raw(), "-0");
    assert_eq!(items[2].as_str().unwrap(), "x\né😀");
    assert!(root.get("c").unwrap().is_null());
    assert_eq!(root.len(), 3);
}

#[test]
fn nested_values_are_walked_without_their_neighbours() {
    let document = parse(r#"{"a":{"x":[{"y":1},{"y":2}]},"b":2}"#).unwrap();
    let ys: Vec<_> = document
        .root()
        .get("a")
        .unwrap()
        .get("x")
        .unwrap()
        .items()
        .map(|v| v.get("y").unwrap().raw())
        .collect();
    assert_eq!(ys, ["1", "2"]);
    assert_eq!(document.root().get("b").unwrap().raw(), "2");
    assert!(document.root().get("y").is_none());
}

#[test]
fn faults_say_what_and_where() {
    let cases = [
        ("", ParseErrorKind::UnexpectedEnd, 0, ""),
        ("{\"a\":1,}", ParseErrorKind::Unexpected("a member name in quotes"), 7, ""),
        ("{\"a\":01}", ParseErrorKind::BadNumber, 5, "a"),
        ("{\"a\":[1,{\"b\":tru}]}", ParseErrorKind::Unexpected("a value"), 13, "a[1].b"),
        ("{\"a\":\"\\ud800\"}", ParseErrorKind::LoneSurrogate, 6, "a"),
        ("{\"a\":\"\\udc00\"}", ParseErrorKind::LoneSurrogate, 6, "a"),
        ("{\"a\":\"\\ud800\\u0041\"}", ParseErrorKind::LoneSurrogate, 6, "a"),
        ("{\"a\":\"\\x\"}", ParseErrorKind::BadEscape, 6, "a"),
        ("{\"a\":\"\n\"}", ParseErrorKind::ControlCharacter, 6, "a"),
        ("{\"a\":1,\"b\":2,\"a\":3}", ParseErrorKind::DuplicateName, 13, "a"),
        ("{\"a\":1,\"\\u0061\":3}", ParseErrorKind::DuplicateName, 7, "a"),
        ("{} {}", ParseErrorKind::TrailingText, 3, ""),
        ("[1 2]", ParseErrorKind::Unexpected("',' or ']'"), 3, ""),
        ("1.", ParseErrorKind::BadNumber, 0, ""),
        ("NaN", ParseErrorKind::Unexpected("a value"), 0, ""),
    ];
    for (text, kind, offset, path) in cases {
        let error = refusal(text);
        assert_eq!((&error.kind, error.offset, error.path.as_str()), (&kind, offset, path), "{text}");
    }
}

#[test]
fn line_and_column_count_characters() {
    let error = refusal("{\n \"é\": x}");
    assert_eq!((error.line, error.column), (2, 7));
    assert_eq!(error.to_string(), "expected a value at line 2, column 7 (é)");
}

#[test]
fn duplicate_names_are_found_in_large_objects() {
    let mut text: String = (0..1000).map(|i| format!("\"k{i}\":{i},")).collect();
    text = format!("{{{text}\"k500\":1}}");
    assert_eq!(refusal(&text).kind, ParseErrorKind::DuplicateName);
}

#[test]
fn nesting_is_bounded() {
    let deep = |n: usize| format!("{}1{}", "[".repeat(n), "]".repeat(n));
    assert!(parse(&deep(100)).is_ok());
    assert_eq!(refusal(&deep(101)).kind, ParseErrorKind::TooDeep);
    assert_eq!(refusal(&"[".repeat(1_000_000)).kind, ParseErrorKind::TooDeep);
}

#[test]
fn bytes_that_are_not_utf8_are_refused() {
    let error = Document::parse(b"{\"a\":\"\xff\"}".to_vec(), &Limits::default()).expect_err("latin 1");
    assert_eq!((error.kind, error.offset), (ParseErrorKind::NotUtf8, 6));
}

#[test]
fn a_byte_order_mark_is_dropped() {
    assert_eq!(parse("\u{feff}{}").unwrap().text(), "{}");
}

#[test]
fn splices_touch_only_their_spans() {
    let document = parse(
        r#"{ "resourceType" : "Patient", "meta":{"versionId":"7", "tag":[], "lastUpdated":"x"}, "n":1.0 }"#,
    )
    .unwrap();
    let root = document.root();
    let meta = root.get("meta").unwrap();
    let mut splice = Splice::new();
    splice.remove_members(meta, &["versionId", "lastUpdated"]);
    splice.insert_after(root.get("resourceType").unwrap(), "id", b"\"a\"");
    let text = String::from_utf8(splice.apply_to(&document).unwrap()).unwrap();
    assert_eq!(text, r#"{ "resourceType" : "Patient","id":"a", "meta":{"tag":[]}, "n":1.0 }"#);
}

#[test]
fn members_are_removed_with_their_commas() {
    for (text, names, expected) in [
        (r#"{"a":1}"#, &["a"][..], r"{}"),
        (r#"{"a":1,"b":2}"#, &["a"], r#"{"b":2}"#),
        (r#"{"a":1,"b":2}"#, &["b"], r#"{"a":1}"#),
        (r#"{"a":1,"b":2}"#, &["a", "b"], r"{}"),
        (r#"{"a":1,"b":2,"c":3}"#, &["a", "c"], r#"{"b":2}"#),
        (r#"{"a":1,"b":2,"c":3}"#, &["b"], r#"{"a":1,"c":3}"#),
    ] {
        let document = parse(text).unwrap();
        let mut splice = Splice::new();
        splice.remove_members(document.root(), names);
        assert_eq!(splice.apply_to(&document).unwrap(), expected.as_bytes(), "{text} without {names:?}");
    }
}

#[test]
fn overlapping_edits_are_refused() {
    let mut splice = Splice::new();
    splice.replace(0..3, "a");
    splice.replace(2..4, "b");
    assert_eq!(splice.apply("012345"), Err(SpliceError::Overlap { at: 2 }));
    let mut splice = Splice::new();
    splice.replace(4..9, "a");
    assert_eq!(splice.apply("012345"), Err(SpliceError::OutOfBounds { end: 9, length: 6 }));
}

#[test]
fn a_part_is_edited_by_itself() {
    let document = parse(r#"{"a":[{"x":1},{"x":2}]}"#).unwrap();
    let second = document.root().get("a").unwrap().items().nth(1).unwrap();
    let mut splice = Splice::new();
    splice.replace(second.get("x").unwrap().span(), "30");
    assert_eq!(splice.clone().apply_within(document.text(), second.span()).unwrap(), br#"{"x":30}"#);
    assert!(splice.apply_within(document.text(), 0..5).is_err(), "an edit outside of the part");
}

fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        ".*".prop_map(Into::into),
    ];
    leaf.prop_recursive(6, 64, 8, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..8).prop_map(Into::into),
            proptest::collection::vec((".*", inner), 0..16)
                .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
        ]
    })
}

fn rebuild(value: Value<'_>) -> serde_json::Value {
    match value.kind() {
        Kind::Null => serde_json::Value::Null,
        Kind::Bool => value.as_bool().unwrap().into(),
        Kind::Number => serde_json::from_str(value.raw()).unwrap(),
        Kind::String => value.as_str().unwrap().into_owned().into(),
        Kind::Array => value.items().map(rebuild).collect::<Vec<_>>().into(),
        Kind::Object => serde_json::Value::Object(
            value.members().map(|(name, v)| (name.into_owned(), rebuild(v))).collect(),
        ),
    }
}

proptest! {
    #[test]
    fn reads_what_serde_json_writes(value in any_json()) {
        for text in [serde_json::to_string(&value).unwrap(), serde_json::to_string_pretty(&value).unwrap()] {
            let document = parse(&text).unwrap();
            prop_assert_eq!(rebuild(document.root()), value.clone());
        }
    }

    #[test]
    fn accepts_nothing_that_serde_json_refuses(text in "[\\[\\]{}:,\"\\\\u0-9a-f.eE+ \\-ntrals]{0,40}") {
        if parse(&text).is_ok() {
            prop_assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok(), "{}", text);
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _outcome = Document::parse(bytes, &Limits::default());
    }

    #[test]
    fn quoted_text_reads_back(text in ".*") {
        let document = Document::parse(quote(&text), &Limits::default()).unwrap();
        prop_assert_eq!(document.root().as_str().unwrap(), text);
    }
}
