//! Which parameters and conditions the interactions with one resource understand, and what becomes of others. A search and
//! an operation have their own parameters; what is said twice, or with a modifier that means nothing, is refused everywhere.

mod conditions;

use anamnesis_fhir::search::SearchRegistry;
use anamnesis_projections::search::{INCLUDES_PARAMETER, PAGE_PARAMETER, SearchIndex};

use super::as_of;
use super::call::Call;
use super::delete;
use super::interaction::Interaction;
use super::query::{GENERAL, Query, encode};
use super::subset::Subset;
use crate::error::{Failure, FailureKind, IssueCode};

/// Whether a version is kept where the next one changes `meta` only (as AHDS has it).
pub(crate) const META_HISTORY: &str = "_meta-history";

/// Parameters that have one value: how results are given, or how something is done.
const SINGLE: [&str; 19] = [
    "_format",
    "_pretty",
    "_summary",
    "_elements",
    "_count",
    "_sort",
    "_total",
    "_contained",
    "_containedType",
    "_includesCount",
    "_score",
    "_since",
    "_before",
    "_at",
    "_page",
    "_explain",
    META_HISTORY,
    PAGE_PARAMETER,
    INCLUDES_PARAMETER,
];

/// Others that have no modifiers (R4 search.html#modifiers).
const WITHOUT_MODIFIER: [&str; 7] =
    ["_type", "_list", "_not-referenced", "_filter", "_query", delete::HARD[0], delete::HARD[1]];

/// Criteria that R4 has for all types and that are no search parameters of its own, or not of every index.
const CRITERIA_OF_ALL: [&str; 6] = ["_has", "_list", "_not-referenced", "_filter", "_text", "_content"];

/// Refuses what would otherwise go unheard: a condition where there is none, criteria where nothing is searched, what is said
/// twice, and parameters that are not known, where the client or the configuration wants that. A delete knows no such
/// leniency: a misspelt `hardDelete` would keep what its client wants to be gone.
///
/// # Errors
/// 400 that names the header or the parameter.
pub(super) fn check(
    call: &Call,
    interaction: Interaction,
    resource_type: Option<&str>,
) -> Result<(), Failure> {
    conditions::check(call, interaction)?;
    meta_history(&call.query)?;
    check_modifiers(&call.query)?;
    let of_metadata = (interaction == Interaction::Capabilities).then_some("mode");
    check_repeated(&call.query, of_metadata)?;
    let is_write_of_one =
        matches!(interaction, Interaction::Create | Interaction::Update | Interaction::Patch);
    if let (true, Some(resource_type)) = (is_write_of_one, resource_type) {
        refuse_criteria(call, resource_type)?;
    }
    let refuses = call.refuses_unknown();
    if refuses && call.query.get("_pretty").is_some_and(|pretty| !matches!(pretty, "true" | "false")) {
        return Err(Failure::invalid("_pretty is true or false."));
    }
    let Some(known) = known(interaction) else { return Ok(()) };
    if let (true, Some(resource_type)) = (known.contains(&"_elements"), resource_type) {
        // A resource has no place for a warning.
        let _left_out = Subset::parse(&call.query)?.without_element(call, &[resource_type])?;
    }
    let unknown = call.query.others(known).find(|(name, _)| !GENERAL.contains(&name.as_str()));
    match unknown {
        Some((name, _)) if interaction == Interaction::Delete || refuses => {
            let are = match known {
                [] => "those of every request".to_owned(),
                known => format!("{} and those of every request", known.join(", ")),
            };
            let text = format!("The parameter {} is not known here, where there are {are}.", encode(name));
            Err(Failure::new(FailureKind::Invalid, IssueCode::NotSupported, text))
        }
        _ => Ok(()),
    }
}

