//! All search parameters of a server, by resource type and code.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, LazyLock, OnceLock};

use super::compile::Compiler;
use super::walker::Walker;
use super::{Component, Extracted, ParameterDefinition, SearchParameter, SearchParameterError};
use crate::definitions::{Definitions, Structure, r4};
use crate::fhirpath::Expression;
use crate::json::Value;

/// The search parameters that a server knows. Cheap to clone; never changed, only extended into a new one.
#[derive(Debug, Clone)]
pub struct SearchRegistry(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    definitions: Vec<Arc<ParameterDefinition>>,
    types: HashMap<&'static str, TypeEntry>,
}

/// The parameters of one resource type.
#[derive(Debug)]
struct TypeEntry {
    structure: &'static Structure,
    /// Sorted by code.
    parameters: Vec<Arc<SearchParameter>>,
    /// The walker over all of them; made when the first resource of the type comes.
    all: OnceLock<Walker>,
}

/// In a walker over one parameter the alternatives are asked for one by one, in the order of the expression; more
/// than this only a choice over all types of R4 has, and of a choice there is only one.
const ALTERNATIVES_MAX: usize = 8;
/// In a walker over all parameters an object with more wanted members than this is gone through once.
const MEMBERS_ASKED_MAX: usize = 2;

impl SearchRegistry {
    /// The search parameters of R4, compiled when first asked for (some ten milliseconds).
    ///
    /// The ten of the package that name no resource type belong to no type.
    #[must_use]
    pub fn r4() -> &'static SearchRegistry {
        static REGISTRY: LazyLock<SearchRegistry> = LazyLock::new(|| {
            let definitions = r4().search_parameters().iter().map(|row| Arc::new(row.into())).collect();
            match SearchRegistry::build(definitions) {
                Ok(registry) => registry,
                Err(error) => unreachable!("a search parameter of R4 cannot be compiled: {error}"),
            }
        });
        &REGISTRY
    }

    /// This registry with more parameters. One with the address of a known one takes its place; one with the code
    /// of a known one is preferred to it.
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
        definitions.extend(added);
        Self::build(definitions)
    }

    /// The parameters of a resource type with those of `Resource` and `DomainResource`, sorted by code; of
    /// `Resource` those that every type has. Empty for an unknown type.
    #[must_use]
    pub fn parameters(&self, resource_type: &str) -> &[Arc<SearchParameter>] {
        self.0.types.get(resource_type).map(|entry| entry.parameters.as_slice()).unwrap_or_default()
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
        let Some(entry) = self.0.types.get(resource_type) else { return };
        entry.all.get_or_init(|| entry.walker_over_all()).walk(root, root, &mut |slot, extracted| {
            if let Some(parameter) = entry.parameters.get(slot as usize) {
                each(parameter, extracted);
            }
        });
    }

    fn build(definitions: Vec<Arc<ParameterDefinition>>) -> Result<Self, SearchParameterError> {
        let known = r4();
        let by_url: HashMap<&str, &Arc<ParameterDefinition>> =
            definitions.iter().map(|definition| (definition.url.as_str(), definition)).collect();
        let abstract_types = ["Resource", "DomainResource"];
        let names = known.resource_types().iter().copied().chain(abstract_types);
        let mut by_type: HashMap<&'static str, BTreeMap<String, Arc<SearchParameter>>> = HashMap::new();
        for definition in &definitions {
            let expression = parse(definition)?;
            if let Some(base) = definition.bases.iter().find(|base| known.structure(base).is_none()) {
                let (code, resource_type) = (definition.code.clone(), base.clone());
                return Err(SearchParameterError::UnknownBase { code, resource_type });
            }
            for name in
                names.clone().filter(|name| definition.bases.iter().any(|base| known.is_a(name, base)))
            {
                let Some(structure) = known.structure(name) else { continue };
                let parameter = compile(known, structure, definition, expression.as_ref(), &by_url)?;
                by_type
                    .entry(structure.name)
                    .or_default()
                    .insert(definition.code.clone(), Arc::new(parameter));
            }
        }
        let types = by_type.into_iter().filter_map(|(name, parameters)| {
            let structure = known.structure(name)?;
            let parameters = parameters.into_values().collect();
            Some((name, TypeEntry { structure, parameters, all: OnceLock::new() }))
        });
        Ok(Self(Arc::new(Inner { types: types.collect(), definitions: definitions.clone() })))
    }
}

impl TypeEntry {
    fn walker_over_all(&self) -> Walker {
        let mut walker = Walker::new();
        let mut compiler = Compiler::new(r4(), self.structure, &mut walker);
        let start = [compiler.start()];
        for (slot, parameter) in self.parameters.iter().enumerate() {
            // What compiled alone compiles together; a parameter that does not is not there.
            let Ok(slot) = u32::try_from(slot) else { break };
            if let Ok(Some(expression)) = parse(&parameter.definition) {
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
    known: &'static Definitions,
    structure: &'static Structure,
    definition: &Arc<ParameterDefinition>,
    expression: Option<&Expression>,
    by_url: &HashMap<&str, &Arc<ParameterDefinition>>,
) -> Result<SearchParameter, SearchParameterError> {
    let failed = |reason: super::compile::Unsupported| SearchParameterError::Unsupported {
        code: definition.code.clone(),
        what: reason.0,
    };
    let mut parameter = SearchParameter {
        definition: Arc::clone(definition),
        resource_type: structure.name,
        walker: None,
        components: Vec::new(),
    };
    let Some(expression) = expression else { return Ok(parameter) };
    let mut walker = Walker::new();
    let mut compiler = Compiler::new(known, structure, &mut walker);
    let start = [compiler.start()];
    let places = compiler.add(expression, &start, 0).map_err(failed)?;
    for (url, part) in &definition.components {
        let Some(of_part) = by_url.get(url.as_str()) else {
            let (code, definition) = (definition.code.clone(), url.clone());
            return Err(SearchParameterError::UnknownComponent { code, definition });
        };
        let part = parse_text(definition, part)?;
        let mut walker = Walker::new();
        let mut compiler = Compiler::new(known, structure, &mut walker);
        let starts = compiler.component_starts(&places);
        compiler.add(&part, &starts, 0).map_err(failed)?;
        walker.finish(ALTERNATIVES_MAX);
        parameter.components.push(Component { definition: Arc::clone(of_part), walker });
    }
    walker.finish(ALTERNATIVES_MAX);
    parameter.walker = (!walker.is_fruitless()).then_some(walker);
    Ok(parameter)
}
