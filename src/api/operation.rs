//! The table of operations: which `$name` is offered on what, and the function that carries it out (R4
//! operations.html). Routes, `Allow`, the dispatcher and `/metadata` follow it.
//!
//! A new operation is a file below `operations/` and a row here.

use std::fmt;
use std::sync::Arc;

use actix_web::http::Method;
use anamnesis_events::ResourceKey;
use futures::future::LocalBoxFuture;

use super::access::Needs;
use super::answer::Answer;
use super::bounds::{self, Obeys};
use super::call::{Body, Call};
use super::operations;
use crate::access::Action;
use crate::access::scope::Letter;
use crate::error::Failure;

/// One operation.
pub(super) struct Operation {
    /// Its name in the path, with the dollar sign.
    pub(super) name: &'static str,
    /// Its name in metrics and spans.
    pub(super) label: &'static str,
    /// The canonical address of its OperationDefinition.
    pub(super) definition: &'static str,
    /// Whether it can be called on the whole service.
    pub(super) on_system: bool,
    /// The types on which it can be called.
    pub(super) on_types: Types,
    /// The types whose instances it can be called on.
    pub(super) on_instances: Types,
    /// The methods that are served; HEAD is served with GET.
    pub(super) methods: &'static [Method],
    /// Whether it writes, so that an `Idempotency-Key` means something.
    pub(super) writes: bool,
    /// The methods by which it sets something off of which there is no event: nobody can take that back.
    pub(super) acts_by: &'static [Method],
    /// What whoever calls it needs.
    pub(super) needs: Needs,
    /// The same for the methods by which it acts.
    pub(super) needs_to_act: Needs,
    /// How it obeys scopes.
    pub(super) obeys: Obeys,
    /// Carries it out.
    pub(super) run: Run,
}

/// A choice of resource types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Types {
    None,
    All,
    Only(&'static [&'static str]),
}

/// What an operation is called on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Level {
    /// The service.
    System,
    /// A type.
    Type(Arc<str>),
    /// A resource.
    Instance(ResourceKey),
}

/// One call of an operation. Its query is that of the [`Call`]; see [`operations::Input`] for what it was given.
pub(super) struct Invocation {
    /// What it is called on.
    pub(super) level: Level,
    /// How it is called.
    pub(super) method: Method,
    /// What came with it.
    pub(super) body: Body,
}

/// The function behind an operation.
pub(super) type Run = for<'a> fn(&'a Call, Invocation) -> Work<'a>;
/// What it does.
pub(super) type Work<'a> = LocalBoxFuture<'a, Result<Answer, Failure>>;

