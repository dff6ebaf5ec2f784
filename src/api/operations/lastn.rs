//! `Observation/$lastn`: the newest observations of each kind (R4 observation-operation-lastn.html).
//!
//! Observations are of one kind where a coding of theirs is the same, over however many others: a panel that says the
//! same in LOINC and in a local code joins both. Where there are no codings, the text of the code is the kind.

use std::collections::HashMap;

use anamnesis_events::Event;
use anamnesis_fhir::json::{Document, Limits, Value};
use anamnesis_fhir::search::{SearchRegistry, intervals};
use anamnesis_projections::search::Scope;

use super::{Input, Takes};
use crate::api::call::Call;
use crate::api::operation::{Invocation, Work};
use crate::api::page::Link;
use crate::api::search;
use crate::error::{Failure, FailureKind, Issue, IssueCode};

/// Observations that are looked through for one answer. A patient who was measured more often names codes.
const OBSERVATIONS_MAX: usize = 20_000;
/// Observations of one kind at most.
const EACH_MAX: usize = 1000;

const TAKES: Takes = Takes {
    operation: "$lastn",
    once: &["max"],
    often: &["patient", "subject", "category", "code"],
    searches: true,
    ..Takes::NOTHING
};

/// `GET Observation/$lastn?patient=…&code=…&max=…`
pub(in crate::api) fn run(call: &Call, invocation: Invocation) -> Work<'_> {
    Box::pin(async {
        let input = Input::read(call, invocation.body).await?;
        let mut said = TAKES.check(call, &input)?;
        said.extend(left_out(call)?);
        let max = max(&input)?;
        let parameters = criteria(call, &input)?;
        let scope = Scope::Type("Observation".to_owned());
        let mut found = search::all(call, &scope, &parameters, OBSERVATIONS_MAX).await?;
        let last = last(found.events, max);
        let given = found.applied.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let max = max.to_string();
        let own = call.link(
            &format!("{}/Observation/$lastn", call.base),
            given.chain(std::iter::once(("max", max.as_str()))),
        );
        let links = [Link { relation: "self", url: own }];
        found.issues.extend(said);
        search::bundle_of(call, &links, &last, &found.issues)
    })
}

fn max(input: &Input<'_>) -> Result<usize, Failure> {
    match input.text("max") {
        None => Ok(1),
        Some(text) => match text.parse::<usize>() {
            Ok(max @ 1..=EACH_MAX) => Ok(max),
            _ => Err(Failure::invalid(format!("max is a number from 1 to {EACH_MAX}."))),
        },
    }
}

/// The criteria of the search, from the query or from Parameters.
///
/// # Errors
/// 400 where R4 demands more of them.
fn criteria(call: &Call, input: &Input<'_>) -> Result<Vec<(String, String)>, Failure> {
    let is_criterion = |name: &str| !OWN.contains(&name) && !LEFT_OUT.contains(&base_name(name));
    let of_query = call.query.0.iter().filter(|(name, _)| is_criterion(name));
    let mut parameters: Vec<(String, String)> = of_query.cloned().collect();
    for name in ["patient", "subject", "category", "code"] {
        if !parameters.iter().any(|(known, _)| base_name(known) == name) {
            parameters
                .extend(input.texts(name).into_iter().map(|value| (name.to_owned(), value.into_owned())));
        }
    }
    let has = |names: [&str; 2]| {
        parameters.iter().any(|(name, value)| names.contains(&base_name(name)) && !value.is_empty())
    };
    let missing = match (has(["patient", "subject"]), has(["category", "code"])) {
        (false, _) => "patient or subject",
        (_, false) => "category or code",
        _ => return Ok(parameters),
    };
    let text = format!("$lastn needs {missing}.");
    Err(Failure::new(FailureKind::Invalid, IssueCode::Required, text))
}

/// Parameters that are no criteria.
const OWN: [&str; 3] = ["max", "_summary", "_elements"];

/// Parameters of searches that mean nothing here: there is one page, in an order of its own, of observations alone.
const LEFT_OUT: [&str; 7] = ["_count", "_sort", "_total", "_include", "_revinclude", "_includesCount", "ct"];

