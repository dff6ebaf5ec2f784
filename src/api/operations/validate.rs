//! `$validate`: checks a resource and stores nothing (R4 resource-operation-validate.html). The answer is 200 with an
//! OperationOutcome, whatever is wrong with the resource (as AHDS has it).

use std::borrow::Cow;

use actix_web::http::Method;
use anamnesis_events::Operation as Written;
use anamnesis_fhir::json::{Document, Kind, Limits, Value};
use anamnesis_fhir::validate::profile::Demands;
use anamnesis_fhir::validate::{Options, validate};

use super::{Input, Takes};
use crate::api::answer::Answer;
use crate::api::call::Call;
use crate::api::operation::{Invocation, Level, Work};
use crate::api::read;
use crate::bundle;
use crate::clock;
use crate::error::{Failure, FailureKind, Issue, IssueCode, outcome};
use crate::search_parameters;

/// Profiles that one call may ask for.
const PROFILES_MAX: usize = 20;

const TAKES: Takes = Takes {
    operation: "$validate",
    once: &["mode", "resource"],
    often: &["profile"],
    takes_resource: true,
    ..Takes::NOTHING
};

/// What the resource is meant for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Nothing in particular: its content alone is checked.
    Any,
    Create,
    Update,
    Delete,
    /// Against the profiles that are given, which have to be.
    Profile,
}

/// `POST /$validate`, `POST /Patient/$validate`, `GET` and `POST /Patient/1/$validate`
pub(in crate::api) fn run(call: &Call, invocation: Invocation) -> Work<'_> {
    Box::pin(answer(call, invocation))
}

async fn answer(call: &Call, invocation: Invocation) -> Result<Answer, Failure> {
    let Invocation { level, method, body } = invocation;
    let input = Input::read(call, body).await?;
    let left_out = TAKES.check(call, &input)?;
    let mode = mode(input.text("mode"))?;
    let profiles = profiles(&input, mode)?;
    let mut issues = match (given(&input, &level), &level) {
        _ if mode == Mode::Delete => deletion(call, &level).await?,
        (Some(resource), _) => checked(call, resource, (mode, &level), profiles).await?,
        (None, Level::Instance(key)) => {
            let event = read::living(call, key).await?;
            let stored = Document::parse(event.payload.to_vec(), &Limits::default())?;
            checked(call, stored.root(), (mode, &level), profiles).await?
        }
        (None, _) if method == Method::GET => {
            return Err(Failure::invalid(
                "A GET validates what is stored, so it names a resource: Patient/1/$validate.",
            ));
        }
        (None, _) => {
            let text = "A resource is expected: as the body, or as the parameter resource of a Parameters.";
            return Err(Failure::new(FailureKind::Invalid, IssueCode::Required, text));
        }
    };
    issues.extend(left_out);
    Ok(Answer::ok(outcome(&call.correlation_id, &issues)))
}

fn mode(text: Option<Cow<'_, str>>) -> Result<Mode, Failure> {
    Ok(match text.as_deref() {
        None => Mode::Any,
        Some("create") => Mode::Create,
        Some("update") => Mode::Update,
        Some("delete") => Mode::Delete,
        Some("profile") => Mode::Profile,
        Some(_) => {
            let text = "The mode must be create, update, delete or profile.";
            return Err(Failure::new(FailureKind::Invalid, IssueCode::Value, text).at("mode"));
        }
    })
}

fn profiles(input: &Input<'_>, mode: Mode) -> Result<Vec<String>, Failure> {
    let profiles: Vec<String> = input.texts("profile").into_iter().map(Cow::into_owned).collect();
    if profiles.len() > PROFILES_MAX {
        let text = format!("{PROFILES_MAX} profiles can be asked for at a time.");
        return Err(Failure::new(FailureKind::Invalid, IssueCode::TooLong, text).at("profile"));
    }
    if mode == Mode::Profile && profiles.is_empty() {
        let text = "The mode profile needs the parameter profile.";
        return Err(Failure::new(FailureKind::Invalid, IssueCode::Required, text).at("profile"));
    }
    Ok(profiles)
}

/// The resource that was sent. A Parameters sent to its own type is one itself, unless it brings one.
fn given<'b>(input: &'b Input<'_>, level: &Level) -> Option<Value<'b>> {
    let is_of_parameters = matches!(level, Level::Type(name) if &**name == "Parameters");
    let bare = || input.document().map(Document::root).filter(|_| is_of_parameters);
    input.resource("resource").or_else(bare)
}

