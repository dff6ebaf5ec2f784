//! All search parameters of a server, by resource type and code.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, LazyLock, OnceLock};

use super::compile::{Compiler, Place};
use super::general::Finder;
use super::walker::Walker;
use super::{Component, Extracted, ParameterDefinition, SearchParameter, SearchParameterError};
use crate::definitions::{Structure, r4};
use crate::fhirpath::Expression;
use crate::json::Value;

/// The search parameters that a server knows. Cheap to clone; never changed, only extended into a new one.
#[derive(Clone)]
pub struct SearchRegistry(Arc<Inner>);

impl std::fmt::Debug for SearchRegistry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SearchRegistry")
            .field("parameters", &self.0.definitions.len())
            .finish_non_exhaustive()
    }
}

struct Inner {
    definitions: Vec<Arc<ParameterDefinition>>,
    by_url: HashMap<String, Arc<ParameterDefinition>>,
    /// Every resource type and the two abstract ones; compiled when first asked for.
    types: HashMap<&'static str, OnceLock<Arc<TypeEntry>>>,
}

/// The parameters of one resource type.
struct TypeEntry {
    structure: &'static Structure,
    /// Sorted by code.
    parameters: Vec<Arc<SearchParameter>>,
    /// Those of them that no walker can find.
    general: Vec<Arc<SearchParameter>>,
    /// The walker over all others; made when the first resource of the type comes.
    all: OnceLock<Walker>,
}

/// In a walker over one parameter the alternatives are asked for one by one, in the order of the expression; more
/// than this only a choice over all types of R4 has, and of a choice there is only one.
const ALTERNATIVES_MAX: usize = 8;
/// In a walker over all parameters an object with more wanted members than this is gone through once.
const MEMBERS_ASKED_MAX: usize = 2;

