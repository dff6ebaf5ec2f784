//! Whatever stands in the file, reading it ends with settings or with errors that have a place; it never fails otherwise.

use proptest::prelude::*;

use super::*;

/// Words that the settings know, so that the deeper parts are reached.
fn word() -> impl Strategy<Value = String> {
    const KNOWN: [&str; 26] = [
        "fhir",
        "http",
        "workers",
        "workspaces",
        "services",
        "a",
        "kind",
        "feed",
        "page_size",
        "versioning",
        "types",
        "default",
        "corsConfiguration",
        "origins",
        "allowedOrigins",
        "resourceVersionPolicyConfiguration",
        "database",
        "url",
        "env",
        "file",
        "search",
        "health",
        "listen",
        "data",
        "*",
        "",
    ];
    prop_oneof![4 => proptest::sample::select(&KNOWN[..]).prop_map(str::to_owned), 1 => "\\PC{0,8}"]
}

fn value() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(|number| serde_json::json!(number)),
        word().prop_map(Into::into),
    ];
    leaf.prop_recursive(7, 60, 6, |inner| {
        prop_oneof![
            1 => proptest::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
            4 => proptest::collection::vec((word(), inner), 0..6)
                .prop_map(|entries| serde_json::Value::Object(entries.into_iter().collect())),
        ]
    })
}

fn ends_well(suffix: &str, text: &str) -> Result<(), TestCaseError> {
    if let Err(told) = read(suffix, text, &[], vec![]) {
        prop_assert!(!told.is_empty());
        prop_assert!(told.lines().next().is_some_and(|line| line.starts_with("FILE:")), "{}", told);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,200}|([a-z.\\[\\]={}'\":\\-& *!|>#\n ]{0,200})") {
        ends_well(".toml", &text)?;
        ends_well(".yaml", &text)?;
    }

    #[test]
    fn any_tree_is_read_or_refused_the_same_way_in_both_forms(value in value()) {
        // JSON is YAML; what has no null is TOML.
        let json = value.to_string();
        ends_well(".yaml", &json)?;
        if let Ok(toml) = toml::to_string(&value) {
            ends_well(".toml", &toml)?;
            let one = read(".toml", &toml, &[], vec![]).is_ok();
            let other = read(".yaml", &json, &[], vec![]).is_ok();
            prop_assert_eq!(one, other, "{}\n{}", toml, json);
        }
    }
}
