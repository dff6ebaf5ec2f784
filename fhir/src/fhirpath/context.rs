//! What an evaluation may know beyond its input: resources, variables, clock, and the traits of its surroundings.

use chrono::{DateTime as ClockTime, FixedOffset};

use super::collection::Collection;
use super::item::Node;
use crate::definitions::r4;
use crate::json::Value;

/// Bounds of one evaluation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most steps: one for each operator, function, visited item and comparison of two items.
    /// The default stops a runaway expression after about a second.
    pub steps_max: u64,
    /// Most items in one collection.
    pub items_max: usize,
    /// Longest computed text in bytes.
    pub text_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { steps_max: 10_000_000, items_max: 200_000, text_bytes_max: 4 << 20 }
    }
}

/// Finds resources by reference, beyond contained ones and entries of the same Bundle.
pub trait Resolver: Sync {
    /// The resource that a literal reference (`Patient/1`, an absolute URL) names; `None` where it is not at hand.
    fn resolve<'a>(&'a self, reference: &str) -> Option<Value<'a>>;
}

/// Knows value sets, for `memberOf()`; the required value sets of R4 are known without it.
pub trait Terminology: Sync {
    /// Whether a code is in the value set; `None` where the set is not known. `system` is `None` for a plain code.
    fn member_of(&self, system: Option<&str>, code: &str, value_set: &str) -> Option<bool>;
}

/// Knows profiles, for `conformsTo()`.
pub trait Profiles: Sync {
    /// Whether the element conforms to the profile; `None` where the profile is not known.
    fn conforms_to(&self, node: &Node<'_>, profile: &str) -> Option<bool>;
}

/// The surroundings of an evaluation. Cheap to make; borrows everything it holds.
///
/// ```
/// use anamnesis_fhir::fhirpath::{Compiled, Context};
/// use anamnesis_fhir::json::{Document, Limits};
/// let document = Document::parse(r#"{"resourceType":"Patient","active":true}"#, &Limits::default()).unwrap();
/// let context = Context::of(document.root());
/// let active = Compiled::new("%resource.active", None).unwrap();
/// assert_eq!(active.evaluate_bool(document.root(), &context), Ok(Some(true)));
/// ```
#[derive(Clone, Default)]
pub struct Context<'a> {
    pub(super) resource: Option<Value<'a>>,
    pub(super) root_resource: Option<Value<'a>>,
    pub(super) variables: Vec<(&'a str, Collection<'a>)>,
    pub(super) now: Option<ClockTime<FixedOffset>>,
    pub(super) resolver: Option<&'a dyn Resolver>,
    pub(super) terminology: Option<&'a dyn Terminology>,
    pub(super) profiles: Option<&'a dyn Profiles>,
    pub(super) as_filters: bool,
    pub(super) limits: Limits,
}

impl<'a> Context<'a> {
    /// Nothing but the defaults; `%resource` and `%rootResource` are then what is evaluated.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A context whose `%resource` and `%rootResource` are this resource.
    #[must_use]
    pub fn of(resource: Value<'a>) -> Self {
        Self { resource: Some(resource), root_resource: Some(resource), ..Self::default() }
    }

    /// Sets `%resource`: the resource that directly holds what is evaluated (a contained one, for instance).
    #[must_use]
    pub fn with_resource(mut self, resource: Value<'a>) -> Self {
        self.resource = Some(resource);
        self
    }

    /// Sets `%rootResource`: the container of `%resource`, in which `#id` is looked up.
    #[must_use]
    pub fn with_root_resource(mut self, resource: Value<'a>) -> Self {
        self.root_resource = Some(resource);
        self
    }

    /// Sets a variable, without the percent sign. A later one of the same name wins.
    #[must_use]
    pub fn with_variable(mut self, name: &'a str, value: Collection<'a>) -> Self {
        self.variables.push((name, value));
        self
    }

    /// Sets what `now()`, `today()` and `timeOfDay()` answer. Without it they are an error.
    #[must_use]
    pub fn with_now(mut self, now: ClockTime<FixedOffset>) -> Self {
        self.now = Some(now);
        self
    }

    /// Sets where `resolve()` looks after contained resources and entries of the Bundle.
    #[must_use]
    pub fn with_resolver(mut self, resolver: &'a dyn Resolver) -> Self {
        self.resolver = Some(resolver);
        self
    }

    /// Sets who answers `memberOf()`.
    #[must_use]
    pub fn with_terminology(mut self, terminology: &'a dyn Terminology) -> Self {
        self.terminology = Some(terminology);
        self
    }

    /// Sets who answers `conformsTo()`.
    #[must_use]
    pub fn with_profiles(mut self, profiles: &'a dyn Profiles) -> Self {
        self.profiles = Some(profiles);
        self
    }

    /// Lets `as` take any number of items and keep those of the type, as `ofType()` does.
    ///
    /// FHIRPath demands an error for more than one item, yet R4's own search parameters
    /// (`Observation.component.value as Quantity`) and invariants (`dom-3`) count on this.
    #[must_use]
    pub fn with_filtering_as(mut self) -> Self {
        self.as_filters = true;
        self
    }

    /// Sets the bounds.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }
}

/// The node of a resource, typed by its `resourceType`.
pub(crate) fn resource_node(value: Value<'_>) -> Node<'_> {
    let structure = value.get("resourceType").and_then(Value::as_str).and_then(|name| r4().resource(&name));
    Node::new(value, structure)
}
