//! Reads `_include` and `_revinclude` (R4 search.html#include).

use anamnesis_fhir::definitions;

use super::Catalogue;
use crate::search::include::{Include, is_followed};
use crate::search::value::Refusal;

/// Stands for all types, or for all parameters.
const ANY: &str = "*";

/// Whether a parameter's name, with whatever modifier, is one of the two.
pub(super) fn is_include(name: &str) -> bool {
    matches!(name.split_once(':').map_or(name, |(name, _)| name), "_include" | "_revinclude")
}

/// `*`, `Type:*`, `Type:parameter` and both with `:Target`; the name with `:iterate`, or `:recurse` as R4 called it
/// before.
pub(super) fn parse(catalogue: &Catalogue, name: &str, value: &str) -> Result<Include, Refusal> {
    let (name, modifier) =
        name.split_once(':').map_or((name, None), |(name, modifier)| (name, Some(modifier)));
    let iterate = match modifier {
        None => false,
        Some("iterate" | "recurse") => true,
        Some(_) => return Err(Refusal::Modifier("the only modifier is :iterate".to_owned())),
    };
    let parts: Vec<&str> = value.split(':').collect();
    let (source, code, target) = match *parts.as_slice() {
        [ANY] => (ANY, ANY, None),
        [source, code] | [source, code, ""] => (source, code, None),
        [source, code, target] => (source, code, Some(target)),
        _ => return Err(unsupported("the value is Type:parameter, Type:parameter:Target, Type:* or *")),
    };
    let is_type = |name: &str| definitions::r4().resource_types().contains(&name);
    if source != ANY && !is_type(source) {
        return Err(unsupported("the type before the colon is no resource type of R4"));
    }
    if target.is_some_and(|target| !is_type(target)) {
        return Err(unsupported("the type at the end is no resource type of R4"));
    }
    if code != ANY {
        let parameter = catalogue.get(source, code).filter(|parameter| is_followed(parameter));
        let parameter =
            parameter.ok_or_else(|| unsupported("it names no search parameter of type reference"))?;
        let targets = parameter.targets();
        if let Some(target) = target
            && !targets.is_empty()
            && !targets.iter().any(|known| known == target)
        {
            return Err(unsupported("the parameter does not point at the type at the end"));
        }
    }
    let named = |name: &str| (name != ANY).then(|| name.to_owned());
    let reverse = name == "_revinclude";
    Ok(Include {
        reverse,
        iterate,
        source: named(source),
        code: named(code),
        target: target.map(str::to_owned),
    })
}

fn unsupported(reason: &str) -> Refusal {
    Refusal::Unsupported(reason.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, value: &str) -> Result<Include, Refusal> {
        parse(&Catalogue::r4(), name, value)
    }

    #[test]
    fn all_forms_are_read() {
        let include = |reverse, iterate, source: &str, code: &str, target: &str| {
            let named = |name: &str| (!name.is_empty()).then(|| name.to_owned());
            Ok(Include { reverse, iterate, source: named(source), code: named(code), target: named(target) })
        };
        for (name, value, expected) in [
            ("_include", "Observation:subject", include(false, false, "Observation", "subject", "")),
            (
                "_include",
                "Observation:subject:Patient",
                include(false, false, "Observation", "subject", "Patient"),
            ),
            ("_include:iterate", "Organization:partof", include(false, true, "Organization", "partof", "")),
            ("_include:recurse", "Observation:*", include(false, true, "Observation", "", "")),
            ("_include", "*", include(false, false, "", "", "")),
            ("_revinclude", "*:*", include(true, false, "", "", "")),
            ("_revinclude", "Provenance:target", include(true, false, "Provenance", "target", "")),
        ] {
            assert_eq!(read(name, value), expected, "{name}={value}");
        }
    }

    #[test]
    fn what_names_nothing_is_not_supported() {
        for value in [
            "",
            "Observation",
            "Nothing:subject",
            "Observation:nothing",
            "Observation:code",
            "*:subject",
            "Observation:subject:Nothing",
            "Observation:subject:Medication",
            "a:b:c:d",
        ] {
            assert!(matches!(read("_include", value), Err(Refusal::Unsupported(_))), "{value}");
        }
        assert!(matches!(read("_include:exact", "*"), Err(Refusal::Modifier(_))));
    }
}
