//! From a resource to what it is found by: every search parameter's values, each to the file of its type.

use std::collections::HashMap;

use anamnesis_fhir::definitions;
use anamnesis_fhir::json::{Document, Limits, Value};
use anamnesis_fhir::search::{Extracted, SearchParameter, SearchParameterKind, SearchRegistry};

use super::alias::Aliases;
use super::contained::{self, Contained, Whole};
use super::entries::{Entries, SpanEntry};
use super::full_text::WordKeys;
use super::key::{Class, ParameterKey};
use super::parameters::CustomParameters;
use super::span::Span;
use super::target::Target;
use super::{composite, date, near, number, quantity, reference, special, string, token, uri};
use crate::Poison;

/// Parameters that are indexed with every resource.
const SPECIAL: [&str; 2] = ["_id", "_lastUpdated"];

/// Knows the keys of all parameters of a log that are indexed.
#[derive(Debug)]
pub(crate) struct Extractor {
    registry: SearchRegistry,
    log: i16,
    types: HashMap<&'static str, TypeKeys>,
    has_full_text: bool,
}

/// The parameters of a type that are indexed.
#[derive(Debug, Default)]
struct TypeKeys {
    keys: HashMap<String, Known>,
    /// For each parameter that nearly every resource has a value for: the token of one that has none.
    absent: Vec<i64>,
}

#[derive(Debug)]
struct Known {
    key: ParameterKey,
    /// Its place in [`TypeKeys::absent`].
    usual: Option<usize>,
    /// It puts resources of the type into a compartment.
    is_of_compartments: bool,
}

impl TypeKeys {
    fn add(&mut self, resource_type: &str, parameter: &SearchParameter, key: ParameterKey) {
        let usual = special::is_usual(parameter).then_some(self.absent.len());
        self.absent.extend(usual.map(|_| key.of(Class::Absent, &[])));
        let is_of_compartments = definitions::r4().compartments().iter().any(|compartment| {
            compartment.parameters(resource_type).is_some_and(|codes| codes.contains(&parameter.code()))
        });
        self.keys.insert(parameter.code().to_owned(), Known { key, usual, is_of_compartments });
    }
}

impl Extractor {
    /// What a version that is made from these takes resources apart with.
    pub(crate) fn of(parameters: &CustomParameters, log: i16) -> Self {
        Self::new(parameters.registry().clone(), log).with_full_text(parameters.has_full_text())
    }

    pub(crate) fn new(registry: SearchRegistry, log: i16) -> Self {
        let aliases = Aliases::r4();
        let mut types = HashMap::new();
        for name in definitions::r4().resource_types() {
            let of_type: &mut TypeKeys = types.entry(*name).or_default();
            let indexed = registry.parameters(name).iter();
            for parameter in indexed.filter(|parameter| aliases.get(name, parameter.code()).is_none()) {
                of_type.add(name, parameter, ParameterKey::new(log, name, parameter.code()));
            }
        }
        Self { registry, log, types, has_full_text: false }
    }

    /// With the words of texts, or without them as it is made.
    pub(crate) fn with_full_text(self, has_full_text: bool) -> Self {
        Self { has_full_text, ..self }
    }

    /// What the resource is found by, and the resources in it.
    ///
    /// # Errors
    /// [`Poison`] where the payload is no resource of the type.
    pub(crate) fn whole(&self, resource_type: &str, id: &str, payload: &[u8]) -> Result<Whole, Poison> {
        let document = document(resource_type, payload)?;
        let root = document.root();
        let known = self.known(resource_type)?;
        let container = format!("{resource_type}/{id}");
        let mut entries = Entries { container: container.clone(), ..Entries::default() };
        reference::index_targets(self.log, resource_type, id, root, &mut entries);
        let mut membership = Vec::new();
        self.index_all(known, (resource_type, root), &mut entries, &mut membership);
        let contained = root.get("contained").map_or_else(Vec::new, |_| {
            membership.push(Target::resource(self.log, resource_type, id).own());
            self.contained(&container, root, membership)
        });
        Ok(Whole { entries, contained })
    }

    /// What puts the resource into compartments, and its own key; of what else it is found by, nothing.
    ///
    /// # Errors
    /// As [`Self::whole`].
    pub(crate) fn placed(&self, resource_type: &str, id: &str, payload: &[u8]) -> Result<Entries, Poison> {
        let document = document(resource_type, payload)?;
        let known = self.known(resource_type)?;
        let container = format!("{resource_type}/{id}");
        let mut entries = Entries { container, ..Entries::default() };
        entries.tokens.push(Target::resource(self.log, resource_type, id).own());
        for (code, Known { key, .. }) in known.keys.iter().filter(|(_, known)| known.is_of_compartments) {
            let Some(parameter) = self.registry.get(resource_type, code) else { continue };
            parameter.extract_each(document.root(), |extracted| {
                index(key, parameter, (document.root(), extracted), &mut entries);
            });
        }
        entries.finish();
        Ok(entries)
    }

