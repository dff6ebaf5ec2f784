//! Custom search parameters: those that a version of the index has beside R4's, and how they are stored with it. Whether it
//! has the words of texts is stored there too.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use anamnesis_events::Position;
use anamnesis_fhir::definitions;
use anamnesis_fhir::search::{
    ParameterDefinition, SearchParameterError, SearchParameterKind, SearchRegistry,
};
use serde::{Deserialize, Serialize};

use super::query::is_of_results;
use crate::Inputs;

/// Parameters of one index. R4 itself has 1,400; every one of a type makes each of its resources dearer to write.
pub const PARAMETERS_MAX: usize = 1000;
/// The text of all of them, in bytes.
const BYTES_MAX: usize = 1 << 20;
/// Characters of a code.
const CODE_MAX: usize = 64;
/// The form of the text of parameters alone.
const FORM: u32 = 1;
/// The form of one that says more: a program that knows the first alone refuses it.
const FORM_OF_FULL_TEXT: u32 = 2;

/// A search parameter that was made by a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomParameter {
    /// The id of the SearchParameter that it comes from.
    pub id: String,
    /// The event that this was read from.
    pub position: Position,
    /// What it says.
    pub definition: ParameterDefinition,
}

/// Why search parameters cannot be indexed together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParametersError {
    /// There are too many.
    #[error("there are {count} custom search parameters, and at most {PARAMETERS_MAX} can be indexed")]
    TooMany {
        /// How many.
        count: usize,
    },
    /// Together they say too much.
    #[error(
        "the custom search parameters are {bytes} bytes together, and at most {BYTES_MAX} can be indexed"
    )]
    TooLarge {
        /// How much.
        bytes: usize,
    },
    /// Two have the same address.
    #[error("there is more than one search parameter {url}")]
    Twice {
        /// The address.
        url: String,
    },
    /// The address is of one of R4's own, which others are built on.
    #[error("{url} is a search parameter of R4, which cannot be made anew")]
    KnownUrl {
        /// The address.
        url: String,
    },
    /// Another parameter has the code for a type that both are for.
    #[error(
        "search parameter {url}: {resource_type} has another search parameter with the code {code}, {other}"
    )]
    KnownCode {
        /// The address of the new one.
        url: String,
        /// The code.
        code: String,
        /// The type.
        resource_type: String,
        /// The address of the other one.
        other: String,
    },
    /// It cannot be asked for by its code.
    #[error(
        "search parameter {url}: a code that can be asked for begins with a letter or digit, has at most {CODE_MAX} letters, \
         digits, hyphens and underscores, and does not say how results are given"
    )]
    Code {
        /// The address.
        url: String,
    },
    /// It has no type of resource, no expression, or a type that only the server itself can give a meaning.
    #[error("search parameter {url}: {reason}")]
    Unusable {
        /// The address.
        url: String,
        /// The reason.
        reason: &'static str,
    },
    /// It cannot be compiled.
    #[error(transparent)]
    Invalid(#[from] SearchParameterError),
    /// The stored text is not one that this program writes.
    #[error("the stored search parameters cannot be read: {reason}")]
    Malformed {
        /// The reason.
        reason: String,
    },
}

/// The search parameters that a version of the index has beside R4's, by their addresses. Cheap to clone.
///
/// ```
/// use anamnesis_events::Position;
/// use anamnesis_fhir::search::{ParameterDefinition, SearchParameterKind};
/// use anamnesis_projections::search::{CustomParameter, CustomParameters};
///
/// let definition = ParameterDefinition {
///     url: "http://example.org/nickname".to_owned(),
///     code: "nickname".to_owned(),
///     bases: vec!["Patient".to_owned()],
///     kind: SearchParameterKind::String,
///     expression: Some("Patient.name.where(use = 'nickname').given".to_owned()),
///     targets: vec![],
///     comparators: vec![],
///     modifiers: vec![],
///     usage: None,
///     components: vec![],
/// };
/// let parameter = CustomParameter { id: "nickname".to_owned(), position: Position::new(7), definition };
/// let parameters = CustomParameters::new([parameter])?;
/// assert!(parameters.registry().get("Patient", "nickname").is_some());
/// assert_eq!(CustomParameters::from_inputs(&parameters.to_inputs())?, parameters);
/// # Ok::<(), anamnesis_projections::search::ParametersError>(())
/// ```
#[derive(Clone)]
pub struct CustomParameters(Arc<Inner>);

struct Inner {
    /// Sorted by address.
    all: Vec<CustomParameter>,
    has_full_text: bool,
    inputs: Inputs,
    registry: SearchRegistry,
}

impl CustomParameters {
    /// None: R4's alone.
    #[must_use]
    pub fn none() -> Self {
        let registry = SearchRegistry::r4().clone();
        Self(Arc::new(Inner { all: Vec::new(), has_full_text: false, inputs: Inputs::none(), registry }))
    }

    /// Checks that parameters can be indexed together, and compiles them.
    ///
    /// # Errors
    /// What is wrong with the first that cannot be indexed, or with all of them together.
    pub fn new(all: impl IntoIterator<Item = CustomParameter>) -> Result<Self, ParametersError> {
        Self::made(all.into_iter().collect(), false)
    }

