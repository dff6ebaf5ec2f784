//! A patient's record as of a position: whose compartments it is made of, and what is in them.

use anamnesis_events::{CompartmentAt, Event, HistoryPage, Operation, Position, ResourceKey};
use anamnesis_fhir::compartment::{self, patient_compartments};
use anamnesis_fhir::json::{Document, Limits, Value};
use anamnesis_fhir::references::Target;

use super::asked::Asked;
use super::care_dates;
use super::references::{self, References};
use super::token::Place;
use crate::access::scope::Letter;
use crate::api::call::Call;
use crate::api::{as_of, read};
use crate::error::{Failure, Issue, IssueCode};

/// Patients that links call one person. Registers that were merged some times have a handful.
const PATIENTS_MAX: usize = 32;
/// Events that are read at once.
const PORTION: usize = 500;
/// Resources referred to that are read at once; they may be large.
const REFERENCED_PORTION: usize = 100;
/// Events that are read once more to know what a record refers to, when that does not fit on the first page.
const READ_AGAIN_MAX: usize = 100_000;

/// Links of a patient to records of the same person (R4 link-type). `replaced-by` leads from a record that is not used
/// any more to one that is, and is not followed: the other record holds this one.
const SAME_PERSON: [&str; 3] = ["replaces", "refer", "seealso"];

/// A record, being read.
pub(super) struct Record<'a> {
    call: &'a Call,
    addresses: Vec<String>,
    at: Position,
    pub(super) asked: Asked,
    /// The patient that was asked for, then those that links lead to, as they were at the position.
    patients: Vec<Event>,
    /// What has been seen to be referred to, while nothing has been passed over.
    references: Option<References>,
    pub(super) issues: Vec<Issue>,
    /// Whether something of the record has been erased since.
    pub(super) is_erased: bool,
}

/// Some resources of a record, each with the place behind it, and where the next ones are.
pub(super) struct Portion {
    pub(super) events: Vec<(Event, Place)>,
    pub(super) next: Option<Place>,
}

impl<'a> Record<'a> {
    /// Finds the patient and its links.
    ///
    /// # Errors
    /// 404 and 410 for a patient that was not there at the position.
    pub(super) async fn open(
        call: &'a Call,
        patient: &ResourceKey,
        at: Position,
        asked: Asked,
    ) -> Result<Self, Failure> {
        let addresses = call.own_addresses();
        let mut record = Self {
            call,
            addresses,
            at,
            asked,
            patients: Vec::new(),
            references: None,
            issues: Vec::new(),
            is_erased: false,
        };
        let first = record.as_of(std::slice::from_ref(patient)).await?.pop().flatten();
        let first = first.ok_or_else(read::missing)?;
        if first.operation == Operation::Delete {
            return Err(Failure::gone(first.version));
        }
        record.patients.push(first);
        record.follow_links().await?;
        Ok(record)
    }

    async fn follow_links(&mut self) -> Result<(), Failure> {
        let mut next = 0;
        // As often as there are patients, of which there is a bound.
        while let Some(patient) = self.patients.get(next) {
            next += 1;
            let linked = linked(patient, &SAME_PERSON, &self.addresses);
            let known = |key: &ResourceKey| self.patients.iter().any(|patient| patient.key == *key);
            let new: Vec<ResourceKey> = linked.into_iter().filter(|key| !known(key)).collect();
            for event in self.as_of(&new).await?.into_iter().flatten() {
                let is_known = self.patients.iter().any(|patient| patient.key == event.key);
                if event.operation == Operation::Delete || is_known {
                    continue;
                }
                if self.patients.len() >= PATIENTS_MAX {
                    let text =
                        format!("More than {PATIENTS_MAX} patients are linked; the others are left out.");
                    self.issues.push(Issue::warning(IssueCode::TooCostly, text));
                    return Ok(());
                }
                self.patients.push(event);
            }
        }
        Ok(())
    }

    /// The resources as they were at the position of the record, deletes among them.
    async fn as_of(&self, keys: &[ResourceKey]) -> Result<Vec<Option<Event>>, Failure> {
        let log = &self.call.service.log;
        let mut found = if keys.is_empty() { Vec::new() } else { log.current_of_all(keys).await? };
        for event in &mut found {
            let Some(newer) = event.as_ref().filter(|event| event.position > self.at) else { continue };
            *event = log.current_at(&newer.key.clone(), self.at).await?;
        }
        // Of what was erased nothing is shown, as if it had not been there.
        for event in &mut found {
            *event = event.take().filter(|event| !event.is_gone() && self.call.sees(Letter::Search, event));
        }
        Ok(found)
    }

