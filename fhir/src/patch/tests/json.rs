//! JSON Patch: the bytes that each operation leaves, and what is refused.

use super::*;

fn apply(text: &str, patch: &str) -> Result<String, PatchError> {
    patched(&Patch::json(&document(patch)), text)
}

fn gives(text: &str, patch: &str, wanted: &str) {
    assert_eq!(apply(text, patch).as_deref(), Ok(wanted), "{patch} on {text}");
}

fn kind(text: &str, patch: &str) -> PatchErrorKind {
    apply(text, patch).unwrap_err().kind
}

#[test]
fn what_is_not_touched_stays_byte_for_byte() {
    let text = "{ \"a\" : 1.10,\n  \"b\": [ 1e2, {\"c\":\"\\u00e9\"} ] ,\"d\":\tnull }";
    gives(text, r#"[{"op":"remove","path":"/a"}]"#, "{ \"b\": [ 1e2, {\"c\":\"\\u00e9\"} ] ,\"d\":\tnull }");
    gives(
        text,
        r#"[{"op":"remove","path":"/d"}]"#,
        "{ \"a\" : 1.10,\n  \"b\": [ 1e2, {\"c\":\"\\u00e9\"} ] }",
    );
    let added = "{ \"a\" : 1.10,\n  \"b\": [ 1e2, 2.50, {\"c\":\"\\u00e9\"} ] ,\"d\":\tnull }";
    gives(text, r#"[{"op":"add","path":"/b/1","value":2.50}]"#, added);
}

#[test]
fn layout_is_kept_where_something_is_added() {
    gives("{\n  \"a\": 1\n}", r#"[{"op":"add","path":"/b","value":[]}]"#, "{\n  \"a\": 1,\n  \"b\": []\n}");
    gives("[\n  1\n]", r#"[{"op":"add","path":"/-","value":2}]"#, "[\n  1,\n  2\n]");
    gives("{ }", r#"[{"op":"add","path":"/a","value":1}]"#, r#"{"a":1}"#);
    gives("[ ]", r#"[{"op":"add","path":"/0","value":1}]"#, "[1]");
}

#[test]
fn the_number_that_is_put_in_keeps_its_literal() {
    gives(r#"{"a":1}"#, r#"[{"op":"replace","path":"/a","value":1.500e-3}]"#, r#"{"a":1.500e-3}"#);
    gives(r#"{"a":1.0}"#, r#"[{"op":"copy","from":"/a","path":"/b"}]"#, r#"{"a":1.0,"b":1.0}"#);
}

#[test]
fn items_are_removed_with_their_commas() {
    for (index, wanted) in [(0, "[2, 3]"), (1, "[1, 3]"), (2, "[1, 2]")] {
        gives("[1, 2, 3]", &format!(r#"[{{"op":"remove","path":"/{index}"}}]"#), wanted);
    }
    gives("[1]", r#"[{"op":"remove","path":"/0"}]"#, "[]");
}

#[test]
fn test_compares_numbers_by_value_and_all_else_by_content() {
    let test = |text: &str, value: &str| {
        apply(text, &format!(r#"[{{"op":"test","path":"","value":{value}}}]"#)).is_ok()
    };
    for (one, other) in
        [("1", "1.0"), ("1e2", "100"), ("0", "-0.0"), ("1.50e3", "1500"), ("0.001", "1e-3"), ("[1.0]", "[1]")]
    {
        assert!(test(one, other), "{one} {other}");
    }
    assert!(test(r#"{"a":"é","b":[null]}"#, r#"{"b":[null],"a":"\u00e9"}"#));
    for (one, other) in
        [("1", "2"), ("1", "-1"), ("10", "1"), ("1", "\"1\""), ("[1,2]", "[2,1]"), ("{}", "[]")]
    {
        assert!(!test(one, other), "{one} {other}");
    }
    assert_eq!(kind("1", r#"[{"op":"test","path":"","value":2}]"#), PatchErrorKind::TestFailed);
}

#[test]
fn a_move_within_an_array_counts_places_after_the_removal() {
    gives("[0,1,2,3]", r#"[{"op":"move","from":"/1","path":"/3"}]"#, "[0,2,3,1]");
    gives("[0,1,2,3]", r#"[{"op":"move","from":"/3","path":"/0"}]"#, "[3,0,1,2]");
    gives(r#"{"a":{"b":1}}"#, r#"[{"op":"move","from":"/a","path":"/a"}]"#, r#"{"a":{"b":1}}"#);
    assert_eq!(
        kind(r#"{"a":{"b":1}}"#, r#"[{"op":"move","from":"/a","path":"/a/b"}]"#),
        PatchErrorKind::IntoItself
    );
}

#[test]
fn what_does_not_fit_the_document_is_refused() {
    for (patch, wanted) in [
        (r#"[{"op":"remove","path":"/x"}]"#, PatchErrorKind::NotFound),
        (r#"[{"op":"replace","path":"/x","value":1}]"#, PatchErrorKind::NotFound),
        (r#"[{"op":"add","path":"/x/y","value":1}]"#, PatchErrorKind::NotFound),
        (r#"[{"op":"add","path":"/a/2","value":1}]"#, PatchErrorKind::BadIndex),
        (r#"[{"op":"add","path":"/a/01","value":1}]"#, PatchErrorKind::BadIndex),
        (r#"[{"op":"add","path":"/a/x","value":1}]"#, PatchErrorKind::BadIndex),
        (r#"[{"op":"remove","path":"/a/-"}]"#, PatchErrorKind::NotFound),
        (r#"[{"op":"add","path":"/a/0/y","value":1}]"#, PatchErrorKind::NotAContainer),
        (r#"[{"op":"remove","path":""}]"#, PatchErrorKind::WholeDocument),
        (r#"[{"op":"copy","from":"/x","path":"/y"}]"#, PatchErrorKind::NotFound),
    ] {
        assert_eq!(kind(r#"{"a":[1]}"#, patch), wanted, "{patch}");
    }
}

#[test]
fn what_is_no_patch_is_refused_with_the_operation() {
    for (patch, operation) in [
        (r#"{"op":"add"}"#, None),
        (r#"[1]"#, Some(0)),
        (r#"[{"op":"test","path":"","value":1},{"op":"ad","path":"/a","value":1}]"#, Some(1)),
        (r#"[{"path":"/a","value":1}]"#, Some(0)),
        (r#"[{"op":"add","path":"/a"}]"#, Some(0)),
        (r#"[{"op":"add","value":1}]"#, Some(0)),
        (r#"[{"op":"move","path":"/a"}]"#, Some(0)),
        (r#"[{"op":"remove","path":"a"}]"#, Some(0)),
        (r#"[{"op":"remove","path":"/a~2"}]"#, Some(0)),
        (r#"[{"op":"remove","path":1}]"#, Some(0)),
    ] {
        let error = apply("1", patch).unwrap_err();
        assert!(error.is_malformed(), "{patch}: {error}");
        assert_eq!(error.operation, operation, "{patch}");
    }
    let many = vec![r#"{"op":"test","path":"","value":1}"#; OPERATIONS_MAX + 1].join(",");
    assert_eq!(kind("1", &format!("[{many}]")), PatchErrorKind::TooMany);
}

#[test]
fn copies_cannot_grow_a_document_without_a_bound() {
    let copies = vec![r#"{"op":"copy","from":"","path":"/a"}"#; 200].join(",");
    assert_eq!(kind(r#"{"b":[1]}"#, &format!("[{copies}]")), PatchErrorKind::TooDeep);
    let copies = vec![r#"{"op":"copy","from":"/a","path":"/a/-"},{"op":"add","path":"/b","value":0}"#; 200];
    let long = format!(r#"{{"a":["{}"]}}"#, "x".repeat(1 << 16));
    let error = kind(&long, &format!("[{}]", copies.join(",")));
    assert!(matches!(error, PatchErrorKind::TooDeep | PatchErrorKind::TooLarge), "{error}");
}

#[test]
fn an_error_says_which_operation_and_where() {
    let error =
        apply("{}", r#"[{"op":"add","path":"/a","value":1},{"op":"remove","path":"/b/c"}]"#).unwrap_err();
    assert_eq!(error.to_string(), "operation 1: nothing is there (/b/c)");
}