    fn known(&self, resource_type: &str) -> Result<&TypeKeys, Poison> {
        let known = self.types.get(resource_type);
        known.ok_or_else(|| Poison::new(format!("{resource_type} is no resource type of R4")))
    }

    /// What the contained resources are found by, whose container is in compartments by these tokens.
    fn contained(&self, container: &str, root: Value<'_>, membership: Vec<i64>) -> Vec<Contained> {
        let mut all = Vec::new();
        let (membership, indexed_max) = contained::membership(membership);
        for (place, resource_type, id, value) in contained::each_in(root).take(indexed_max) {
            let Some(known) = self.types.get(resource_type) else { continue };
            let mut entries = Entries { container: container.to_owned(), ..Entries::default() };
            contained::index(self.log, (resource_type, &id), &membership, &mut entries);
            reference::index_references(self.log, resource_type, value, &mut entries);
            self.index_all(known, (resource_type, value), &mut entries, &mut Vec::new());
            all.push(Contained { place, resource_type, name: format!("{id}#{container}"), entries });
        }
        all
    }

    /// Adds what the parameters of the type give, and tells the tokens by which the resource is in compartments.
    fn index_all(
        &self,
        known: &TypeKeys,
        (resource_type, root): (&str, Value<'_>),
        entries: &mut Entries,
        membership: &mut Vec<i64>,
    ) {
        let mut is_there = vec![false; known.absent.len()];
        self.registry.extract_all(resource_type, root, |parameter, extracted| {
            let Some(Known { key, usual, is_of_compartments }) = known.keys.get(parameter.code()) else {
                return;
            };
            let before = entries.tokens.len();
            index(key, parameter, (root, extracted), entries);
            if *is_of_compartments {
                membership.extend(entries.tokens.iter().skip(before));
            }
            match usual.and_then(|at| is_there.get_mut(at)) {
                Some(is_there) => *is_there = true,
                None if has_presence(parameter) => entries.token(key, Class::Present, &[]),
                None => {}
            }
        });
        let absent = known.absent.iter().zip(is_there).filter(|(_, is_there)| !is_there);
        entries.tokens.extend(absent.map(|(token, _)| *token));
        if self.has_full_text {
            WordKeys::new(self.log, resource_type).index(resource_type, root, entries);
        }
        entries.finish();
    }
}

/// The payload of a resource of this type, parsed.
fn document(resource_type: &str, payload: &[u8]) -> Result<Document, Poison> {
    let document =
        Document::parse(payload, &Limits::default()).map_err(|error| Poison::new(error.to_string()))?;
    let named = document.root().get("resourceType").and_then(|name| name.as_str());
    match named.as_deref() == Some(resource_type) {
        true => Ok(document),
        false => Err(Poison::new(format!("the payload is no {resource_type}"))),
    }
}

/// Whether a token says that there is a value; of the others spans do.
fn has_presence(parameter: &SearchParameter) -> bool {
    use SearchParameterKind as Kind;
    let has_token = matches!(parameter.kind(), Kind::Token | Kind::Reference | Kind::String | Kind::Uri);
    has_token && !SPECIAL.contains(&parameter.code())
}

fn index(
    key: &ParameterKey,
    parameter: &SearchParameter,
    (root, extracted): (Value<'_>, Extracted<'_>),
    entries: &mut Entries,
) {
    if SPECIAL.contains(&parameter.code()) {
        return;
    }
    let before = entries.spans.len();
    match parameter.kind() {
        SearchParameterKind::Date => date::index(key, extracted, entries),
        SearchParameterKind::Number => number::index(key, extracted, entries),
        SearchParameterKind::Quantity => quantity::index(key, extracted, entries),
        SearchParameterKind::Token => token::index(key, parameter, extracted, entries),
        SearchParameterKind::Reference => reference::index(key, extracted, entries),
        SearchParameterKind::String => string::index(key, extracted, entries),
        SearchParameterKind::Uri => uri::index(key, parameter.code(), extracted, entries),
        SearchParameterKind::Composite => composite::index(key, parameter, root, extracted.value, entries),
        SearchParameterKind::Special if parameter.code() == near::CODE => {
            near::index(key, extracted, entries)
        }
        SearchParameterKind::Special => {}
    }
    let family = match parameter.kind() {
        SearchParameterKind::Date => date::family(key),
        SearchParameterKind::Quantity => quantity::family(key),
        _ => return,
    };
    let added = entries.spans.iter().skip(before).filter(|span| span.key == family.key);
    let of_span = |span: &SpanEntry| {
        let scale = family.scale?;
        Some(scale.of_span(family.key, Span { low: span.low, high: span.high }))
    };
    entries.tokens.extend(added.filter_map(of_span));
}
