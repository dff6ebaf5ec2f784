//! `Patient/$member-match`: which of our patients is the member whom another payer knows (Da Vinci HRex, as Azure
//! Health Data Services has it).
//!
//! The old coverage leads to candidates, and what is known of the member must agree with exactly one of them. A wrong
//! match would hand a record to a stranger, so whatever is doubtful is no match.

use std::collections::BTreeSet;
use std::sync::Arc;

use anamnesis_events::{Event, Operation, ResourceKey};
use anamnesis_fhir::json::{Document, Kind, Limits, Splice, Value, quote};
use anamnesis_fhir::references::Target;

use super::{Form, Input, Takes, escaped};
use crate::api::answer::Answer;
use crate::api::call::Call;
use crate::api::operation::{Invocation, Work};
use crate::api::search;
use crate::error::{Failure, FailureKind, IssueCode};

/// Coverages that an old coverage may lead to; one that leads to more identifies nobody.
const COVERAGES_MAX: usize = 100;

/// The type of the identifier by which a payer knows a member.
const MEMBER_NUMBER: &str = "MB";

const TAKES: Takes = Takes {
    operation: "$member-match",
    once: &["MemberPatient", "OldCoverage", "NewCoverage"],
    forms: &[
        ("MemberPatient", Form::Resource),
        ("OldCoverage", Form::Resource),
        ("NewCoverage", Form::Resource),
    ],
    ..Takes::NOTHING
};

/// `POST Patient/$member-match`
pub(in crate::api) fn run(call: &Call, invocation: Invocation) -> Work<'_> {
    Box::pin(async {
        let input = Input::read(call, invocation.body).await?;
        TAKES.check(call, &input)?;
        let member = resource(&input, "MemberPatient", "Patient")?;
        let coverage = resource(&input, "OldCoverage", "Coverage")?;
        let known = Known::of(member);
        if !known.says_enough() {
            let text =
                "MemberPatient needs a family name and a birth date, or an identifier with its system.";
            return Err(no_match(text));
        }
        let mut matches = Vec::new();
        for candidate in beneficiaries(call, coverage).await? {
            let Some(event) = call.service.compartments.reads().current(candidate).await? else { continue };
            if event.operation == Operation::Delete {
                continue;
            }
            let document = parse(&event)?;
            if known.agrees(document.root()) {
                matches.push(document);
            }
        }
        match matches.as_slice() {
            [found] => answer(member, found.root()),
            [] => Err(no_match("No patient matches.")),
            _ => Err(refusal(IssueCode::MultipleMatches, "More than one patient matches.")),
        }
    })
}

fn refusal(code: IssueCode, text: &'static str) -> Failure {
    Failure::new(FailureKind::Unprocessable, code, text)
}

fn no_match(text: &'static str) -> Failure {
    refusal(IssueCode::NotFound, text)
}

fn parse(event: &Arc<Event>) -> Result<Document, Failure> {
    Document::parse(event.payload.to_vec(), &Limits::default()).map_err(|_broken| Failure::internal())
}

fn resource<'a>(input: &'a Input<'_>, name: &'a str, resource_type: &str) -> Result<Value<'a>, Failure> {
    let found = input.named(name).find_map(|entry| entry.get("resource"));
    let is_right = |value: &Value<'_>| {
        value.get("resourceType").and_then(Value::as_str).is_some_and(|found| found == resource_type)
    };
    found.filter(is_right).ok_or_else(|| {
        let text = format!("$member-match takes Parameters with the {resource_type} {name}.");
        Failure::new(FailureKind::Invalid, IssueCode::Required, text).at("Parameters.parameter")
    })
}

/// The patients of the coverages that have an identifier of the old coverage, or else all of its classes.
async fn beneficiaries(call: &Call, coverage: Value<'_>) -> Result<BTreeSet<ResourceKey>, Failure> {
    let identifiers: Vec<String> =
        identifiers(coverage).map(|(system, value)| token(&system, &value)).collect();
    let mut criteria = Vec::new();
    if identifiers.is_empty() {
        let classes = coverage.get("class").into_iter().flat_map(Value::items);
        let values = classes.filter_map(|class| class.get("value")?.as_str());
        criteria.extend(values.map(|value| ("class-value".to_owned(), escaped(&value))));
    } else {
        criteria.push(("identifier".to_owned(), identifiers.join(",")));
    }
    if criteria.is_empty() {
        return Err(no_match("OldCoverage needs an identifier with its system, or classes."));
    }
    let found = search::matching(call, "Coverage", &criteria, COVERAGES_MAX + 1).await?;
    if found.len() > COVERAGES_MAX {
        return Err(refusal(IssueCode::MultipleMatches, "OldCoverage is that of too many patients."));
    }
    let positions: Vec<_> = found.into_iter().map(|(_, position)| position).collect();
    let events = if positions.is_empty() { Vec::new() } else { call.service.log.fetch(&positions).await? };
    let addresses = call.own_addresses();
    let mut patients = BTreeSet::new();
    for event in events.into_iter().filter(|event| !event.is_gone()) {
        let document = parse(&Arc::new(event))?;
        let beneficiary = document.root().get("beneficiary").and_then(|it| it.get("reference"));
        let reference = beneficiary.and_then(Value::as_str).unwrap_or_default();
        let target = Target::parse(&reference).filter(|target| target.is_local(&addresses));
        if let Some(target) = target.filter(|target| target.resource_type == "Patient") {
            patients.insert(ResourceKey::new("Patient", target.id));
        }
    }
    Ok(patients)
}

