//! Two search parameters with one name: which of them say the same, and which must not both be there.

use std::sync::Arc;

use super::{FaultKind, Faults};
use crate::definitions::r4;
use crate::search::registry::is_for;
use crate::search::{ParameterDefinition, SearchRegistry};

/// What the known parameters leave to a new one.
pub(super) enum Outcome {
    /// Nothing: they serve all that it asks for.
    Served {
        /// The first of them.
        by: String,
    },
    /// These bases.
    New { bases: Vec<String> },
}

/// Whether a definition under the address of a known one says what that one says.
pub(super) fn is_same(new: &ParameterDefinition, known: &ParameterDefinition) -> bool {
    let sorted = |bases: &[String]| {
        let mut bases = bases.to_vec();
        bases.sort_unstable();
        bases
    };
    new.code == known.code
        && new.kind == known.kind
        && sorted(&new.bases) == sorted(&known.bases)
        && plain(new.expression.as_deref()) == plain(known.expression.as_deref())
}

/// What to say of a definition that does not.
pub(super) fn other_content(known: &ParameterDefinition) -> String {
    format!(
        "The address is that of the known search parameter {} of type {}, which says something else: take an address of your own.",
        known.code,
        known.kind.code()
    )
}

/// Looks for known parameters with the code of the new one: for each type that has one it must say the same, or be what
/// the new one is derived from.
pub(super) fn check(
    new: &ParameterDefinition,
    derived_from: Option<&str>,
    known: &SearchRegistry,
    faults: &mut Faults,
) -> Outcome {
    let same_code: Vec<&Arc<ParameterDefinition>> =
        known.definitions().iter().filter(|one| one.code == new.code && one.url != new.url).collect();
    let bases = || Outcome::New { bases: new.bases.clone() };
    if same_code.is_empty() {
        return bases();
    }
    let shared = Arc::new(new.clone());
    let (mut free, mut served_by) = (Vec::new(), None);
    for name in r4().resource_types().iter().filter(|name| is_for(new, name)) {
        let Some(other) = same_code.iter().find(|other| is_for(other, name)) else {
            free.push((*name).to_owned());
            continue;
        };
        let is_derived = derived_from == Some(other.url.as_str());
        if other.kind == new.kind && (is_derived || finds_the_same(&shared, other, known, name)) {
            served_by.get_or_insert_with(|| other.url.clone());
        } else {
            faults.add(FaultKind::Taken, "code", taken(new, other, name));
        }
    }
    match served_by {
        Some(by) if free.is_empty() => Outcome::Served { by },
        Some(_) => Outcome::New { bases: free },
        None => bases(),
    }
}

fn taken(new: &ParameterDefinition, other: &ParameterDefinition, name: &str) -> String {
    format!(
        "The code {} is that of another search parameter for {name}, {} of type {}: take another code, or say the same as that one or derivedFrom it.",
        new.code,
        other.url,
        other.kind.code()
    )
}

/// Whether two definitions find the same in resources of a type: compiled they are alike, or they are written alike.
fn finds_the_same(
    one: &Arc<ParameterDefinition>,
    other: &Arc<ParameterDefinition>,
    known: &SearchRegistry,
    name: &str,
) -> bool {
    if one.components.is_empty() != other.components.is_empty() {
        return false;
    }
    if !one.components.is_empty() {
        return plain(one.expression.as_deref()) == plain(other.expression.as_deref())
            && one.components == other.components;
    }
    let ways = |definition| known.compiled(definition, name).ok().and_then(|compiled| compiled.ways());
    match (ways(one), ways(other)) {
        (Some(one), Some(other)) => one == other,
        _ => plain(one.expression.as_deref()) == plain(other.expression.as_deref()),
    }
}

/// An expression without the white space that says nothing.
fn plain(expression: Option<&str>) -> Option<String> {
    expression.map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "))
}