    /// The same with the words of texts, which `_text` and `_content` ask for, or without them. They cost some 13 bytes for each
    /// different word of a resource.
    ///
    /// # Errors
    /// [`ParametersError::TooLarge`] where there is no room to say so.
    pub fn with_full_text(&self, has_full_text: bool) -> Result<Self, ParametersError> {
        match has_full_text == self.0.has_full_text {
            true => Ok(self.clone()),
            false => Self::made(self.0.all.clone(), has_full_text),
        }
    }

    fn made(mut all: Vec<CustomParameter>, has_full_text: bool) -> Result<Self, ParametersError> {
        if all.is_empty() && !has_full_text {
            return Ok(Self::none());
        }
        if all.len() > PARAMETERS_MAX {
            return Err(ParametersError::TooMany { count: all.len() });
        }
        all.sort_by(|one, other| one.definition.url.cmp(&other.definition.url));
        check(&all)?;
        let text = text(&all, has_full_text)?;
        let definitions = all.iter().map(|one| one.definition.clone());
        let registry = SearchRegistry::r4().with_parameters(definitions)?;
        Ok(Self(Arc::new(Inner { all, has_full_text, inputs: Inputs::new(text), registry })))
    }

    /// Reads what [`Self::to_inputs`] has written.
    ///
    /// # Errors
    /// [`ParametersError::Malformed`] for anything else; as [`Self::new`] where this program refuses what was written.
    pub fn from_inputs(inputs: &Inputs) -> Result<Self, ParametersError> {
        let Some(text) = inputs.text() else { return Ok(Self::none()) };
        if text.len() > BYTES_MAX {
            return Err(ParametersError::TooLarge { bytes: text.len() });
        }
        let malformed = |reason: String| ParametersError::Malformed { reason };
        // What it says about the place is enough; the text is not repeated.
        let stored: Stored<'_> = serde_json::from_str(text).map_err(|error| malformed(error.to_string()))?;
        if stored.form != FORM && stored.form != FORM_OF_FULL_TEXT {
            let known = format!("{FORM} and {FORM_OF_FULL_TEXT}");
            return Err(malformed(format!("they have form {}, this program knows {known}", stored.form)));
        }
        let has_full_text = stored.full_text;
        let all: Option<Vec<CustomParameter>> = stored.parameters.into_iter().map(Row::read).collect();
        let all = all.ok_or_else(|| malformed("a type of search parameter is unknown".to_owned()))?;
        let parameters = Self::made(all, has_full_text)?;
        match parameters.0.inputs == *inputs {
            true => Ok(parameters),
            false => Err(malformed("they are not written as this program writes them".to_owned())),
        }
    }

    /// As they are stored with a version of the index: the same text for the same parameters.
    #[must_use]
    pub fn to_inputs(&self) -> Inputs {
        self.0.inputs.clone()
    }

    /// All of them, by their addresses.
    pub fn iter(&self) -> impl Iterator<Item = &CustomParameter> {
        self.0.all.iter()
    }

    /// The one with this address.
    #[must_use]
    pub fn get(&self, url: &str) -> Option<&CustomParameter> {
        let at = self.0.all.binary_search_by(|one| one.definition.url.as_str().cmp(url)).ok()?;
        self.0.all.get(at)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.all.len()
    }

    /// Whether the words of texts are indexed.
    #[must_use]
    pub fn has_full_text(&self) -> bool {
        self.0.has_full_text
    }

    /// Whether there are R4's alone.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.all.is_empty()
    }

    /// R4's and these.
    #[must_use]
    pub fn registry(&self) -> &SearchRegistry {
        &self.0.registry
    }
}

impl Default for CustomParameters {
    fn default() -> Self {
        Self::none()
    }
}

impl PartialEq for CustomParameters {
    fn eq(&self, other: &Self) -> bool {
        self.0.inputs == other.0.inputs
    }
}

impl Eq for CustomParameters {}

impl std::fmt::Debug for CustomParameters {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_list().entries(self.iter().map(|one| &one.definition.url)).finish()
    }
}

/// What the compiler does not look at. The parameters are sorted by address.
fn check(all: &[CustomParameter]) -> Result<(), ParametersError> {
    let r4 = SearchRegistry::r4();
    let known: HashSet<&str> = r4.definitions().iter().map(|definition| definition.url.as_str()).collect();
    let mut codes: BTreeMap<(&str, &str), &str> = BTreeMap::new();
    let mut last = None;
    for CustomParameter { definition, .. } in all {
        let url = || definition.url.clone();
        if last.replace(&definition.url) == Some(&definition.url) {
            return Err(ParametersError::Twice { url: url() });
        }
        if known.contains(definition.url.as_str()) {
            return Err(ParametersError::KnownUrl { url: url() });
        }
        if !is_code(&definition.code) {
            return Err(ParametersError::Code { url: url() });
        }
        if let Some(reason) = unusable(definition) {
            return Err(ParametersError::Unusable { url: url(), reason });
        }
        for resource_type in types(definition) {
            let code = definition.code.as_str();
            let of_r4 = r4.get(resource_type, code).map(|known| known.url());
            let other = of_r4.or_else(|| codes.insert((resource_type, code), &definition.url));
            if let Some(other) = other.filter(|other| *other != definition.url) {
                let (resource_type, other) = (resource_type.to_owned(), other.to_owned());
                let code = code.to_owned();
                return Err(ParametersError::KnownCode { url: url(), code, resource_type, other });
            }
        }
    }
    Ok(())
}