impl SearchRegistry {
    /// The search parameters of R4. Those of a resource type are compiled when first asked for, in about half a
    /// millisecond.
    ///
    /// The ten of the package that name no resource type belong to no type.
    #[must_use]
    pub fn r4() -> &'static SearchRegistry {
        static REGISTRY: LazyLock<SearchRegistry> = LazyLock::new(|| {
            let definitions =
                r4().search_parameters().iter().map(|row| Arc::new(corrected(row.into()))).collect();
            SearchRegistry::of(definitions)
        });
        &REGISTRY
    }

    /// This registry with more parameters. One with the address of a known one takes its place; one with the code
    /// of a known one is preferred to it. What was compiled of types that none of them is for is shared.
    ///
    /// # Errors
    /// [`SearchParameterError`] for the first that cannot be compiled.
    pub fn with_parameters(
        &self,
        added: impl IntoIterator<Item = ParameterDefinition>,
    ) -> Result<Self, SearchParameterError> {
        let added: Vec<Arc<ParameterDefinition>> = added.into_iter().map(Arc::new).collect();
        let is_kept = |known: &&Arc<ParameterDefinition>| added.iter().all(|new| new.url != known.url);
        let mut definitions: Vec<_> = self.0.definitions.iter().filter(is_kept).cloned().collect();
        definitions.extend(added.iter().cloned());
        let registry = Self::of(definitions);
        // Parts of composites are found by their addresses, whatever type they are for.
        if registry.0.definitions.len() == self.0.definitions.len() + added.len() {
            registry.share(self, &added);
        }
        registry.check(&added)?;
        Ok(registry)
    }

    /// The parameters of a resource type with those of `Resource` and `DomainResource`, sorted by code; of
    /// `Resource` those that every type has. Empty for an unknown type.
    #[must_use]
    pub fn parameters(&self, resource_type: &str) -> &[Arc<SearchParameter>] {
        self.entry(resource_type).map(|entry| entry.parameters.as_slice()).unwrap_or_default()
    }

    /// Finds a parameter of a resource type by its code.
    #[must_use]
    pub fn get(&self, resource_type: &str, code: &str) -> Option<&Arc<SearchParameter>> {
        let parameters = self.parameters(resource_type);
        let index = parameters.binary_search_by(|parameter| parameter.code().cmp(code)).ok()?;
        parameters.get(index)
    }

    /// Every definition of the registry, in the order in which they came.
    #[must_use]
    pub fn definitions(&self) -> &[Arc<ParameterDefinition>] {
        &self.0.definitions
    }

    /// The definition with this canonical address.
    #[must_use]
    pub fn by_url(&self, url: &str) -> Option<&Arc<ParameterDefinition>> {
        self.0.by_url.get(url)
    }

    /// This registry with a parameter that is known to compile.
    pub(super) fn with_checked(&self, added: ParameterDefinition) -> Self {
        let mut definitions = self.0.definitions.clone();
        definitions.push(Arc::new(added));
        Self::of(definitions)
    }

    /// A definition compiled for a type, whether or not it is one of this registry; of parts the parameters are.
    pub(super) fn compiled(
        &self,
        definition: &Arc<ParameterDefinition>,
        resource_type: &str,
    ) -> Result<SearchParameter, SearchParameterError> {
        let structure = r4().structure(resource_type).ok_or_else(|| SearchParameterError::UnknownBase {
            code: definition.code.clone(),
            resource_type: resource_type.to_owned(),
        })?;
        compile(structure, definition, &self.0.by_url)
    }

    /// Hands over the values of all parameters of a resource in one walk. Their order is that of the resource's
    /// text, not that of the parameters; the same value may come twice for a parameter.
    ///
    /// Of a composite come the elements that hold its parts, as [`SearchParameter::extract`] gives them.
    pub fn extract_all<'a>(
        &self,
        resource_type: &str,
        root: Value<'a>,
        mut each: impl FnMut(&Arc<SearchParameter>, Extracted<'a>),
    ) {
        let Some(entry) = self.entry(resource_type) else { return };
        entry.all.get_or_init(|| entry.walker_over_all()).walk(root, root, &mut |slot, extracted| {
            if let Some(parameter) = entry.parameters.get(slot as usize) {
                each(parameter, extracted);
            }
        });
        for parameter in &entry.general {
            parameter.extract_each(root, |extracted| each(parameter, extracted));
        }
    }

    fn of(definitions: Vec<Arc<ParameterDefinition>>) -> Self {
        let abstract_types = ["Resource", "DomainResource"];
        let names = r4().resource_types().iter().copied().chain(abstract_types);
        let by_url = definitions.iter().map(|definition| (definition.url.clone(), Arc::clone(definition)));
        Self(Arc::new(Inner {
            by_url: by_url.collect(),
            types: names.map(|name| (name, OnceLock::new())).collect(),
            definitions,
        }))
    }

    fn entry(&self, resource_type: &str) -> Option<&TypeEntry> {
        let (name, entry) = self.0.types.get_key_value(resource_type)?;
        let structure = r4().structure(name)?;
        Some(entry.get_or_init(|| match self.compile_type(structure) {
            Ok(entry) => Arc::new(entry),
            // Those of R4 are all compiled in the tests, others when they are added.
            Err(error) => unreachable!("a search parameter was not checked: {error}"),
        }))
    }

    /// Takes over what another registry has compiled of the types that none of the added parameters is for.
    fn share(&self, other: &Self, added: &[Arc<ParameterDefinition>]) {
        for (name, entry) in &self.0.types {
            let compiled = other.0.types.get(name).and_then(OnceLock::get);
            if let Some(compiled) = compiled.filter(|_| !added.iter().any(|new| is_for(new, name))) {
                let _first = entry.set(Arc::clone(compiled));
            }
        }
    }

    /// Compiles the types that added parameters are for, so that their faults are known at once.
    fn check(&self, added: &[Arc<ParameterDefinition>]) -> Result<(), SearchParameterError> {
        for definition in added {
            if let Some(base) = definition.bases.iter().find(|base| !self.0.types.contains_key(base.as_str()))
            {
                let (code, resource_type) = (definition.code.clone(), base.clone());
                return Err(SearchParameterError::UnknownBase { code, resource_type });
            }
        }
        for (name, entry) in &self.0.types {
            if let Some(structure) = r4().structure(name)
                && added.iter().any(|definition| is_for(definition, name))
            {
                let _first = entry.set(Arc::new(self.compile_type(structure)?));
            }
        }
        Ok(())
    }

    fn compile_type(&self, structure: &'static Structure) -> Result<TypeEntry, SearchParameterError> {
        let mut by_code: BTreeMap<&str, Arc<SearchParameter>> = BTreeMap::new();
        for definition in self.0.definitions.iter().filter(|definition| is_for(definition, structure.name)) {
            let parameter = compile(structure, definition, &self.0.by_url)?;
            by_code.insert(&definition.code, Arc::new(parameter));
        }
        let parameters: Vec<_> = by_code.into_values().collect();
        let is_general =
            |parameter: &&Arc<SearchParameter>| matches!(parameter.finder, Some(Finder::General(_)));
        let general = parameters.iter().filter(is_general).cloned().collect();
        Ok(TypeEntry { structure, parameters, general, all: OnceLock::new() })
    }
}

