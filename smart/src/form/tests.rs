//! Forms: what is read, what is refused, and that nothing breaks the reader.

#![allow(clippy::unwrap_used, reason = "these are tests")]

use proptest::prelude::*;

use super::*;

fn parsed(text: &str) -> Result<Form, Refusal> {
    Form::parse(text.as_bytes())
}

#[test]
fn values_are_decoded() {
    let form = parsed("a=1&scope=patient%2F*.rs+openid&c=%C3%A4&d=x=y&&").unwrap();
    assert_eq!(form.get("a"), Some("1"));
    assert_eq!(form.get("scope"), Some("patient/*.rs openid"));
    assert_eq!(form.get("c"), Some("ä"));
    assert_eq!(form.get("d"), Some("x=y"));
    assert_eq!(form.get("e"), None);
}

#[test]
fn what_has_no_value_is_not_there() {
    let form = parsed("client_secret=&a&b=1").unwrap();
    assert_eq!((form.get("client_secret"), form.get("a"), form.get("b")), (None, None, Some("1")));
}

#[test]
fn what_comes_twice_is_refused_also_without_a_value_or_escaped() {
    for text in ["a=1&a=1", "a=1&b=2&a=2", "a=&a=1", "a&a", "a=1&%61=2"] {
        assert!(parsed(text).is_err(), "{text}");
    }
}

#[test]
fn what_is_no_form_is_refused() {
    for text in ["a=%", "a=%4", "a=%zz", "a=%ff", "%=1", "a=%00", "a=\0", "a=%+1"] {
        assert!(parsed(text).is_err(), "{text}");
    }
    let many: Vec<String> = (0..=PARAMETERS_MAX).map(|index| format!("a{index}=1")).collect();
    assert!(parsed(&many[..PARAMETERS_MAX].join("&")).is_ok());
    assert!(parsed(&many.join("&")).is_err());
}

proptest! {
    #[test]
    fn nothing_breaks_the_reader(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(form) = Form::parse(&bytes) {
            for (name, value) in &form.pairs {
                prop_assert!(!value.is_empty() && !value.contains('\0'));
                prop_assert_eq!(form.get(name), Some(value.as_str()));
            }
        }
    }

    #[test]
    fn what_is_written_is_read(pairs in proptest::collection::btree_map("[^\0]{1,12}", "[^\0]{1,40}", 0..20)) {
        let text = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&pairs).finish();
        let form = Form::parse(text.as_bytes()).unwrap();
        prop_assert_eq!(form.pairs.len(), pairs.len());
        for (name, value) in &pairs {
            prop_assert_eq!(form.get(name), Some(value.as_str()));
        }
        let twice = format!("{text}&{text}");
        prop_assert_eq!(Form::parse(twice.as_bytes()).is_err(), !pairs.is_empty());
    }
}