/// What is offered, by name.
pub(super) const OPERATIONS: &[Operation] = &[
    Operation {
        name: "$versions",
        label: "fhir/$versions",
        definition: "http://hl7.org/fhir/OperationDefinition/CapabilityStatement-versions",
        on_system: true,
        on_types: Types::None,
        on_instances: Types::None,
        methods: &[Method::GET],
        writes: false,
        acts_by: &[],
        needs: Needs::Nothing,
        needs_to_act: Needs::NOBODY,
        obeys: Obeys::Nothing,
        run: operations::versions::run,
    },
    Operation {
        name: "$everything",
        label: "fhir/$everything",
        definition: "http://hl7.org/fhir/OperationDefinition/Patient-everything",
        on_system: false,
        on_types: Types::None,
        on_instances: Types::Only(&["Patient"]),
        methods: &[Method::GET, Method::POST],
        writes: false,
        acts_by: &[],
        needs: READ,
        needs_to_act: Needs::NOBODY,
        obeys: Obeys::Clause(&[Letter::Read, Letter::Search]),
        run: operations::everything::run,
    },
    Operation {
        name: "$includes",
        label: "fhir/$includes",
        definition: "urn:anamnesis:operation:includes",
        on_system: true,
        on_types: Types::All,
        on_instances: Types::None,
        methods: &[Method::GET],
        writes: false,
        acts_by: &[],
        needs: SEARCH,
        needs_to_act: Needs::NOBODY,
        obeys: Obeys::Clause(&[Letter::Search]),
        run: operations::includes::run,
    },
    Operation {
        name: "$lastn",
        label: "fhir/$lastn",
        definition: "http://hl7.org/fhir/OperationDefinition/Observation-lastn",
        on_system: false,
        on_types: Types::Only(&["Observation"]),
        on_instances: Types::None,
        methods: &[Method::GET, Method::POST],
        writes: false,
        acts_by: &[],
        needs: SEARCH,
        needs_to_act: Needs::NOBODY,
        obeys: Obeys::Clause(&[Letter::Search]),
        run: operations::lastn::run,
    },
    Operation {
        name: "$docref",
        label: "fhir/$docref",
        definition: "http://hl7.org/fhir/us/core/OperationDefinition/docref",
        on_system: false,
        on_types: Types::Only(&["DocumentReference"]),
        on_instances: Types::None,
        methods: &[Method::GET, Method::POST],
        writes: false,
        acts_by: &[],
        needs: SEARCH,
        needs_to_act: Needs::NOBODY,
        obeys: Obeys::Clause(&[Letter::Search]),
        run: operations::docref::run,
    },
    Operation {
        name: "$member-match",
        label: "fhir/$member-match",
        definition: "http://hl7.org/fhir/us/davinci-hrex/OperationDefinition/member-match",
        on_system: false,
        on_types: Types::Only(&["Patient"]),
        on_instances: Types::None,
        methods: &[Method::POST],
        writes: false,
        acts_by: &[],
        needs: SEARCH,
        needs_to_act: Needs::NOBODY,
        obeys: Obeys::Whole(&[Letter::Read, Letter::Search]),
        run: operations::member_match::run,
    },
    export("http://hl7.org/fhir/uv/bulkdata/OperationDefinition/export", true, Types::None, Types::None),
    export("http://hl7.org/fhir/uv/bulkdata/OperationDefinition/patient-export", false, PATIENT, Types::None),
    export("http://hl7.org/fhir/uv/bulkdata/OperationDefinition/group-export", false, Types::None, GROUP),
    terminology(
        "$expand",
        "fhir/$expand",
        "http://hl7.org/fhir/OperationDefinition/ValueSet-expand",
        VALUE_SET,
        VALUE_SET,
        operations::expand::run,
    ),
    terminology(
        "$validate-code",
        "fhir/$validate-code",
        "http://hl7.org/fhir/OperationDefinition/ValueSet-validate-code",
        VALUE_SET,
        VALUE_SET,
        operations::validate_code::of_value_set,
    ),
    terminology(
        "$validate-code",
        "fhir/$validate-code",
        "http://hl7.org/fhir/OperationDefinition/CodeSystem-validate-code",
        CODE_SYSTEM,
        CODE_SYSTEM,
        operations::validate_code::of_code_system,
    ),
    terminology(
        "$lookup",
        "fhir/$lookup",
        "http://hl7.org/fhir/OperationDefinition/CodeSystem-lookup",
        CODE_SYSTEM,
        Types::None,
        operations::lookup::run,
    ),
    terminology(
        "$subsumes",
        "fhir/$subsumes",
        "http://hl7.org/fhir/OperationDefinition/CodeSystem-subsumes",
        CODE_SYSTEM,
        CODE_SYSTEM,
        operations::subsumes::run,
    ),
    Operation {
        name: "$import",
        label: "fhir/$import",
        definition: "urn:anamnesis:operation:code-system-import",
        on_system: false,
        on_types: CODE_SYSTEM,
        on_instances: CODE_SYSTEM,
        methods: &[Method::POST],
        writes: true,
        acts_by: &[],
        needs: Needs::all(&[Action::Import]),
        needs_to_act: Needs::NOBODY,
        obeys: Obeys::Whole(bounds::ALL),
        run: operations::import::run,
    },
    terminology(
        "$translate",
        "fhir/$translate",
        "http://hl7.org/fhir/OperationDefinition/ConceptMap-translate",
        CONCEPT_MAP,
        CONCEPT_MAP,
        operations::translate::run,
    ),
    Operation {
        name: "$validate",
        label: "fhir/$validate",
        definition: "http://hl7.org/fhir/OperationDefinition/Resource-validate",
        on_system: true,
        on_types: Types::All,
        on_instances: Types::All,
        methods: &[Method::GET, Method::POST],
        writes: false,
        acts_by: &[],
        needs: Needs::all(&[Action::ResourceValidate]),
        needs_to_act: Needs::NOBODY,
        obeys: Obeys::Nothing,
        run: operations::validate::run,
    },
    Operation {
        name: "$status",
        label: "fhir/$status",
        definition: "http://hl7.org/fhir/uv/subscriptions-backport/OperationDefinition/backport-subscription-status",
        on_system: false,
        on_types: Types::Only(&["Subscription"]),
        on_instances: Types::Only(&["Subscription"]),
        methods: &[Method::GET, Method::POST],
        writes: false,
        acts_by: &[],
        needs: READ,
        needs_to_act: Needs::NOBODY,
        obeys: Obeys::Whole(&[Letter::Read, Letter::Search]),
        run: operations::subscription_status::run,
    },
    Operation {
        name: "$status",
        label: "fhir/$status-of-search-parameters",
        definition: "urn:anamnesis:operation:search-parameter-status",
        on_system: false,
        on_types: Types::Only(&["SearchParameter"]),
        on_instances: Types::None,
        methods: &[Method::GET, Method::POST, Method::PUT],
        writes: false,
        acts_by: &[Method::POST, Method::PUT],
        needs: SEARCH,
        needs_to_act: Needs::all(&[Action::SearchParameter]),
        obeys: Obeys::Whole(bounds::ALL),
        run: operations::parameter_status::run,
    },
    Operation {
        name: "$reindex",
        label: "fhir/$reindex",
        definition: "urn:anamnesis:operation:reindex",
        on_system: true,
        on_types: Types::None,
        on_instances: Types::All,
        methods: &[Method::GET, Method::POST],
        writes: false,
        acts_by: &[Method::POST],
        needs: REINDEX,
        needs_to_act: REINDEX,
        obeys: Obeys::Whole(bounds::ALL),
        run: operations::reindex::run,
    },
    Operation {
        name: "$events",
        label: "fhir/$events",
        definition: "http://hl7.org/fhir/uv/subscriptions-backport/OperationDefinition/backport-subscription-events",
        on_system: false,
        on_types: Types::None,
        on_instances: Types::Only(&["Subscription"]),
        methods: &[Method::GET, Method::POST],
        writes: false,
        acts_by: &[],
        needs: READ,
        needs_to_act: Needs::NOBODY,
        obeys: Obeys::Whole(&[Letter::Read, Letter::Search]),
        run: operations::subscription_events::run,
    },
    Operation {
        name: "$purge-history",
        label: "fhir/$purge-history",
        definition: "urn:anamnesis:operation:purge-history",
        on_system: false,
        on_types: Types::None,
        on_instances: Types::All,
        methods: &[Method::DELETE, Method::POST],
        writes: true,
        acts_by: &[],
        needs: Needs::all(&[Action::HardDelete]),
        needs_to_act: Needs::NOBODY,
        obeys: Obeys::Clause(&[Letter::Delete]),
        run: operations::purge_history::run,
    },
    of_patients(
        "$purge",
        "fhir/$purge",
        "urn:anamnesis:operation:purge",
        &[Method::POST],
        Needs::all(&[Action::HardDelete, Action::BulkOperator]),
        operations::purge::run,
    ),
    of_patients(
        "$legal-hold",
        "fhir/$legal-hold",
        "urn:anamnesis:operation:legal-hold",
        &[Method::GET, Method::POST],
        Needs::all(&[Action::LegalHold]),
        operations::legal_hold::run,
    ),
    of_patients(
        "$legal-hold-release",
        "fhir/$legal-hold-release",
        "urn:anamnesis:operation:legal-hold-release",
        &[Method::POST],
        Needs::all(&[Action::LegalHold]),
        operations::legal_hold::release,
    ),
];

