//! `_explain` on a search: how it is done instead of what it finds, for operators.
//!
//! Where the service has an authority, whoever asks needs the data action `configuration`, as operators have it, beside the right
//! to search. No web page and no entry of a bundle may ask, and nobody where `search.explain` is off. Values of the query are shown to who asks for them only.

use std::borrow::Cow;

use anamnesis_projections::search::{ExplainOptions, Explained, Ran, Scope, explained};
use serde_json::{Value, json};

use super::answer::Answer;
use super::call::Call;
use super::{contained, include, search};
use crate::clock;
use crate::error::Failure;

/// The parameter: `true`, or what else is wanted, separated by commas.
const PARAMETER: &str = "_explain";
/// Its value where nothing is wanted.
const NOT: &str = "false";

pub(super) fn is_asked(call: &Call) -> bool {
    call.query.get(PARAMETER).is_some_and(|wanted| wanted != NOT)
}

/// The parameters of a search that nobody is to be told of how it is done.
pub(super) fn without(parameters: &[(String, String)]) -> Cow<'_, [(String, String)]> {
    let says_no = |(name, wanted): &(String, String)| name == PARAMETER && wanted == NOT;
    match parameters.iter().any(says_no) {
        false => Cow::Borrowed(parameters),
        true => parameters.iter().filter(|parameter| !says_no(parameter)).cloned().collect(),
    }
}

/// Refuses what is not answered by the index alone.
///
/// # Errors
/// 400 where it is asked for.
pub(super) fn refuse(call: &Call) -> Result<(), Failure> {
    match is_asked(call) {
        false => Ok(()),
        true => Err(Failure::invalid("_explain cannot be combined with _asOf.")),
    }
}

/// Searches, and tells how.
///
/// # Errors
/// 403 for web pages, entries of bundles, and where it is turned off; those of the search.
pub(super) async fn answer(call: &Call, scope: &Scope) -> Result<Answer, Failure> {
    // Plans tell of what others have.
    if !(call.explicable && call.service.options.explain && call.is_unbounded()) {
        return Err(Failure::forbidden(
            "_explain is for operators: not in bundles, not for web pages, not with scopes, and not where search.explain is off.",
        ));
    }
    let options = options(call)?;
    let mut parameters = call.query.0.clone();
    parameters.retain(|(name, _)| name != PARAMETER);
    let (told, Explained { statements, left_out }) = explained(options, told(call, scope, &parameters)).await;
    let statements: Vec<Value> = statements.into_iter().map(ran).collect();
    let told = json!({"search": told?, "statements": statements, "statementsLeftOut": left_out});
    let body = serde_json::to_vec(&told).map_err(|_bug| Failure::internal())?;
    Ok(Answer { content_type: Some("application/json".to_owned()), ..Answer::ok(body) })
}

fn options(call: &Call) -> Result<ExplainOptions, Failure> {
    let mut options = ExplainOptions::default();
    for wanted in call.query.get(PARAMETER).unwrap_or_default().split(',') {
        match wanted {
            "true" => {}
            "values" => options.values = true,
            "analyze" => options.analyze = true,
            _ => return Err(Failure::invalid("_explain: true, values or analyze is wanted.")),
        }
    }
    Ok(options)
}

/// The search part by part, without its statements.
async fn told(call: &Call, scope: &Scope, parameters: &[(String, String)]) -> Result<Value, Failure> {
    let begun = clock::elapsed();
    let (query, issues) = search::parse(call, scope, parameters).await?;
    let parsed = clock::elapsed();
    let index = call.index()?;
    let wanted = search::wanted(call, &index).await?;
    // Whether it was in time, the positions tell.
    let _ = index.wait_for(wanted, call.service.options.search_wait).await;
    let waited = clock::elapsed();
    let page = index.search(&query).await?;
    let found = clock::elapsed();
    let matches = contained::fetch(call, &page.matches).await?;
    search::refuse_strangers(&page.matches, &matches)?;
    let matches = contained::shown(page.matches.iter().zip(matches));
    let fetched = clock::elapsed();
    let included = include::of_page(call, &query, page.as_of, &matches, 0).await?;
    let names: Vec<&str> = query.applied().iter().map(|(name, _)| name.as_str()).collect();
    Ok(json!({
        "types": query.types(),
        "parameters": names,
        "leftOut": issues.len(),
        "position": {"wanted": wanted.get(), "reached": page.reached.get(), "asOf": page.as_of.get()},
        "matches": matches.len(),
        "bytes": matches.iter().map(|event| event.payload.len()).sum::<usize>(),
        "included": included.events.len(),
        "total": page.total,
        "milliseconds": {
            "parse": milliseconds(parsed - begun),
            "wait": milliseconds(waited - parsed),
            "bodies": milliseconds(fetched - found),
        },
    }))
}

fn ran(statement: Ran) -> Value {
    json!({
        "text": statement.text,
        "boundValues": statement.bound,
        "values": statement.values,
        "rows": statement.rows,
        "milliseconds": milliseconds(statement.took),
        "plan": statement.plan,
    })
}

fn milliseconds(time: std::time::Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
