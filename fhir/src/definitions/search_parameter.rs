//! Search parameters, compartments and operations as R4 defines them.

/// A SearchParameter of R4.
#[derive(Debug)]
pub struct SearchParameter {
    /// Canonical address.
    pub url: &'static str,
    /// The name in a query, such as `birthdate` or `_id`.
    pub code: &'static str,
    /// Resource types that it applies to; `Resource` and `DomainResource` stand for all below them.
    pub bases: Vec<&'static str>,
    /// How it is indexed and compared.
    pub kind: SearchParameterKind,
    /// The FHIRPath expression over all bases, such as `Patient.name | Practitioner.name`.
    pub expression: Option<&'static str>,
    /// Resource types that a reference may point at.
    pub targets: Vec<&'static str>,
    /// Prefixes; empty where the definition names none.
    pub comparators: Vec<&'static str>,
    /// Modifiers; empty where the definition names none.
    pub modifiers: Vec<&'static str>,
    /// How the values are compared where it is not plainly: `phonetic` or `nearby`.
    pub usage: Option<&'static str>,
    /// The parts of a composite.
    pub components: Vec<SearchComponent>,
}

/// One part of a composite search parameter.
#[derive(Debug)]
pub struct SearchComponent {
    /// Canonical address of the part's own search parameter; [`super::Definitions::search_parameter_by_url`].
    pub definition: &'static str,
    /// Expression relative to the composite's value.
    pub expression: &'static str,
}

/// SearchParamType of R4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SearchParameterKind {
    /// `number`.
    Number,
    /// `date`.
    Date,
    /// `string`.
    String,
    /// `token`.
    Token,
    /// `reference`.
    Reference,
    /// `composite`.
    Composite,
    /// `quantity`.
    Quantity,
    /// `uri`.
    Uri,
    /// `special`.
    Special,
}

impl SearchParameterKind {
    /// The code of SearchParamType.
    pub fn code(self) -> &'static str {
        match self {
            Self::Number => "number",
            Self::Date => "date",
            Self::String => "string",
            Self::Token => "token",
            Self::Reference => "reference",
            Self::Composite => "composite",
            Self::Quantity => "quantity",
            Self::Uri => "uri",
            Self::Special => "special",
        }
    }

    /// Reads the code of SearchParamType.
    pub fn from_code(code: &str) -> Option<Self> {
        Some(match code {
            "number" => Self::Number,
            "date" => Self::Date,
            "string" => Self::String,
            "token" => Self::Token,
            "reference" => Self::Reference,
            "composite" => Self::Composite,
            "quantity" => Self::Quantity,
            "uri" => Self::Uri,
            "special" => Self::Special,
            _ => return None,
        })
    }
}

/// A CompartmentDefinition of R4.
#[derive(Debug)]
pub struct Compartment {
    /// `Patient`, `Encounter`, `RelatedPerson`, `Practitioner` or `Device`.
    pub code: &'static str,
    /// Canonical address.
    pub url: &'static str,
    /// Sorted by resource type.
    pub(super) members: Vec<(&'static str, Vec<&'static str>)>,
}

impl Compartment {
    /// Codes of the search parameters that put a resource of this type into the compartment, in the order
    /// of the definition; `None` where the type is not in the compartment. `{def}` is kept as it is.
    pub fn parameters(&self, resource_type: &str) -> Option<&[&'static str]> {
        let index = self.members.binary_search_by(|(name, _)| (*name).cmp(resource_type)).ok()?;
        self.members.get(index).map(|(_, parameters)| parameters.as_slice())
    }

    /// The resource types of the compartment with their parameters, sorted by type.
    pub fn members(&self) -> impl Iterator<Item = (&'static str, &[&'static str])> {
        self.members.iter().map(|(name, parameters)| (*name, parameters.as_slice()))
    }
}

/// An OperationDefinition of R4.
#[derive(Debug)]
pub struct Operation {
    /// Canonical address.
    pub url: &'static str,
    /// Code without `$`.
    pub code: &'static str,
    /// Resource types that it is defined on.
    pub resources: Vec<&'static str>,
    /// Whether it can be invoked on the system.
    pub on_system: bool,
    /// Whether it can be invoked on a resource type.
    pub on_type: bool,
    /// Whether it can be invoked on an instance.
    pub on_instance: bool,
    /// Whether it changes what the server holds.
    pub affects_state: bool,
}