/// What there is to say of those.
///
/// # Errors
/// 400 where the client wants that.
fn left_out(call: &Call) -> Result<Vec<Issue>, Failure> {
    let given = call.query.0.iter().map(|(name, _)| base_name(name)).filter(|name| LEFT_OUT.contains(name));
    let told = given.map(|name| {
        let text = format!("$lastn does not know the parameter {name}");
        match call.refuses_unknown() {
            true => Err(Failure::new(FailureKind::Invalid, IssueCode::NotSupported, format!("{text}."))),
            false => Ok(Issue::warning(IssueCode::NotSupported, format!("{text}, which is left out."))),
        }
    });
    told.collect()
}

/// `code:text` is a `code`, `subject:Patient.name` a `subject`.
fn base_name(name: &str) -> &str {
    name.split([':', '.']).next().unwrap_or(name)
}

/// The newest of each kind: kinds by their newest, newest first.
fn last(events: Vec<Event>, max: usize) -> Vec<Event> {
    let mut kinds = Kinds::default();
    let mut seen: Vec<(usize, Moment, Event)> = Vec::with_capacity(events.len());
    for event in events {
        let Ok(document) = Document::parse(event.payload.to_vec(), &Limits::default()) else { continue };
        let root = document.root();
        let moment = Moment::of(root, &event);
        seen.push((kinds.of(root), moment, event));
    }
    seen.sort_by(|(_, one, _), (_, other, _)| other.cmp(one));
    let mut groups: Vec<(usize, Vec<Event>)> = Vec::new();
    let mut places: HashMap<usize, usize> = HashMap::new();
    for (kind, _, event) in seen {
        let kind = kinds.root(kind);
        let place = *places.entry(kind).or_insert_with(|| {
            groups.push((kind, Vec::new()));
            groups.len() - 1
        });
        if let Some((_, group)) = groups.get_mut(place).filter(|(_, group)| group.len() < max) {
            group.push(event);
        }
    }
    groups.into_iter().flat_map(|(_, group)| group).collect()
}

/// When an observation was: what goes on, or has no end, is newest; what says nothing is oldest. Among the same the one
/// that was recorded later is newer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Moment {
    high: i64,
    low: i64,
    position: u64,
}

impl Moment {
    fn of(root: Value<'_>, event: &Event) -> Self {
        let mut moment = Self { high: i64::MIN, low: i64::MIN, position: event.position.get() };
        if let Some(date) = SearchRegistry::r4().get("Observation", "date") {
            date.extract_each(root, |found| {
                intervals(found, |span| {
                    if (span.high, span.low) > (moment.high, moment.low) {
                        (moment.high, moment.low) = (span.high, span.low);
                    }
                });
            });
        }
        moment
    }
}

/// Kinds of observations: sets of codings that some observation has together.
#[derive(Default)]
struct Kinds {
    names: HashMap<String, usize>,
    /// Each kind's way to the one that it was joined to, itself for those that stand for all.
    parents: Vec<usize>,
}

impl Kinds {
    /// The kind of an observation; its codings are one kind from now on.
    fn of(&mut self, root: Value<'_>) -> usize {
        let code = root.get("code");
        let mut kind = None;
        for coding in code.and_then(|code| code.get("coding")).into_iter().flat_map(Value::items) {
            let part = |name| coding.get(name).and_then(Value::as_str).unwrap_or_default();
            if part("code").is_empty() {
                continue;
            }
            let known = self.named(format!("{}|{}", part("system"), part("code")));
            kind = Some(kind.map_or(known, |kind| self.join(kind, known)));
        }
        kind.unwrap_or_else(|| {
            let text = code.and_then(|code| code.get("text")).and_then(Value::as_str).unwrap_or_default();
            // No coding has a name that begins so.
            self.named(format!("\u{0}{}", text.trim()))
        })
    }

    fn named(&mut self, name: String) -> usize {
        let next = self.parents.len();
        let kind = *self.names.entry(name).or_insert(next);
        if kind == next {
            self.parents.push(next);
        }
        self.root(kind)
    }

    fn join(&mut self, one: usize, other: usize) -> usize {
        let (one, other) = (self.root(one), self.root(other));
        if let Some(parent) = self.parents.get_mut(other) {
            *parent = one;
        }
        one
    }

    /// The kind that stands for all that it was joined with.
    fn root(&mut self, kind: usize) -> usize {
        let mut at = kind;
        // Every step goes to the kind that was joined to, which never leads back.
        while let Some(parent) = self.parents.get(at).copied().filter(|parent| *parent != at) {
            if let Some(grandparent) = self.parents.get(parent).copied()
                && let Some(place) = self.parents.get_mut(at)
            {
                *place = grandparent;
            }
            at = parent;
        }
        at
    }
}
