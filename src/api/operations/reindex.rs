//! `$reindex`: has the search index built with the search parameters that are stored now, beside the one that searches use
//! (an operation of AHDS). Of one resource: what it is, or would be, found by.

use actix_web::http::{Method, StatusCode, header};
use anamnesis_events::ResourceKey;
use anamnesis_fhir::definitions::r4;
use anamnesis_fhir::json::{Document, Limits};
use anamnesis_fhir::search::{SearchParameterKind, SearchRegistry};
use serde_json::{Value, json};

use super::{Input, Takes};
use crate::api::answer::Answer;
use crate::api::call::Call;
use crate::api::operation::{Invocation, Level, Work};
use crate::api::{read, reindex_job};
use crate::error::{Failure, FailureKind, Issue, IssueCode};
use crate::search_parameters::Begun;

/// Numbers, with the least and the most that they can be (those of AHDS).
const NUMBERS: [(&str, u64, u64); 4] = [
    ("maximumNumberOfResourcesPerQuery", 1, 10_000),
    ("maximumNumberOfResourcesPerWrite", 1, 10_000),
    ("queryDelayIntervalInMilliseconds", 0, 500_000),
    ("targetDataStoreUsagePercentage", 0, 100),
];
const TYPES: &str = "targetResourceTypes";
const PARAMETERS: &str = "targetSearchParameterTypes";
const TAKES: Takes = Takes {
    operation: "$reindex",
    once: &[
        "maximumNumberOfResourcesPerQuery",
        "maximumNumberOfResourcesPerWrite",
        "queryDelayIntervalInMilliseconds",
        "targetDataStoreUsagePercentage",
        TYPES,
        PARAMETERS,
    ],
    refuses_others: true,
    ..Takes::NOTHING
};
/// Values of a resource that are shown.
const VALUES_MAX: usize = 1000;

/// `POST /$reindex`, `GET /$reindex`, `GET` and `POST /Patient/1/$reindex`
pub(in crate::api) fn run(call: &Call, invocation: Invocation) -> Work<'_> {
    Box::pin(answer(call, invocation))
}

async fn answer(call: &Call, invocation: Invocation) -> Result<Answer, Failure> {
    let is_post = invocation.method == Method::POST;
    match invocation.level {
        Level::Instance(key) => values(call, &key, is_post).await,
        _ if is_post => begin(call, invocation.body).await,
        _ => reindex_job::list(call).await,
    }
}

async fn begin(call: &Call, body: crate::api::Body) -> Result<Answer, Failure> {
    let keeper = call.service.keeper()?;
    let input = Input::read(call, body).await?;
    let mut issues = TAKES.check(call, &input)?;
    let given = given(&input, &mut issues);
    if !issues.is_empty() {
        return Err(Failure::with_issues(FailureKind::Invalid, issues));
    }
    let begun = keeper.reindex(Value::from(given).to_string(), &call.provenance().agent).await?;
    let conflict = |text: String| Err(Failure::new(FailureKind::Conflict, IssueCode::Conflict, text));
    match begun {
        Begun::Job(job) => {
            let version = keeper.job(&job.id).await?.and_then(|(_, version)| version);
            let shown = reindex_job::shown(call, &job, version.as_ref()).await?;
            let mut answer = Answer { status: StatusCode::CREATED, ..Answer::ok(shown.to_string()) };
            answer.headers.push((header::CONTENT_LOCATION, reindex_job::address(call, &job.id)));
            Ok(answer)
        }
        Begun::Under(job) => {
            let address = reindex_job::address(call, &job.id);
            conflict(format!(
                "A reindex is under way: {address}. It can be waited for, or cancelled by a DELETE there."
            ))
        }
        Begun::Version(version) => conflict(format!(
            "Version {version} of the search index is being built already: by an operator's order ($rebuild), or because \
             the configuration asks for the words of texts (search.full_text)."
        )),
    }
}

/// What the client has said, as it is answered; what is wrong with it goes to the issues.
fn given(input: &Input<'_>, issues: &mut Vec<Issue>) -> Vec<Value> {
    let mut given = Vec::new();
    let mut wrong = |name: &str, text: String| issues.push(Issue::error(IssueCode::Value, text).at(name));
    for (name, least, most) in NUMBERS {
        let Some(text) = input.text(name) else { continue };
        match text.parse::<u64>() {
            Ok(number) if (least..=most).contains(&number) => {
                given.push(json!({ "name": name, "valueDecimal": number }));
            }
            _ => wrong(name, format!("{name} is a whole number from {least} to {most}.")),
        }
    }
    if let Some(text) = input.text(TYPES) {
        match text.split(',').map(str::trim).find(|name| !r4().is_resource(name)) {
            None => given.push(json!({ "name": TYPES, "valueString": text })),
            Some(_) => wrong(TYPES, format!("{TYPES} are resource types of R4, separated by commas.")),
        }
    }
    if let Some(text) = input.text(PARAMETERS) {
        let is_known = |one: &str| one.contains(':') || SearchParameterKind::from_code(one).is_some();
        match text.split(',').map(str::trim).all(is_known) {
            true => given.push(json!({ "name": PARAMETERS, "valueString": text })),
            false => wrong(
                PARAMETERS,
                format!("{PARAMETERS} are addresses or types of search parameters, separated by commas."),
            ),
        }
    }
    given
}

/// The values of a resource by search parameter: as it is indexed, or as it would be after a reindex.
async fn values(call: &Call, key: &ResourceKey, as_indexed: bool) -> Result<Answer, Failure> {
    let event = read::living(call, key).await?;
    let document = Document::parse(event.payload.to_vec(), &Limits::default())?;
    let registry: SearchRegistry = match as_indexed {
        true => call.service.index()?.parameters().registry().clone(),
        false => {
            call.service.parameters.refresh().await?;
            call.service.keeper()?.stored_registry()
        }
    };
    let mut values: Vec<Value> = Vec::new();
    for parameter in registry.parameters(&key.resource_type) {
        parameter.extract_each(document.root(), |found| {
            if values.len() < VALUES_MAX {
                let text = found
                    .value
                    .as_str()
                    .map_or_else(|| found.value.raw().to_owned(), |text| text.into_owned());
                values.push(json!({ "name": parameter.code(), "valueString": text }));
            }
        });
    }
    // Every resource has its id among them.
    Ok(Answer::ok(json!({ "resourceType": "Parameters", "parameter": values }).to_string()))
}
