//! Uri parameters (R4 search.html#uri): compared exactly, or along the path with `:above` and `:below`.

use anamnesis_fhir::search::Extracted;

use super::Modifier;
use super::atom::{Atom, Criterion, Yield};
use super::entries::Entries;
use super::key::{Class, ParameterKey};
use super::value::{Asked, Refusal, unescape};

/// Profiles stand on a great part of all resources and are not searched along their paths.
const WITHOUT_PATHS: &str = "_profile";

/// Adds what a value is found by.
pub(super) fn index(key: &ParameterKey, code: &str, extracted: Extracted<'_>, entries: &mut Entries) {
    let Some(uri) = extracted.value.as_str() else { return };
    entries.token(key, Class::Uri, &[&uri]);
    if extracted.fhir_type == "canonical"
        && let Some((without_version, _)) = uri.rsplit_once('|')
    {
        entries.token(key, Class::Uri, &[without_version]);
    }
    if code != WITHOUT_PATHS {
        above(&uri).for_each(|uri| entries.token(key, Class::UriBelow, &[uri]));
    }
}

/// What a query asks: the uri itself, or with `:below` those that continue its path, with `:above` those whose path
/// it continues.
pub(super) fn criterion(asked: &Asked<'_>) -> Result<Criterion, Refusal> {
    let with_paths = asked.parameter.code() != WITHOUT_PATHS;
    let mut atoms = Vec::new();
    for value in asked.values {
        let value = unescape(value);
        match asked.modifier {
            Modifier::None => atoms.push(Atom::Token(asked.key.of(Class::Uri, &[&value]))),
            Modifier::Below if with_paths => {
                let value = value.trim_end_matches('/');
                atoms.push(Atom::Token(asked.key.of(Class::UriBelow, &[value])));
            }
            Modifier::Above if with_paths => {
                let of = |uri| Atom::Token(asked.key.of(Class::Uri, &[uri]));
                atoms.extend(above(&value).map(of));
            }
            _ => return Err(asked.unsupported_modifier()),
        }
    }
    Ok(Criterion::any(atoms, Yield::Many))
}

/// The uri and what is above it along its path: `http://a/b/c`, `http://a/b`, `http://a`.
fn above(uri: &str) -> impl Iterator<Item = &str> {
    let uri = uri.trim_end_matches('/');
    let root = uri.find("://").map_or(0, |at| at + 3);
    let next = move |longer: &&'_ str| {
        let end = longer.get(root..)?.rfind('/')?;
        uri.get(..root + end)
    };
    std::iter::successors(Some(uri), next)
}

#[cfg(test)]
mod tests {
    #[test]
    fn paths_end_at_the_host() {
        let above: Vec<&str> = super::above("http://a.org/b/c/").collect();
        assert_eq!(above, ["http://a.org/b/c", "http://a.org/b", "http://a.org"]);
        assert_eq!(super::above("urn:oid:1.2").collect::<Vec<_>>(), ["urn:oid:1.2"]);
    }
}
