//! `_include` and `_revinclude`: what comes with the matches of a search (R4 search.html#include), as questions to the
//! index.
//!
//! Both ways end in the same question, which resources have one of these tokens: what a resource points at is found by the
//! tokens of its id, what points at a resource by the tokens of the references. So both show the resources as of the
//! same position, and what a client may not see can be kept out in one place, see [`super::SearchIndex::draw`]. Only the
//! versions that references name are not in the index: they come from the log, see [`Wanted::versions`].

mod token;

use std::collections::{BTreeSet, HashSet};

use anamnesis_events::{ResourceKey, Version};
use anamnesis_fhir::definitions;
use anamnesis_fhir::json::{Document, Limits, Value};
use anamnesis_fhir::references::each_reference;
use anamnesis_fhir::search::{Extracted, SearchParameter, SearchParameterKind};

use super::key::{ParameterKey, type_number};
use super::query::Catalogue;
use super::reference::{relative_to, without_history};
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

/// What the includes of a search ask the index for, collected from the resources that have been found so far. Always in
/// the same order for the same resources.
#[derive(Debug, Default)]
pub struct Wanted {
    pub(crate) groups: Vec<Group>,
    known: HashSet<(Of, i64)>,
    versions: Vec<(ResourceKey, Version)>,
    known_versions: HashSet<(ResourceKey, Version)>,
}

/// Tokens that are looked for over the same types.
#[derive(Debug)]
pub(crate) struct Group {
    of: Of,
    /// Type numbers of what is looked for.
    pub(crate) kinds: BTreeSet<i32>,
    /// A resource that has one of them is wanted; in the order of the resources that they come from, each once.
    pub(crate) tokens: Vec<i64>,
}

/// Over which types a token is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Of {
    /// Over its own: it is in rows of one type only.
    Own,
    /// Over the type with this number.
    Kind(i32),
    /// Over all of them.
    All,
}

impl Wanted {
    /// The versions of resources that are wanted and no other versions of them, each once: R4 would have those that
    /// references name (search.html#versions).
    #[must_use]
    pub fn versions(&self) -> &[(ResourceKey, Version)] {
        &self.versions
    }

    fn add(&mut self, of: Of, kinds: impl IntoIterator<Item = i32>, token: i64) {
        if !self.known.insert((of, token)) {
            return;
        }
        let at = self.groups.iter().position(|group| group.of == of).unwrap_or(self.groups.len());
        if at == self.groups.len() {
            self.groups.push(Group { of, kinds: BTreeSet::new(), tokens: Vec::new() });
        }
        if let Some(group) = self.groups.get_mut(at) {
            group.kinds.extend(kinds);
            group.tokens.push(token);
        }
    }
}

/// The canonical addresses of a resource, without its version and with it. Of other resources nothing is read.
fn addresses(resource_type: &str, body: &[u8]) -> Vec<String> {
    let has_address =
        definitions::r4().structure(resource_type).is_some_and(|one| one.element("url").is_some());
    let document = has_address.then(|| Document::parse(body, &Limits::default()).ok()).flatten();
    let text = |name| document.as_ref()?.root().get(name)?.as_str().map(|text| text.into_owned());
    let Some(url) = text("url") else { return Vec::new() };
    let with_version = text("version").map(|version| format!("{url}|{version}"));
    [url].into_iter().chain(with_version).collect()
}

/// A resource that includes start from.
#[derive(Debug, Clone, Copy)]
pub struct Followed<'a> {
    /// Its type.
    pub resource_type: &'a str,
    /// Its type and id. Of a contained one those of its container, with its own id behind a `#`.
    pub key: &'a ResourceKey,
    /// The resource as JSON.
    pub body: &'a [u8],
}

impl Followed<'_> {
    /// Whether another resource contains it. No id of a resource that stands for itself has a `#` in it.
    fn is_contained(&self) -> bool {
        self.key.id.contains('#')
    }
}

/// What is needed to turn includes into tokens.
pub(crate) struct Follower<'a> {
    pub(crate) catalogue: &'a Catalogue,
    pub(crate) log: i16,
    /// The address under which this server knows its resources.
    pub(crate) base_url: Option<&'a str>,
}