/// Puts right what R4 has published wrongly: the expressions of the two parts of `DocumentReference.relationship` are
/// exchanged, so that its reference would be read from a code and its code from a reference.
fn corrected(mut definition: ParameterDefinition) -> ParameterDefinition {
    if definition.url == "http://hl7.org/fhir/SearchParameter/DocumentReference-relationship"
        && let [(_, first), (_, second)] = definition.components.as_mut_slice()
    {
        std::mem::swap(first, second);
    }
    definition
}

/// Whether a definition is for a resource type, by its name or by one that stands for all.
pub(super) fn is_for(definition: &ParameterDefinition, resource_type: &str) -> bool {
    definition.bases.iter().any(|base| r4().is_a(resource_type, base))
}

impl TypeEntry {
    fn walker_over_all(&self) -> Walker {
        let mut walker = Walker::new();
        let mut compiler = Compiler::new(r4(), self.structure, &mut walker);
        let start = [compiler.start()];
        for (slot, parameter) in self.parameters.iter().enumerate() {
            let Ok(slot) = u32::try_from(slot) else { break };
            // What compiled alone compiles together.
            if let Some(Finder::Walker(_)) = parameter.finder
                && let Ok(Some(expression)) = parse(&parameter.definition)
            {
                let _places = compiler.add(&expression, &start, slot);
            }
        }
        walker.finish(MEMBERS_ASKED_MAX);
        walker
    }
}

fn parse(definition: &ParameterDefinition) -> Result<Option<Expression>, SearchParameterError> {
    let Some(text) = &definition.expression else { return Ok(None) };
    parse_text(definition, text).map(Some)
}

fn parse_text(definition: &ParameterDefinition, text: &str) -> Result<Expression, SearchParameterError> {
    Expression::parse(text).map_err(|error| SearchParameterError::Syntax {
        code: definition.code.clone(),
        reason: error.to_string(),
    })
}

/// Compiles a definition for one resource type.
fn compile(
    structure: &'static Structure,
    definition: &Arc<ParameterDefinition>,
    by_url: &HashMap<String, Arc<ParameterDefinition>>,
) -> Result<SearchParameter, SearchParameterError> {
    let failed = |reason: super::compile::Unsupported| SearchParameterError::Unsupported {
        code: definition.code.clone(),
        what: reason.0,
    };
    let mut parameter = SearchParameter {
        definition: Arc::clone(definition),
        resource_type: structure.name,
        finder: None,
        is_mandatory: false,
        is_primitive: false,
        fhir_types: Some(Vec::new()),
        components: Vec::new(),
    };
    let Some(expression) = parse(definition)? else { return Ok(parameter) };
    let mut walker = Walker::new();
    let mut compiler = Compiler::new(r4(), structure, &mut walker);
    let start = [compiler.start()];
    let places = match compiler.add(&expression, &start, 0) {
        Ok(places) => places,
        // The parts of a composite need the types of what the whole finds, which only a walker knows.
        Err(reason) if !definition.components.is_empty() => return Err(failed(reason)),
        Err(reason) => {
            parameter.finder = Some(Finder::general(expression).map_err(|_| failed(reason))?);
            parameter.fhir_types = None;
            return Ok(parameter);
        }
    };
    parameter.fhir_types = Some(compiler.types_at(&places));
    parameter.is_mandatory = places.iter().any(Place::is_mandatory);
    parameter.is_primitive = !places.is_empty() && places.iter().all(Place::is_primitive);
    for (url, part) in &definition.components {
        let Some(of_part) = by_url.get(url.as_str()) else {
            let (code, definition) = (definition.code.clone(), url.clone());
            return Err(SearchParameterError::UnknownComponent { code, definition });
        };
        let part = parse_text(definition, part)?;
        let mut walker = Walker::new();
        let mut compiler = Compiler::new(r4(), structure, &mut walker);
        let starts = compiler.component_starts(&places);
        let found = compiler.add(&part, &starts, 0).map_err(failed)?;
        let fhir_types = compiler.types_at(&found);
        walker.finish(ALTERNATIVES_MAX);
        parameter.components.push(Component { definition: Arc::clone(of_part), walker, fhir_types });
    }
    walker.finish(ALTERNATIVES_MAX);
    parameter.finder = (!walker.is_fruitless()).then_some(Finder::Walker(walker));
    Ok(parameter)
}