/// The types of resources that a parameter is for; the abstract ones as well where it is for one of them.
fn types(definition: &ParameterDefinition) -> impl Iterator<Item = &'static str> {
    let all = definitions::r4().resource_types().iter().copied().chain(["Resource", "DomainResource"]);
    all.filter(|name| definition.bases.iter().any(|base| definitions::r4().is_a(name, base)))
}

/// Why nothing could be found by a parameter, if nothing could.
fn unusable(definition: &ParameterDefinition) -> Option<&'static str> {
    if definition.bases.is_empty() {
        return Some("it is for no type of resource");
    }
    if definition.expression.is_none() {
        return Some("it has no expression");
    }
    match (definition.kind, definition.components.is_empty()) {
        (SearchParameterKind::Special, _) => {
            Some("one of type special has a meaning that only the server itself could know")
        }
        (SearchParameterKind::Composite, true) => Some("it is composite and has no components"),
        (kind, false) if kind != SearchParameterKind::Composite => {
            Some("it has components and is not composite")
        }
        _ => None,
    }
}

/// Colons and full stops have meanings in the names of queries (R4 search.html), and some names are taken.
fn is_code(code: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let is_name = code.starts_with(|first: char| first.is_ascii_alphanumeric()) && code.bytes().all(plain);
    is_name && code.len() <= CODE_MAX && !is_of_results(code)
}

/// The stored text.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored<'a> {
    form: u32,
    #[serde(default, skip_serializing_if = "is_false")]
    full_text: bool,
    #[serde(borrow)]
    parameters: Vec<Row<'a>>,
}

/// A stored parameter. What is not there is empty.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row<'a> {
    id: Text<'a>,
    position: u64,
    url: Text<'a>,
    code: Text<'a>,
    bases: Vec<Text<'a>>,
    #[serde(rename = "type")]
    kind: Text<'a>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expression: Option<Text<'a>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    targets: Vec<Text<'a>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    comparators: Vec<Text<'a>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    modifiers: Vec<Text<'a>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    usage: Option<Text<'a>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    components: Vec<(Text<'a>, Text<'a>)>,
}

/// As serde wants it.
fn is_false(truth: &bool) -> bool {
    !truth
}

type Text<'a> = std::borrow::Cow<'a, str>;

impl<'a> Row<'a> {
    fn of(parameter: &'a CustomParameter) -> Self {
        let CustomParameter { id, position, definition } = parameter;
        let all = |texts: &'a [String]| texts.iter().map(|text| text.as_str().into()).collect();
        let parts = definition.components.iter();
        Self {
            id: id.as_str().into(),
            position: position.get(),
            url: definition.url.as_str().into(),
            code: definition.code.as_str().into(),
            bases: all(&definition.bases),
            kind: definition.kind.code().into(),
            expression: definition.expression.as_deref().map(Into::into),
            targets: all(&definition.targets),
            comparators: all(&definition.comparators),
            modifiers: all(&definition.modifiers),
            usage: definition.usage.as_deref().map(Into::into),
            components: parts.map(|(url, text)| (url.as_str().into(), text.as_str().into())).collect(),
        }
    }

    fn read(self) -> Option<CustomParameter> {
        let all = |texts: Vec<Text<'a>>| texts.into_iter().map(Text::into_owned).collect();
        let parts = self.components.into_iter();
        let definition = ParameterDefinition {
            url: self.url.into_owned(),
            code: self.code.into_owned(),
            bases: all(self.bases),
            kind: SearchParameterKind::from_code(&self.kind)?,
            expression: self.expression.map(Text::into_owned),
            targets: all(self.targets),
            comparators: all(self.comparators),
            modifiers: all(self.modifiers),
            usage: self.usage.map(Text::into_owned),
            components: parts.map(|(url, text)| (url.into_owned(), text.into_owned())).collect(),
        };
        Some(CustomParameter { id: self.id.into_owned(), position: Position::new(self.position), definition })
    }
}

fn text(all: &[CustomParameter], full_text: bool) -> Result<String, ParametersError> {
    let form = if full_text { FORM_OF_FULL_TEXT } else { FORM };
    let stored = Stored { form, full_text, parameters: all.iter().map(Row::of).collect() };
    let text = serde_json::to_string(&stored)
        .map_err(|error| ParametersError::Malformed { reason: error.to_string() })?;
    match text.len() > BYTES_MAX {
        true => Err(ParametersError::TooLarge { bytes: text.len() }),
        false => Ok(text),
    }
}