impl Follower<'_> {
    /// Adds what the includes draw in because of a resource. A body that is no JSON draws nothing in.
    pub(crate) fn follow<'i>(
        &self,
        includes: impl Iterator<Item = &'i Include> + Clone,
        followed: &Followed<'_>,
        wanted: &mut Wanted,
    ) {
        let Followed { resource_type, key, body } = *followed;
        let is_forward = |include: &&Include| !include.reverse && include.is_from(resource_type);
        let mut forward = includes.clone().filter(is_forward).peekable();
        if forward.peek().is_some()
            && let Ok(document) = Document::parse(body, &Limits::default())
        {
            for include in forward {
                if include.code.is_none() {
                    each_reference(document.root(), resource_type, &mut |reference| {
                        self.to_address(include, &reference, wanted);
                    });
                }
                let parameters = self.catalogue.parameters(resource_type);
                for parameter in parameters.filter(|parameter| include.is_by(parameter)) {
                    parameter
                        .extract_each(document.root(), |found| self.to(include, parameter, &found, wanted));
                }
            }
        }
        let is_reverse = |include: &&Include| include.reverse && include.is_to(resource_type);
        let mut reverse = includes.filter(is_reverse).peekable();
        if reverse.peek().is_none() {
            return;
        }
        // Of a contained resource this is what its container refers to by `#id`, see `Target::contained`.
        let itself = Target::resource(self.log, &key.resource_type, &key.id);
        // Whoever names a canonical address means what stands for itself.
        let addresses = if followed.is_contained() { Vec::new() } else { addresses(resource_type, body) };
        for include in reverse {
            self.from(include, itself, itself.target(), wanted);
            for address in &addresses {
                let target = Target::of(self.log, address);
                self.from(include, target, target.target_address(), wanted);
            }
        }
    }

    /// What a reference or a canonical address points at.
    fn to(&self, include: &Include, parameter: &SearchParameter, found: &Extracted<'_>, wanted: &mut Wanted) {
        if let Some(address) = found.value.as_str() {
            let own = Target::of(self.log, &address).own_address();
            for kind in
                parameter.targets().iter().filter(|name| include.is_to(name)).map(|name| type_number(name))
            {
                wanted.add(Of::Kind(kind), [kind], own);
            }
            return;
        }
        if let Some(reference) = found.value.get("reference").and_then(Value::as_str) {
            self.to_address(include, &reference, wanted);
        }
    }

    fn to_address(&self, include: &Include, reference: &str, wanted: &mut Wanted) {
        let reference = self.base_url.map_or(reference, |base| relative_to(base, reference));
        let resource = without_history(reference);
        let Some((name, id)) = resource.split_once('/') else { return };
        if !include.is_to(name) || !definitions::r4().resource_types().contains(&name) {
            return;
        }
        if resource.len() < reference.len() {
            // Versions are numbers; one of another name is not there.
            let number = reference.rsplit('/').next().and_then(|number| number.parse().ok());
            let version = number.map(|number| (ResourceKey::new(name, id), Version::new(number)));
            wanted.versions.extend(version.filter(|version| wanted.known_versions.insert(version.clone())));
        } else {
            wanted.add(Of::Own, [type_number(name)], Target::resource(self.log, name, id).own());
        }
    }

    /// What points at a resource, by its id or an address: by a parameter, or by anything.
    fn from(&self, include: &Include, target: Target, by_anything: i64, wanted: &mut Wanted) {
        let all = definitions::r4().resource_types();
        match (&include.source, &include.code) {
            (Some(source), Some(code)) => {
                let parameter = ParameterKey::new(self.log, source, code).references();
                wanted.add(Of::Own, [type_number(source)], target.referred_by(parameter));
            }
            (Some(source), None) => {
                let kind = type_number(source);
                wanted.add(Of::Kind(kind), [kind], by_anything);
            }
            (None, _) => wanted.add(Of::All, all.iter().map(|name| type_number(name)), by_anything),
        }
    }
}
