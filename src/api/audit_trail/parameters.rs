//! What an auditor asks for: R4's search parameters of AuditEvent.
//!
//! A parameter that is not known is refused whatever the client prefers: an auditor must not take for all what is not.

use anamnesis_audit::{Action, Criterion, Number, Outcome, Search, SearchOrder};
use anamnesis_fhir::references::is_id;
use chrono::{DateTime, Duration, Utc};

use super::form::KINDS;
use crate::api::history::instant;
use crate::api::query::{GENERAL, Query, encode};
use crate::audit::{Anchor, anchor};
use crate::error::{Failure, FailureKind, IssueCode};

/// The parameter of a page, in links only.
pub(super) const PAGE: &str = "ct";

/// Records on a page where the client does not say, and at most.
const COUNT: usize = 50;
const COUNT_MAX: usize = 1000;
/// Values of one parameter.
const VALUES_MAX: usize = 50;

/// The parameters with what `/metadata` says of them.
pub(super) const KNOWN: [(&str, &str); 14] = [
    ("_id", "token"),
    ("_lastUpdated", "date"),
    ("action", "token"),
    ("address", "string"),
    ("agent", "reference"),
    ("agent-name", "string"),
    ("altid", "token"),
    ("date", "date"),
    ("entity", "reference"),
    ("entity-type", "token"),
    ("outcome", "token"),
    ("patient", "reference"),
    ("subtype", "token"),
    ("type", "token"),
];

/// A search, read.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) search: Search,
    /// The numbers that are asked for, where they are.
    pub(super) numbers: Option<Vec<Number>>,
}

impl Asked {
    /// # Errors
    /// 400 that names the parameter.
    pub(super) fn read(query: &Query) -> Result<Self, Failure> {
        let mut asked = Self { search: Search { limit: COUNT, ..Search::default() }, numbers: None };
        for (name, value) in &query.0 {
            if !GENERAL.contains(&name.as_str()) {
                asked.take(name, value)?;
            }
        }
        Ok(asked)
    }

    fn take(&mut self, name: &str, value: &str) -> Result<(), Failure> {
        let values = values(name, value)?;
        let criterion = match name {
            "date" | "_lastUpdated" => return self.date(name, value),
            "_count" => return self.count(value),
            "_sort" => return self.sort(value),
            PAGE => {
                self.search.behind =
                    Some(number(value).ok_or_else(|| bad(name, "comes from the links of a page"))?);
                return Ok(());
            }
            "_id" => {
                // What is no number is the id of nothing.
                let numbers: Vec<Number> = values.iter().filter_map(|value| number(value)).collect();
                self.numbers = Some(match self.numbers.take() {
                    None => numbers,
                    Some(before) => before.into_iter().filter(|one| numbers.contains(one)).collect(),
                });
                return Ok(());
            }
            "agent" | "altid" => Criterion::Agent(codes(&values)),
            "agent:identifier" => {
                self.search.criteria.extend(issuer(&values)?);
                Criterion::Agent(codes(&values))
            }
            "agent-name" => Criterion::AgentName(values),
            "address" => Criterion::Address(values),
            "entity" | "entity:Patient" | "patient" | "patient:Patient" => {
                let kind = if name == "entity" { None } else { Some("Patient") };
                let references = values.iter().map(|value| reference(name, value, kind));
                let references = references.collect::<Result<_, _>>()?;
                if name == "entity" { Criterion::Entity(references) } else { Criterion::Patient(references) }
            }
            "entity-type" => Criterion::EntityType(codes(&values)),
            "action" => Criterion::Action(all(name, &values, action)?),
            "outcome" => Criterion::Outcome(all(name, &values, outcome)?),
            "type" => Criterion::Kind(all(name, &values, |code| {
                KINDS.iter().find(|(known, _)| *known == code).map(|(_, kind)| *kind)
            })?),
            "subtype" => Criterion::Subtype(codes(&values)),
            _ => {
                let text = format!("The audit log is not searched by {}.", encode(name));
                return Err(Failure::new(FailureKind::Invalid, IssueCode::NotSupported, text));
            }
        };
        self.search.criteria.push(criterion);
        Ok(())
    }

    fn date(&mut self, name: &str, value: &str) -> Result<(), Failure> {
        let digits = value.find(|c: char| !c.is_ascii_lowercase()).unwrap_or(value.len());
        let (prefix, value) = value.split_at(digits);
        let (first, last) = instant(name, value)?;
        let behind = last + Duration::microseconds(1);
        let (from, until): (Option<DateTime<Utc>>, Option<DateTime<Utc>>) = match prefix {
            "" | "eq" => (Some(first), Some(behind)),
            "ge" => (Some(first), None),
            "gt" | "sa" => (Some(behind), None),
            "le" => (None, Some(behind)),
            "lt" | "eb" => (None, Some(first)),
            _ => return Err(bad(name, "takes the prefixes eq, ge, gt, sa, le, lt and eb")),
        };
        let search = &mut self.search;
        search.from = search.from.into_iter().chain(from).max();
        search.until = search.until.into_iter().chain(until).min();
        Ok(())
    }