    /// The next resources behind a place.
    pub(super) async fn portion(&mut self, place: &Place) -> Result<Portion, Failure> {
        match place {
            Place::Patient(number) => Ok(self.patient(*number)),
            Place::Compartment(number, after) => self.compartment(*number, *after).await,
            Place::References(after) => self.referenced(after).await,
        }
    }

    fn patient(&mut self, number: usize) -> Portion {
        let Some(patient) = self.patients.get(number).cloned() else {
            return Portion { events: Vec::new(), next: Some(Place::References(String::new())) };
        };
        if number == 0 {
            self.references = Some(References::default());
        }
        if let (Some(references), Some(document)) = (&mut self.references, parse(&patient)) {
            references.add(&patient, document.root(), &self.addresses);
        }
        let behind = Place::Compartment(number, Position::ZERO);
        let events = if self.is_wanted(&patient) { vec![(patient, behind.clone())] } else { Vec::new() };
        Portion { events, next: Some(behind) }
    }

    async fn compartment(&mut self, number: usize, after: Position) -> Result<Portion, Failure> {
        let Some(scanned) = self.scan(number, after).await? else {
            return Ok(Portion { events: Vec::new(), next: Some(Place::References(String::new())) });
        };
        let mut events = Vec::new();
        for event in scanned.events {
            let behind = Place::Compartment(number, event.position);
            let Some(document) = parse(&event) else { continue };
            if self.is_member(number, &event, document.root()) {
                if let Some(references) = &mut self.references {
                    references.add(&event, document.root(), &self.addresses);
                }
                if self.is_wanted(&event) {
                    events.push((event, behind));
                }
            }
        }
        let next = match scanned.last {
            Some(last) => Place::Compartment(number, last),
            None => Place::Patient(number + 1),
        };
        Ok(Portion { events, next: Some(next) })
    }

    /// What touched the compartment of a patient behind a position and was current at that of the record; `None` where
    /// there is no such patient.
    async fn scan(&mut self, number: usize, after: Position) -> Result<Option<Scanned>, Failure> {
        let Some(patient) = self.patients.get(number) else { return Ok(None) };
        let log = &self.call.service.log;
        let compartment = patient.key.to_string();
        let wanted = CompartmentAt {
            compartment: &compartment,
            position: self.at,
            types: None,
            behind: Some(after),
            ascending: true,
            limit: PORTION,
        };
        let positions = log.compartment_at(&wanted).await?;
        let HistoryPage { events, is_cut } = log.fetch_page(&positions).await?;
        let is_more = is_cut || positions.len() >= PORTION;
        let last = events.last().map(|event| event.position).filter(|_| is_more);
        self.is_erased |= events.iter().any(|event| {
            as_of::is_erased_since(event, self.at) && self.asked.wants(&event.key.resource_type)
        });
        let is_shown = |event: &Event| !event.is_gone() && self.call.sees(Letter::Search, event);
        let events = events.into_iter().filter(is_shown).collect();
        Ok(Some(Scanned { events, last }))
    }

    /// Whether a resource comes with the compartment of the n-th patient: it is still in it, in none of those before,
    /// no patient of the record itself, and of the care that was asked for.
    fn is_member(&self, number: usize, event: &Event, root: Value<'_>) -> bool {
        if event.operation == Operation::Delete || self.is_patient(&event.key) {
            return false;
        }
        let compartments = self.compartments(event, root);
        let is_in = |patient: &Event| compartments.contains(&patient.key.id);
        self.patients.iter().position(is_in) == Some(number) && self.is_within(event, root)
    }

    fn is_within(&self, event: &Event, root: Value<'_>) -> bool {
        self.asked.care.is_none_or(|span| care_dates::is_within(&event.key.resource_type, root, span))
    }

    fn is_patient(&self, key: &ResourceKey) -> bool {
        self.patients.iter().any(|patient| patient.key == *key)
    }

    /// Whether a resource of the record is to be shown.
    fn is_wanted(&self, event: &Event) -> bool {
        self.asked.wants(&event.key.resource_type)
            && self.asked.since.is_none_or(|since| event.recorded_at >= since)
    }

