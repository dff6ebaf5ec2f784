//! `_include` and `_revinclude`: what comes with the matches of a search (R4 search.html#include), as questions to the
//! index.
//!
//! Both ways end in the same question, which resources have one of these tokens: what a resource points at is found by the
//! tokens of its id, what points at a resource by the tokens of the references. So both show the resources as of the
//! same position, and what a client may not see can be kept out in one place, see [`super::SearchIndex::draw`].

mod token;

use std::collections::{BTreeSet, HashSet};

use anamnesis_events::ResourceKey;
use anamnesis_fhir::definitions;
use anamnesis_fhir::json::{Document, Limits, Value};
use anamnesis_fhir::search::{Extracted, SearchParameter, SearchParameterKind, SearchRegistry};

use super::key::{ParameterKey, type_number};
use super::reference::{relative_to, target_token, without_history};
use super::target::Target;
pub use token::IncludesToken;

/// The most included resources with one page; `_includesCount` asks for fewer.
pub const INCLUDES_COUNT_MAX: usize = 1000;
/// The parameter that carries an [`IncludesToken`]; the name that Azure Health Data Services uses.
pub const INCLUDES_PARAMETER: &str = "includesCt";

/// One `_include` or `_revinclude`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Include {
    /// `_revinclude`: what points at a resource, and not what it points at.
    pub(crate) reverse: bool,
    /// `:iterate`: of what was included, too.
    pub(crate) iterate: bool,
    /// The type that has the references; `None` for any.
    pub(crate) source: Option<String>,
    /// The search parameter whose references are followed; `None` for all of them.
    pub(crate) code: Option<String>,
    /// The type that is pointed at; `None` for any.
    pub(crate) target: Option<String>,
}

impl Include {
    /// Whether it is about what was included as well, and so on.
    #[must_use]
    pub fn iterates(&self) -> bool {
        self.iterate
    }

    fn is_from(&self, resource_type: &str) -> bool {
        self.source.as_deref().is_none_or(|source| source == resource_type)
    }

    fn is_to(&self, resource_type: &str) -> bool {
        self.target.as_deref().is_none_or(|target| target == resource_type)
    }

    fn is_by(&self, parameter: &SearchParameter) -> bool {
        is_followed(parameter) && self.code.as_deref().is_none_or(|code| code == parameter.code())
    }
}

/// Whether includes can follow a parameter.
pub(crate) fn is_followed(parameter: &SearchParameter) -> bool {
    parameter.kind() == SearchParameterKind::Reference && parameter.has_expression()
}

/// What the includes of a search ask the index for, collected from the resources that have been found so far.
#[derive(Debug, Default)]
pub struct Wanted {
    /// Type numbers of what is looked for.
    pub(crate) kinds: BTreeSet<i32>,
    /// A resource that has one of them is wanted; in the order of the resources that they come from, each once.
    pub(crate) tokens: Vec<i64>,
    known: HashSet<i64>,
}

impl Wanted {
    fn add(&mut self, resource_type: &str, token: i64) {
        self.kinds.insert(type_number(resource_type));
        if self.known.insert(token) {
            self.tokens.push(token);
        }
    }
}

/// What is needed to turn includes into tokens.
pub(crate) struct Follower<'a> {
    pub(crate) registry: &'a SearchRegistry,
    pub(crate) log: i16,
    /// The address under which this server knows its resources.
    pub(crate) base_url: Option<&'a str>,
}

impl Follower<'_> {
    /// Adds what the includes draw in because of a resource. A body that is no JSON draws nothing in.
    pub(crate) fn follow<'i>(
        &self,
        includes: impl Iterator<Item = &'i Include> + Clone,
        key: &ResourceKey,
        body: &[u8],
        wanted: &mut Wanted,
    ) {
        let is_forward = |include: &&Include| !include.reverse && include.is_from(&key.resource_type);
        let mut forward = includes.clone().filter(is_forward).peekable();
        if forward.peek().is_some()
            && let Ok(document) = Document::parse(body, &Limits::default())
        {
            for include in forward {
                let parameters = self.registry.parameters(&key.resource_type).iter();
                for parameter in parameters.filter(|parameter| include.is_by(parameter)) {
                    parameter
                        .extract_each(document.root(), |found| self.to(include, parameter, &found, wanted));
                }
            }
        }
        for include in includes.filter(|include| include.reverse && include.is_to(&key.resource_type)) {
            self.from(include, key, wanted);
        }
    }

    /// What a reference or a canonical address points at.
    fn to(&self, include: &Include, parameter: &SearchParameter, found: &Extracted<'_>, wanted: &mut Wanted) {
        if let Some(address) = found.value.as_str() {
            let own = Target::of(self.log, &address).own_address();
            for name in parameter.targets().iter().filter(|name| include.is_to(name)) {
                wanted.add(name, own);
            }
            return;
        }
        let Some(reference) = found.value.get("reference").and_then(Value::as_str) else { return };
        let reference = self.base_url.map_or(&*reference, |base| relative_to(base, &reference));
        let Some((name, id)) = without_history(reference).split_once('/') else { return };
        if include.is_to(name) && definitions::r4().resource_types().contains(&name) {
            wanted.add(name, Target::resource(self.log, name, id).own());
        }
    }

    /// What points at a resource.
    fn from(&self, include: &Include, key: &ResourceKey, wanted: &mut Wanted) {
        let all = definitions::r4().resource_types();
        for source in all.iter().filter(|name| include.is_from(name)) {
            let may_point = |parameter: &SearchParameter| {
                let targets = parameter.targets();
                targets.is_empty() || targets.iter().any(|target| **target == *key.resource_type)
            };
            let parameters = self.registry.parameters(source).iter();
            for parameter in parameters.filter(|parameter| include.is_by(parameter) && may_point(parameter)) {
                let of_parameter = ParameterKey::new(self.log, source, parameter.code());
                wanted.add(source, target_token(&of_parameter, &key.resource_type, &key.id));
            }
        }
    }
}