/// What an interaction knows; `None` where it looks at all of its query itself.
fn known(interaction: Interaction) -> Option<&'static [&'static str]> {
    match interaction {
        Interaction::Read => Some(&["_summary", "_elements", as_of::PARAMETER]),
        Interaction::VersionRead => Some(&["_summary", "_elements"]),
        Interaction::Create | Interaction::Update | Interaction::Patch => Some(&[META_HISTORY]),
        Interaction::Delete => Some(&delete::HARD),
        Interaction::Capabilities => Some(&["mode"]),
        Interaction::Transaction
        | Interaction::Batch
        | Interaction::ReindexStatus
        | Interaction::ReindexCancel
        | Interaction::ExportStatus
        | Interaction::ExportCancel
        | Interaction::ExportFile => Some(&[]),
        Interaction::ConditionalUpdate
        | Interaction::ConditionalPatch
        | Interaction::ConditionalDelete
        | Interaction::HistoryOfInstance
        | Interaction::HistoryOfType
        | Interaction::HistoryOfSystem
        | Interaction::SearchSystem
        | Interaction::SearchType
        | Interaction::SearchCompartment
        | Interaction::Operation(_) => None,
    }
}

/// A modifier would be left out together with its parameter, and the answer be that to another question.
fn check_modifiers(query: &Query) -> Result<(), Failure> {
    let is_refused = |name: &str| match name.split_once(':') {
        Some(("_include" | "_revinclude", modifier)) => !matches!(modifier, "iterate" | "recurse"),
        Some((code, _)) => SINGLE.contains(&code) || WITHOUT_MODIFIER.contains(&code),
        None => false,
    };
    match query.0.iter().find(|(name, _)| is_refused(name)) {
        Some((name, _)) => Err(with_modifier(name)),
        None => Ok(()),
    }
}

/// 400 for a parameter whose modifier means nothing.
pub(super) fn with_modifier(name: &str) -> Failure {
    let code = name.split(':').next().unwrap_or_default();
    let text = match code {
        "_include" | "_revinclude" => format!("{code}: the only modifier is :iterate."),
        _ => format!("{} takes no modifier.", encode(code)),
    };
    Failure::new(FailureKind::Invalid, IssueCode::NotSupported, text)
}

/// Of two values one would go unheard.
fn check_repeated(query: &Query, also: Option<&str>) -> Result<(), Failure> {
    let contradicted = SINGLE.into_iter().chain(also).find(|single| {
        let mut values = query.0.iter().filter(|(name, _)| name == single).map(|(_, value)| value);
        values.next().is_some_and(|first| values.any(|other| other != first))
    });
    let Some(name) = contradicted else { return Ok(()) };
    let text = format!("{name} is given more than once, with different values.");
    Err(Failure::new(FailureKind::Invalid, IssueCode::Duplicate, text))
}

/// Criteria in the address of a write of one resource: its client believes that they decide what is written.
fn refuse_criteria(call: &Call, resource_type: &str) -> Result<(), Failure> {
    let others = call.query.others(&[META_HISTORY]).map(|(name, _)| name.as_str());
    let mut unknown = others.filter(|name| !GENERAL.contains(name)).peekable();
    if unknown.peek().is_none() {
        return Ok(());
    }
    let catalogue = call.service.search.as_ref().map(SearchIndex::catalogue);
    let is_criterion = |name: &&str| {
        let code = name.split([':', '.']).next().unwrap_or_default();
        CRITERIA_OF_ALL.contains(&code)
            || [resource_type, "Resource"].into_iter().any(|of| {
                SearchRegistry::r4().get(of, code).is_some()
                    || catalogue.as_ref().is_some_and(|catalogue| catalogue.get(of, code).is_some())
            })
    };
    let Some(name) = unknown.find(is_criterion) else { return Ok(()) };
    let text = format!(
        "{} is a search parameter, and no criteria are taken here: those of a create stand in the header If-None-Exist, \
         those of an update or a patch behind the type alone (PUT {resource_type}?…).",
        encode(name)
    );
    Err(Failure::new(FailureKind::Invalid, IssueCode::NotSupported, text))
}

/// Whether the version before is kept where only `meta` changes.
///
/// # Errors
/// 400 for what is neither yes nor no, or both.
pub(crate) fn meta_history(query: &Query) -> Result<bool, Failure> {
    Ok(query.flag(&[META_HISTORY])?.unwrap_or(true))
}

/// The criteria of a conditional write: its query without what says how to write.
pub(super) fn criteria(query: &Query) -> Query {
    Query(query.others(&[META_HISTORY]).cloned().collect())
}