const READ: Needs = Needs::all(&[Action::ReadById, Action::Search]);
const SEARCH: Needs = Needs::all(&[Action::Search]);
const REINDEX: Needs = Needs::all(&[Action::Reindex]);
const EXPORT: Needs = Needs::all(&[Action::Export]);

const PATIENT: Types = Types::Only(&["Patient"]);
const GROUP: Types = Types::Only(&["Group"]);
const VALUE_SET: Types = Types::Only(&["ValueSet"]);
const CODE_SYSTEM: Types = Types::Only(&["CodeSystem"]);
const CONCEPT_MAP: Types = Types::Only(&["ConceptMap"]);

/// A bulk export, which has a definition of its own for each of its levels.
const fn export(
    definition: &'static str,
    on_system: bool,
    on_types: Types,
    on_instances: Types,
) -> Operation {
    Operation {
        name: "$export",
        label: "fhir/$export",
        definition,
        on_system,
        on_types,
        on_instances,
        methods: &[Method::GET],
        writes: false,
        acts_by: &[],
        needs: EXPORT,
        needs_to_act: Needs::NOBODY,
        obeys: Obeys::Some(&[Letter::Search]),
        run: operations::export::run,
    }
}

/// A question to the terminology: asked with GET or POST, changes nothing.
const fn terminology(
    name: &'static str,
    label: &'static str,
    definition: &'static str,
    on_types: Types,
    on_instances: Types,
    run: Run,
) -> Operation {
    let methods = &[Method::GET, Method::POST];
    Operation {
        name,
        label,
        definition,
        on_system: false,
        on_types,
        on_instances,
        methods,
        writes: false,
        acts_by: &[],
        needs: READ,
        needs_to_act: Needs::NOBODY,
        obeys: Obeys::Nothing,
        run,
    }
}