/// Everything that there is to say of a resource.
async fn checked(
    call: &Call,
    resource: Value<'_>,
    (mode, level): (Mode, &Level),
    profiles: Vec<String>,
) -> Result<Vec<Issue>, Failure> {
    let options = Options { warnings: true, ..Options::default() };
    let demands = Demands {
        profiles,
        unknown_profile: call.service.options.validation.unknown_profile(),
        now: Some(clock::now().fixed_offset()),
        ..Demands::default()
    };
    let mut issues = placed(resource, mode, level);
    issues.extend(validate(resource, &options).into_iter().map(Issue::from));
    if resource.get("resourceType").and_then(Value::as_str).is_some_and(|name| name == "Bundle") {
        issues.extend(bundle::faults(resource, call));
    }
    if resource.kind() == Kind::Object {
        let terminology = &call.service.terminology;
        issues.extend(
            call.service.profiles.check(resource, &demands, terminology).await?.into_iter().map(Issue::from),
        );
    }
    if resource.get("resourceType").and_then(Value::as_str).as_deref() == Some(search_parameters::TYPE) {
        issues.extend(unsearchable(call, resource, (mode, level)).await?);
    }
    if issues.is_empty() {
        issues.push(Issue::information("All OK: nothing is wrong with the resource."));
    }
    Ok(issues)
}

/// Why a SearchParameter cannot be searched by, as a write would say it.
async fn unsearchable(
    call: &Call,
    resource: Value<'_>,
    (mode, level): (Mode, &Level),
) -> Result<Vec<Issue>, Failure> {
    call.service.parameters.refresh().await?;
    let own = match level {
        Level::Instance(key) => Some(key.id.clone()),
        _ => resource.get("id").and_then(Value::as_str).map(Cow::into_owned),
    };
    let own = own.filter(|_| mode != Mode::Create);
    let standing = call.service.parameters.standing(own.as_deref(), resource);
    Ok(standing.err().into_iter().flatten().map(Issue::from).collect())
}

/// What follows from where the resource was sent, and what for.
fn placed(resource: Value<'_>, mode: Mode, level: &Level) -> Vec<Issue> {
    let text = |name: &str| resource.get(name).and_then(Value::as_str);
    let (named, id) = (text("resourceType"), text("id"));
    let mut issues = Vec::new();
    let (expected_type, expected_id) = match level {
        Level::System => (None, None),
        Level::Type(name) => (Some(&**name), None),
        Level::Instance(key) => (Some(&*key.resource_type), Some(key.id.as_str())),
    };
    if let Some(expected) = expected_type
        && named.as_deref().is_some_and(|named| named != expected)
    {
        let issue = Issue::error(
            IssueCode::Invalid,
            format!("The resource is no {expected}, but the path asks for one."),
        );
        issues.push(issue.at("resourceType"));
    }
    if mode == Mode::Create && id.is_some() {
        issues.push(
            Issue::information("A create gives the resource an id of the server's; this one is not kept.")
                .at("id"),
        );
    }
    if mode == Mode::Update && id.is_none() {
        let text = "An update names the resource's id in the body as well as in the path.";
        issues.push(Issue::error(IssueCode::Required, text).at("id"));
    }
    if let (Some(expected), Some(id)) = (expected_id, id)
        && mode != Mode::Create
        && id != expected
    {
        issues.push(
            Issue::error(IssueCode::Invalid, "The id in the body is another one than in the path.").at("id"),
        );
    }
    issues
}

/// Whether a resource could be deleted: what the log has now decides, and references to it do not hinder a delete here.
async fn deletion(call: &Call, level: &Level) -> Result<Vec<Issue>, Failure> {
    let Level::Instance(key) = level else {
        return Err(Failure::invalid(
            "The mode delete is asked of a resource: Patient/1/$validate?mode=delete.",
        ));
    };
    let event = call.service.compartments.reads().current(key.clone()).await?;
    // Of what was erased nothing is told: it never was.
    let event = event.filter(|event| !event.is_gone());
    let event = match event {
        Some(event) if call.can_read(&event).await? => Some(event),
        _ => None,
    };
    Ok(vec![match event {
        None => Issue::error(IssueCode::NotFound, "There is no resource of this type and id."),
        Some(event) if event.operation == Written::Delete => {
            Issue::information("The resource is deleted already; another delete changes nothing.")
        }
        Some(_) => Issue::information("All OK: the resource can be deleted."),
    }])
}
