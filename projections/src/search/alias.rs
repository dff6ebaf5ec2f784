//! Parameters that are nothing but others together: `combo-code` is `code` or `component-code`.
//!
//! They are not indexed; a query for one asks for the others. On an Observation this saves a sixth of the index.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, LazyLock};

use anamnesis_fhir::definitions;
use anamnesis_fhir::search::{SearchParameter, SearchParameterKind, SearchRegistry};

/// For each resource type the parameters that stand for others, by code.
#[derive(Debug, Clone, Default)]
pub(crate) struct Aliases(Arc<HashMap<&'static str, HashMap<String, Vec<String>>>>);

impl Aliases {
    /// Those among R4's own parameters. Custom ones neither stand for others nor are they stood for: R4's are indexed in
    /// the same way whatever else is.
    pub(crate) fn r4() -> Self {
        static ALIASES: LazyLock<Aliases> = LazyLock::new(|| Aliases::of(SearchRegistry::r4()));
        ALIASES.clone()
    }

    fn of(registry: &SearchRegistry) -> Self {
        let types = definitions::r4().resource_types().iter();
        let of_type = |name: &&'static str| (*name, aliases(name, registry.parameters(name)));
        Self(Arc::new(types.map(of_type).filter(|(_, aliases)| !aliases.is_empty()).collect()))
    }

    /// The parameters that this one stands for; `None` for one that is indexed itself.
    pub(crate) fn get(&self, resource_type: &str, code: &str) -> Option<&[String]> {
        self.0.get(resource_type)?.get(code).map(Vec::as_slice)
    }
}

fn aliases(resource_type: &str, parameters: &[Arc<SearchParameter>]) -> HashMap<String, Vec<String>> {
    let paths: Vec<_> =
        parameters.iter().map(|parameter| (parameter, paths(resource_type, parameter))).collect();
    let mut aliases = HashMap::new();
    for (parameter, wanted) in &paths {
        // What is compared by one place alone can stand for nothing else.
        if wanted.len() < 2 || !is_plain(parameter.kind()) {
            continue;
        }
        let parts = || {
            paths.iter().filter(|(part, of_part)| {
                let is_part =
                    !of_part.is_empty() && of_part.len() < wanted.len() && of_part.is_subset(wanted);
                is_part && part.kind() == parameter.kind() && has_same_parts(part, parameter)
            })
        };
        let covered: BTreeSet<&str> = parts().flat_map(|(_, of_part)| of_part.iter().copied()).collect();
        if covered == *wanted {
            let codes = parts().map(|(part, _)| part.code().to_owned()).collect();
            aliases.insert(parameter.code().to_owned(), codes);
        }
    }
    aliases
}

/// The kinds whose values are compared without regard to what else the parameter is: strings are sorted by, and
/// references depend on the targets.
fn is_plain(kind: SearchParameterKind) -> bool {
    matches!(
        kind,
        SearchParameterKind::Token | SearchParameterKind::Quantity | SearchParameterKind::Composite
    )
}

/// Whether two composites have the same parts of their elements. Other parameters have none.
fn has_same_parts(one: &SearchParameter, other: &SearchParameter) -> bool {
    let expressions = |of: &SearchParameter| -> Vec<String> {
        of.definition().components.iter().map(|(_, expression)| expression.clone()).collect()
    };
    expressions(one) == expressions(other)
}

/// The places of a type that an expression joins by `|`; the type's name stands for the whole resource. Empty where it is
/// more than a union.
pub(super) fn paths<'a>(resource_type: &str, parameter: &'a SearchParameter) -> BTreeSet<&'a str> {
    let Some(expression) = parameter.definition().expression.as_deref() else { return BTreeSet::new() };
    let mut depth = 0_i32;
    let at_top = |character: char| {
        depth += i32::from(character == '(') - i32::from(character == ')');
        character == '|' && depth == 0
    };
    let of_type = |path: &&str| {
        let path = path.trim_start_matches('(');
        path.strip_prefix(resource_type).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    expression.split(at_top).map(str::trim).filter(of_type).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn combinations_stand_for_their_parts() {
        let aliases = Aliases::r4();
        let parts = |code| aliases.get("Observation", code).map(<[String]>::to_vec).unwrap_or_default();
        assert_eq!(parts("combo-code"), ["code", "component-code"]);
        assert_eq!(parts("combo-value-quantity"), ["component-value-quantity", "value-quantity"]);
        assert_eq!(parts("combo-value-concept"), ["component-value-concept", "value-concept"]);
        assert_eq!(
            parts("combo-code-value-quantity"),
            ["code-value-quantity", "component-code-value-quantity"]
        );
        assert!(parts("code").is_empty() && parts("patient").is_empty());
    }

    #[test]
    fn no_part_stands_for_others_itself() {
        let aliases = Aliases::r4();
        for (resource_type, of_type) in aliases.0.iter() {
            for (code, parts) in of_type {
                let nested: Vec<_> = parts.iter().filter(|part| of_type.contains_key(*part)).collect();
                assert!(nested.is_empty(), "{resource_type}.{code}: {nested:?}");
            }
        }
    }
}