    fn count(&mut self, value: &str) -> Result<(), Failure> {
        let count: usize = value.parse().map_err(|_bad| bad("_count", "is a number"))?;
        if count == 0 {
            return Err(bad("_count", "is 1 or more: records are not counted here"));
        }
        self.search.limit = count.min(COUNT_MAX);
        Ok(())
    }

    fn sort(&mut self, value: &str) -> Result<(), Failure> {
        self.search.order = match value {
            "-date" | "-_lastUpdated" => SearchOrder::NewestFirst,
            "date" | "_lastUpdated" => SearchOrder::OldestFirst,
            _ => return Err(bad("_sort", "is date or -date")),
        };
        Ok(())
    }
}

/// A number as an id has it.
pub(super) fn number(text: &str) -> Option<Number> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    text.parse().ok().filter(|_| is_plain).map(Number::new)
}

/// Where a verification begins, and what it is to be compared with: `from` and `anchor`, as `number:hash`.
///
/// # Errors
/// 400 for what is none of that.
pub(super) fn places(query: &Query) -> Result<(Option<Anchor>, Vec<Anchor>), Failure> {
    let (mut from, mut anchors) = (None, Vec::new());
    for (name, value) in &query.0 {
        let place = || anchor(value).ok_or_else(|| bad(name, "is a number and a hash, as 12:ab…"));
        match name.as_str() {
            "from" if from.is_none() => from = Some(place()?),
            "anchor" if anchors.len() < VALUES_MAX => anchors.push(place()?),
            _ => return Err(Failure::invalid("$verify takes from, once, and anchor.")),
        }
    }
    Ok((from, anchors))
}

/// The values of a parameter: any of them will do.
fn values(name: &str, value: &str) -> Result<Vec<String>, Failure> {
    let values: Vec<String> = value.split(',').map(|value| value.trim().to_owned()).collect();
    if values.iter().any(String::is_empty) {
        return Err(bad(name, "has an empty value"));
    }
    if values.len() > VALUES_MAX {
        return Err(bad(name, "has too many values"));
    }
    Ok(values)
}

/// The codes of tokens, without the systems that stand before them.
fn codes(values: &[String]) -> Vec<String> {
    values.iter().map(|value| value.rsplit('|').next().unwrap_or_default().to_owned()).collect()
}

/// The authority of identifiers, where they name it.
fn issuer(values: &[String]) -> Result<Option<Criterion>, Failure> {
    let systems: Vec<String> = values
        .iter()
        .filter_map(|value| value.split_once('|'))
        .map(|(system, _)| system.to_owned())
        .collect();
    match systems.len() {
        0 => Ok(None),
        many if many == values.len() => Ok(Some(Criterion::Issuer(systems))),
        _ => Err(bad("agent:identifier", "names an authority for each value, or for none")),
    }
}

fn reference(name: &str, value: &str, kind: Option<&str>) -> Result<String, Failure> {
    match (value.split_once('/'), kind) {
        (Some((found, id)), kind) if is_id(id) && kind.is_none_or(|kind| kind == found) => {
            Ok(value.to_owned())
        }
        (None, Some(kind)) if is_id(value) => Ok(format!("{kind}/{value}")),
        (_, Some(_)) => Err(bad(name, "is the id of a patient, or Patient/ and its id")),
        (_, None) => Err(bad(name, "is a type and an id, as Observation/1")),
    }
}

fn all<T>(name: &str, values: &[String], read: impl Fn(&str) -> Option<T>) -> Result<Vec<T>, Failure> {
    let read = |code: String| read(&code).ok_or_else(|| bad(name, "has a code that is not in use here"));
    codes(values).into_iter().map(read).collect()
}

fn action(code: &str) -> Option<Action> {
    [Action::C, Action::R, Action::U, Action::D, Action::E].into_iter().find(|action| action.code() == code)
}

fn outcome(code: &str) -> Option<Outcome> {
    let all = [Outcome::Success, Outcome::Minor, Outcome::Serious, Outcome::Major];
    all.into_iter().find(|outcome| outcome.code() == code)
}

fn bad(name: &str, what: &str) -> Failure {
    Failure::invalid(format!("{} {what}.", encode(name))).at(name.to_owned())
}
