//! How much of a resource is checked when it is written: nothing but what the log needs, R4, or declared profiles.

use actix_web::http::header::{HeaderMap, HeaderName};
use anamnesis_fhir::json::{Document, Kind, Value};
use anamnesis_fhir::validate::profile::Demands;
use anamnesis_fhir::validate::{self, Options, Severity};

use super::call::Call;
use crate::clock;
use crate::error::{Failure, FailureKind, Issue, IssueCode};

/// `x-ms-profile-validation: true | false` overrides the setting for one request (AHDS).
const HEADER: HeaderName = HeaderName::from_static("x-ms-profile-validation");

/// How much is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Checked {
    /// That it is a resource which the log can hold.
    Off,
    /// R4's own rules.
    #[default]
    Base,
    /// Also the profiles that it declares and the definitions of its extensions.
    Profiles,
}

/// What the settings say.
#[derive(Debug, Clone, Copy, Default)]
pub struct ValidationOptions {
    /// What is checked where the request does not say.
    pub checked: Checked,
    /// Whether a declared profile that nobody knows is refused.
    pub unknown_profile_is_error: bool,
}

impl ValidationOptions {
    /// What an unknown profile is.
    pub(crate) fn unknown_profile(self) -> Severity {
        if self.unknown_profile_is_error { Severity::Error } else { Severity::Warning }
    }
}

/// Reads the header.
///
/// # Errors
/// 400 for a value that is neither true nor false: it must not be taken for the opposite of what was meant.
pub(crate) fn asked(headers: &HeaderMap) -> Result<Option<bool>, Failure> {
    let Some(value) = headers.get(HEADER) else { return Ok(None) };
    match value.to_str().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
        "true" => Ok(Some(true)),
        "false" => Ok(Some(false)),
        _ => Err(Failure::invalid("The header x-ms-profile-validation must be true or false.")),
    }
}

impl Call {
    /// What of the resources of this request is checked.
    pub(crate) fn checked(&self) -> Checked {
        match (self.profile_validation, self.service.options.validation.checked) {
            (Some(true), _) => Checked::Profiles,
            (Some(false), Checked::Profiles) => Checked::Base,
            (_, setting) => setting,
        }
    }
}

/// Checks a resource by R4's rules, as far as they are asked for. Bundles are checked with all that is in them.
///
/// # Errors
/// 400 with all that is wrong.
pub(crate) fn base(root: Value<'_>, checked: Checked) -> Result<(), Failure> {
    if checked == Checked::Off {
        return holdable(root, "").map_err(|issue| Failure::with_issues(FailureKind::Invalid, vec![issue]));
    }
    refuse(validate::validate(root, &Options::default()))
}

/// Checks the profiles after R4's rules, and tells what is wrong by both of them.
///
/// # Errors
/// 400 with all that is wrong; the log cannot be read.
pub(crate) async fn with_profiles(
    call: &Call,
    document: &Document,
    base: Result<(), Failure>,
) -> Result<(), Failure> {
    let Err(failure) = base else { return profiles(call, document).await };
    if failure.kind() != FailureKind::Invalid || document.root().kind() != Kind::Object {
        return Err(failure);
    }
    match profiles(call, document).await {
        Err(more) if more.kind() == FailureKind::Invalid => Err(failure.and(more)),
        // Where nobody can tell what profiles say, it is wrong all the same.
        _ => Err(failure),
    }
}

/// Checks the profiles that a resource declares, where they are to be checked.
///
/// # Errors
/// 400 with all that is wrong; the log cannot be read.
pub(crate) async fn profiles(call: &Call, document: &Document) -> Result<(), Failure> {
    if call.checked() != Checked::Profiles {
        return Ok(());
    }
    let demands = Demands {
        unknown_profile: call.service.options.validation.unknown_profile(),
        unknown_extensions: false,
        now: Some(clock::now().fixed_offset()),
        ..Demands::default()
    };
    let terminology = &call.service.terminology;
    refuse(call.service.profiles.check(document.root(), &demands, terminology).await?)
}

fn refuse(issues: Vec<validate::Issue>) -> Result<(), Failure> {
    if !issues.iter().any(|issue| issue.severity.is_error()) {
        return Ok(());
    }
    // Who has to repair it anyway is told of what is merely odd as well.
    Err(Failure::with_issues(FailureKind::Invalid, issues.into_iter().map(Issue::from).collect()))
}

/// What the log needs of a resource, and of each one in the entries of a Bundle: a type of R4, and a `meta` that can be
/// stamped.
fn holdable(resource: Value<'_>, path: &str) -> Result<(), Issue> {
    let named = resource.get("resourceType").and_then(Value::as_str);
    let known = named.filter(|name| anamnesis_fhir::definitions::r4().is_resource(name));
    let Some(name) = known else {
        let issue = Issue::error(IssueCode::Structure, "The resourceType is no type of R4.");
        return Err(issue.at(format!("{path}resourceType")));
    };
    let path = if path.is_empty() { format!("{name}.") } else { path.to_owned() };
    if resource.get("meta").is_some_and(|meta| meta.kind() != Kind::Object) {
        return Err(
            Issue::error(IssueCode::Structure, "The meta must be a JSON object.").at(format!("{path}meta"))
        );
    }
    if resource.get("id").is_some_and(|id| id.kind() != Kind::String) {
        return Err(Issue::error(IssueCode::Structure, "The id must be a string.").at(format!("{path}id")));
    }
    if name != "Bundle" {
        return Ok(());
    }
    let entries = resource.get("entry").into_iter().flat_map(Value::items).enumerate();
    let resources = entries.filter_map(|(index, entry)| Some((index, entry.get("resource")?)));
    resources
        .into_iter()
        .try_for_each(|(index, inner)| holdable(inner, &format!("{path}entry[{index}].resource.")))
}