/// What is done with all that belongs to a patient: for who may reach everything.
const fn of_patients(
    name: &'static str,
    label: &'static str,
    definition: &'static str,
    methods: &'static [Method],
    needs: Needs,
    run: Run,
) -> Operation {
    Operation {
        name,
        label,
        definition,
        on_system: false,
        on_types: Types::None,
        on_instances: Types::Only(&["Patient"]),
        methods,
        writes: true,
        acts_by: &[],
        needs,
        needs_to_act: Needs::NOBODY,
        obeys: Obeys::Whole(bounds::ALL),
        run,
    }
}

/// The operation of this name that can be called on this.
pub(super) fn find(name: &str, level: &Level) -> Option<&'static Operation> {
    let is_offered = |operation: &&Operation| match level {
        Level::System => operation.on_system,
        Level::Type(of) => operation.on_types.contains(of),
        Level::Instance(key) => operation.on_instances.contains(&key.resource_type),
    };
    OPERATIONS.iter().filter(|operation| operation.name == name).find(is_offered)
}

impl Operation {
    /// What whoever calls it with this method needs.
    pub(super) fn needs(&self, method: &Method) -> Needs {
        if self.acts_by.contains(method) { self.needs_to_act } else { self.needs }
    }

    /// Whether it can be called on the service.
    pub(super) fn is_of_system(&self) -> bool {
        self.on_system
    }

    /// Whether it can be called on this type or on its instances.
    pub(super) fn is_of_type(&self, name: &str) -> bool {
        self.on_types.contains(name) || self.on_instances.contains(name)
    }
}

impl Types {
    fn contains(self, name: &str) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::Only(names) => names.contains(&name),
        }
    }
}

impl PartialEq for Operation {
    /// Rows are told apart by where they stand: there is one of each.
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

impl Eq for Operation {}

impl fmt::Debug for Operation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name)
    }
}
