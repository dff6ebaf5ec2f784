//! A profile as it is checked: the rules of each element, what tells its slices apart, and where it may be used.

use crate::definitions::Structure;
use crate::fhirpath::Compiled;
use crate::json::{Document, Value};

/// A compiled StructureDefinition: what it asks for beyond R4 itself. Made once, used by any number of threads.
#[derive(Debug)]
pub struct Profile {
    pub(super) url: Box<str>,
    pub(super) version: Option<Box<str>>,
    /// The type that it constrains.
    pub(super) structure: &'static Structure,
    /// Another profile that must hold as well: the base of one that has only a differential.
    pub(super) base: Option<Box<str>>,
    /// Where an extension may stand; empty for anything else.
    pub(super) contexts: Vec<UseContext>,
    /// What must hold where an extension stands.
    pub(super) context_rules: Vec<Invariant>,
    /// Whether an extension of this kind modifies the meaning of what it stands in.
    pub(super) is_modifier: bool,
    /// The rules by index; the first are those of the whole.
    pub(super) rules: Vec<Rules>,
    /// How elements are sliced, by name, for profiles that build on this one with a differential.
    pub(super) slicings: Vec<(Box<str>, Vec<super::slicing::Discriminator>)>,
    /// What could not be understood, for whoever asks why something is not checked.
    pub(super) remarks: Vec<String>,
}

impl Profile {
    /// Canonical address without version.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Business version, where it has one.
    #[must_use]
    pub fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }

    /// The resource or data type that it constrains.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        self.structure.name
    }

    /// What of the definition is not checked, and why: constraints that do not compile, slices that cannot be
    /// told apart.
    #[must_use]
    pub fn remarks(&self) -> &[String] {
        &self.remarks
    }

    pub(super) fn root(&self) -> &Rules {
        match self.rules.first() {
            Some(root) => root,
            None => unreachable!("the compiler makes the root first"),
        }
    }

    pub(super) fn at(&self, index: usize) -> &Rules {
        match self.rules.get(index) {
            Some(rules) => rules,
            None => unreachable!("indexes are made by the compiler and all of them are in range"),
        }
    }
}

/// Where an extension may stand (StructureDefinition.context).
#[derive(Debug, PartialEq, Eq)]
pub(super) enum UseContext {
    /// In an element, given by its path or by a type.
    Element(Box<str>),
    /// In another extension, by its address.
    Extension(Box<str>),
    /// Where an expression selects something; not evaluated.
    Expression,
}

/// What is asked of one element or slice, beyond what R4 asks.
#[derive(Debug)]
pub(super) struct Rules {
    /// Name as FHIRPath has it, without `[x]`.
    pub(super) name: Box<str>,
    pub(super) slice_name: Option<Box<str>>,
    /// Smallest number of occurrences; 0 where R4 asks for no less.
    pub(super) min: u32,
    /// Largest number of occurrences; `None` where R4 allows no more.
    pub(super) max: Option<u32>,
    /// Allowed types with their profiles; empty for those of R4.
    pub(super) types: Vec<TypeRule>,
    /// `fixed[x]` or `pattern[x]`.
    pub(super) wanted: Option<Wanted>,
    pub(super) binding: Option<BindingRule>,
    pub(super) invariants: Vec<Invariant>,
    pub(super) length_max: Option<usize>,
    /// `minValue[x]`
    pub(super) low: Option<Document>,
    /// `maxValue[x]`
    pub(super) high: Option<Document>,
    /// Elements below, by index; each name once.
    pub(super) children: Vec<usize>,
    /// Those of the children that something is asked of, at any depth.
    pub(super) checked: Vec<usize>,
    pub(super) slicing: Option<Slicing>,
    pub(super) slices: Vec<Slice>,
    /// The structure of the content, where it is certain.
    pub(super) structure: Option<&'static Structure>,
    /// Whether R4 has it as a choice of types.
    pub(super) is_choice: bool,
    /// Whether it says what a value must be, be it further below, so that slices can be told by it.
    pub(super) tells: bool,
}