/// What is known of the member, in a form that can be compared.
struct Known {
    families: Vec<String>,
    givens: Vec<String>,
    birth_date: Option<String>,
    gender: Option<String>,
    identifiers: Vec<(String, String)>,
}

impl Known {
    fn of(patient: Value<'_>) -> Self {
        let names = || patient.get("name").into_iter().flat_map(Value::items);
        let text = |name: &str| patient.get(name).and_then(Value::as_str).map(|text| text.into_owned());
        let families = names().filter_map(|name| name.get("family")?.as_str());
        let givens = names().filter_map(|name| name.get("given")).flat_map(Value::items);
        Self {
            families: families.map(|family| folded(&family)).collect(),
            givens: givens.filter_map(|given| Some(folded(&given.as_str()?))).collect(),
            birth_date: text("birthDate"),
            gender: text("gender"),
            identifiers: identifiers(patient).collect(),
        }
    }

    fn says_enough(&self) -> bool {
        (!self.families.is_empty() && self.birth_date.is_some()) || !self.identifiers.is_empty()
    }

    /// Whether a patient agrees in everything that is known of both, and in enough to be the same.
    fn agrees(&self, patient: Value<'_>) -> bool {
        let other = Self::of(patient);
        let shares = |one: &[String], other: &[String]| one.iter().any(|name| other.contains(name));
        let same = |one: &Option<String>, other: &Option<String>| match (one, other) {
            (Some(one), Some(other)) => one == other,
            _ => true,
        };
        let has_same_identifier = self.identifiers.iter().any(|one| other.identifiers.contains(one));
        let has_same_family = shares(&self.families, &other.families);
        let may_be = (self.families.is_empty() || has_same_family)
            && (self.givens.is_empty() || other.givens.is_empty() || shares(&self.givens, &other.givens))
            && same(&self.birth_date, &other.birth_date)
            && same(&self.gender, &other.gender);
        let is_known_by_name = has_same_family && self.birth_date.is_some() && other.birth_date.is_some();
        may_be && (is_known_by_name || has_same_identifier)
    }
}

/// A name without regard to case and to the space around it.
fn folded(name: &str) -> String {
    name.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

/// The identifiers of a resource that have a system: others are the same by chance.
fn identifiers(resource: Value<'_>) -> impl Iterator<Item = (String, String)> {
    let all = resource.get("identifier").into_iter().flat_map(Value::items);
    all.filter_map(|identifier| {
        let system = identifier.get("system")?.as_str()?.into_owned();
        Some((system, identifier.get("value")?.as_str()?.into_owned()))
    })
}

fn token(system: &str, value: &str) -> String {
    format!("{}|{}", escaped(system), escaped(value))
}

/// The member as it was sent, with the number by which this payer knows it as an identifier of type `UMB`.
fn answer(member: Value<'_>, found: Value<'_>) -> Result<Answer, Failure> {
    let mut numbers = found.get("identifier").into_iter().flat_map(Value::items);
    let number = numbers.find(|identifier| {
        let codings = identifier.get("type").and_then(|of| of.get("coding"));
        let mut codes = codings.into_iter().flat_map(Value::items).filter_map(|coding| coding.get("code"));
        codes.any(|code| code.as_str().is_some_and(|code| code == MEMBER_NUMBER))
    });
    let Some(number) = number else {
        return Err(no_match("The patient that matches has no member identifier (of type MB)."));
    };
    let mut identifier = br#"{"type":{"coding":[{"system":"http://hl7.davinci.org","code":"UMB","display":"Member Match"}],"text":"Member Match"}"#.to_vec();
    for name in ["system", "value"] {
        if let Some(text) = number.get(name).and_then(Value::as_str) {
            identifier.extend_from_slice(format!(r#","{name}":"#).as_bytes());
            identifier.extend_from_slice(&quote(&text));
        }
    }
    identifier.push(b'}');
    let mut splice = Splice::new();
    match member.get("identifier").filter(|all| all.kind() == Kind::Array && !all.is_empty()) {
        Some(all) => {
            let end = all.span().end.saturating_sub(1);
            splice.replace(end..end, [b",".as_slice(), &identifier].concat());
        }
        None => splice.set_member(member, "identifier", [b"[".as_slice(), &identifier, b"]"].concat()),
    }
    let body = splice.apply_within(member.document().text(), member.span());
    let body = body.map_err(|_overlap| Failure::internal())?;
    let mut out =
        br#"{"resourceType":"Parameters","parameter":[{"name":"MemberPatient","resource":"#.to_vec();
    out.extend_from_slice(&body);
    out.extend_from_slice(b"}]}");
    Ok(Answer::ok(out))
}