    fn compartments(&self, event: &Event, root: Value<'_>) -> Vec<String> {
        let bases: Vec<&str> = self.addresses.iter().map(String::as_str).collect();
        let place =
            compartment::Place { resource_type: &event.key.resource_type, id: &event.key.id, bases: &bases };
        patient_compartments(&place, root)
    }

    async fn referenced(&mut self, after: &str) -> Result<Portion, Failure> {
        let references = match self.references.take() {
            Some(references) => references,
            None => self.read_again().await?,
        };
        if references.is_cut && after.is_empty() {
            let text = "The record refers to more resources than can be shown; some are left out.";
            self.issues.push(Issue::warning(IssueCode::TooCostly, text));
        }
        let names = references.behind(after, REFERENCED_PORTION);
        let last = names.last().filter(|_| names.len() >= REFERENCED_PORTION);
        let next = last.map(|name| Place::References(name.clone()));
        let keys: Vec<ResourceKey> = names.iter().filter_map(|name| references::key(name)).collect();
        let mut events = Vec::new();
        for event in self.as_of(&keys).await?.into_iter().flatten() {
            let behind = Place::References(event.key.to_string());
            let Some(document) = parse(&event).filter(|_| self.is_wanted(&event)) else { continue };
            if self.comes_with_references(&event, document.root()) {
                events.push((event, behind));
            }
        }
        self.references = Some(references);
        Ok(Portion { events, next })
    }

    /// Whether a resource comes because of references: it has not come with a compartment, and it is nobody else's. A
    /// record may name other patients, a mother or a twin; what is theirs is no part of it.
    fn comes_with_references(&self, event: &Event, root: Value<'_>) -> bool {
        if event.operation == Operation::Delete || self.is_patient(&event.key) {
            return false;
        }
        let compartments = self.compartments(event, root);
        let is_ours = self.patients.iter().any(|patient| compartments.contains(&patient.key.id));
        match is_ours {
            true => !self.is_within(event, root),
            false => compartments.is_empty(),
        }
    }

    /// What a record refers to, where a page begins so far behind that it was not seen.
    async fn read_again(&mut self) -> Result<References, Failure> {
        let mut references = References::default();
        let mut read = 0;
        for number in 0..self.patients.len() {
            if let Some((patient, document)) = self.patients.get(number).and_then(|it| Some((it, parse(it)?)))
            {
                references.add(patient, document.root(), &self.addresses);
            }
            let mut after = Some(Position::ZERO);
            while let Some(from) = after {
                let Some(scanned) = self.scan(number, from).await? else { break };
                read += scanned.events.len();
                for event in &scanned.events {
                    let Some(document) = parse(event) else { continue };
                    if self.is_member(number, event, document.root()) {
                        references.add(event, document.root(), &self.addresses);
                    }
                }
                references.is_cut |= read >= READ_AGAIN_MAX;
                after = scanned.last.filter(|_| !references.is_cut);
            }
        }
        Ok(references)
    }
}

/// A part of what touched a compartment.
struct Scanned {
    events: Vec<Event>,
    /// Where the next part begins, if there is one.
    last: Option<Position>,
}

/// What was recorded is JSON; a delete has no body.
fn parse(event: &Event) -> Option<Document> {
    Document::parse(event.payload.to_vec(), &Limits::default()).ok()
}

/// The patients that links of some types lead to, on this server.
fn linked(patient: &Event, types: &[&str], addresses: &[String]) -> Vec<ResourceKey> {
    let Some(document) = parse(patient) else { return Vec::new() };
    let mut found = Vec::new();
    for link in document.root().get("link").into_iter().flat_map(Value::items) {
        let of_type = link.get("type").and_then(Value::as_str);
        let other = link.get("other").and_then(|other| other.get("reference")).and_then(Value::as_str);
        let (Some(of_type), Some(other)) = (of_type, other) else { continue };
        let target = Target::parse(&other).filter(|target| target.is_local(addresses));
        if let Some(target) = target.filter(|target| target.resource_type == "Patient")
            && types.contains(&of_type.as_ref())
        {
            found.push(ResourceKey::new("Patient", target.id));
        }
    }
    found
}

/// The patient whose record is used instead of this one.
pub(super) fn replacing_patient(record: &Record<'_>) -> Option<ResourceKey> {
    let first = record.patients.first()?;
    linked(first, &["replaced-by"], &record.addresses).into_iter().next()
}