impl Rules {
    pub(super) fn new(name: &str, structure: Option<&'static Structure>) -> Self {
        Rules {
            name: name.into(),
            slice_name: None,
            min: 0,
            max: None,
            types: Vec::new(),
            wanted: None,
            binding: None,
            invariants: Vec::new(),
            length_max: None,
            low: None,
            high: None,
            children: Vec::new(),
            checked: Vec::new(),
            slicing: None,
            slices: Vec::new(),
            structure,
            is_choice: false,
            tells: false,
        }
    }

    /// Whether nothing is asked of the element itself.
    pub(super) fn is_idle(&self) -> bool {
        self.min == 0
            && self.max.is_none()
            && self.types.is_empty()
            && self.wanted.is_none()
            && self.binding.is_none()
            && self.invariants.is_empty()
            && self.length_max.is_none()
            && self.low.is_none()
            && self.high.is_none()
            && self.slices.is_empty()
    }
}

/// One allowed type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TypeRule {
    pub(super) code: Box<str>,
    /// Profiles of which one must hold; empty for any.
    pub(super) profiles: Vec<Box<str>>,
    /// What a reference may point at, by address of types and profiles; empty for anything.
    pub(super) targets: Vec<Box<str>>,
    /// How a reference may lead to its target; empty for any way.
    pub(super) aggregation: Vec<Aggregation>,
}

/// How a reference leads to its target (ElementDefinition.type.aggregation).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Aggregation {
    /// To a contained resource.
    Contained,
    /// To a resource elsewhere.
    Referenced,
    /// To an entry of the same Bundle.
    Bundled,
}

/// A value that is asked for.
#[derive(Debug)]
pub(super) struct Wanted {
    document: Document,
    /// `fixed[x]`, not `pattern[x]`.
    pub(super) is_exact: bool,
}

impl Wanted {
    pub(super) fn new(document: Document, is_exact: bool) -> Self {
        Wanted { document, is_exact }
    }

    pub(super) fn value(&self) -> Value<'_> {
        self.document.root()
    }
}

/// A binding to a value set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BindingRule {
    pub(super) strength: crate::definitions::BindingStrength,
    /// Canonical address, with a version where it has one.
    pub(super) value_set: Box<str>,
    /// The set that no code may leave (`elementdefinition-maxValueSet`).
    pub(super) max_value_set: Option<Box<str>>,
}

/// A constraint.
#[derive(Debug)]
pub(super) struct Invariant {
    pub(super) key: Box<str>,
    pub(super) is_warning: bool,
    pub(super) human: Box<str>,
    /// Or why it does not compile.
    pub(super) compiled: Result<Compiled, String>,
}

/// How an element is sliced.
#[derive(Debug)]
pub(super) struct Slicing {
    pub(super) openness: Openness,
    pub(super) is_ordered: bool,
}

/// Whether there may be occurrences that are in no slice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Openness {
    Open,
    /// Only behind those that are in a slice.
    OpenAtEnd,
    Closed,
}

/// A slice and what an occurrence must be to be in it.
#[derive(Debug)]
pub(super) struct Slice {
    /// Its rules, by index.
    pub(super) rules: usize,
    /// One for each discriminator.
    pub(super) criteria: Vec<Criterion>,
    /// Whether it is for whatever is in no other one (R4 profiling.html#default-slice).
    pub(super) is_default: bool,
}

/// What a discriminator asks for.
#[derive(Debug)]
pub(super) enum Criterion {
    /// Something at the place has the value that each of these rules asks for.
    Value { place: Place, rules: Vec<usize> },
    /// There is something at the place, or there is nothing.
    Exists { place: Place, wanted: bool },
    /// What is at the place has one of the types.
    Type { place: Place, codes: Vec<Box<str>> },
    /// What is at the place conforms to one of the profiles.
    Profile { place: Place, profiles: Vec<Box<str>> },
    /// It cannot be told.
    Unknown,
}

/// Where a discriminator looks, from an occurrence: the occurrence itself, or what an expression gives.
#[derive(Debug)]
pub(super) struct Place(pub(super) Option<Compiled>);
