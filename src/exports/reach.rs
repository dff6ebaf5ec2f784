//! What a token leaves of the resources, as it is kept with an export.

use std::sync::Arc;

use anamnesis_projections::search::{Restriction, Visible};
use serde_json::{Map, Value, json};

/// As JSON; the same for the same restriction.
pub(super) fn written(restriction: &Restriction) -> String {
    let mut types = Map::new();
    for name in restriction.types() {
        let choices: Vec<Value> = restriction
            .of(name)
            .iter()
            .map(|visible| json!({ "within": visible.within, "criteria": visible.criteria }))
            .collect();
        types.insert(name.to_owned(), choices.into());
    }
    Value::Object(types).to_string()
}

/// What was written; `None` for what was not: nobody can tell what may be seen then.
pub(super) fn read(text: &str) -> Option<Arc<Restriction>> {
    let mut restriction = Restriction::default();
    let types: Map<String, Value> = serde_json::from_str(text).ok()?;
    for (name, choices) in &types {
        for choice in choices.as_array()? {
            let within = serde_json::from_value(choice.get("within")?.clone()).ok()?;
            let criteria = serde_json::from_value(choice.get("criteria")?.clone()).ok()?;
            restriction.allow(name, Visible { within, criteria });
        }
    }
    Some(Arc::new(restriction))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut restriction = Restriction::default();
        restriction.allow("Organization", Visible::all());
        restriction.allow("Observation", Visible::within("Patient", "1"));
        let criteria = vec![("code".to_owned(), "http://c|\"x\"".to_owned())];
        restriction.allow("Observation", Visible { within: None, criteria });
        assert_eq!(*read(&written(&restriction)).unwrap(), restriction);
        assert_eq!(*read(&written(&Restriction::default())).unwrap(), Restriction::default());
        for broken in ["", "[]", r#"{"Patient":7}"#, r#"{"Patient":[{"within":null}]}"#] {
            assert!(read(broken).is_none(), "{broken}");
        }
    }
}
