//! An access on its way: who asks for what, whose data it has led to, what was written.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anamnesis_audit::rules::BREAK_GLASS;
use anamnesis_audit::{Action, Agent, Entity, Kind, Outcome, Record};
use anamnesis_events::{Event, Position, ResourceKey, Version};

use crate::access::Principal;

/// Resources that one record names: what was asked for by name and what was written by it, which are few.
const ENTITIES_MAX: usize = 100;
/// Patients that one record names: as many as a page may have resources. Further ones are counted.
const PATIENTS_MAX: usize = 1000;
/// The longest query that is kept whole. Forms of searches may be longer; what is beyond is cut off, and said to be.
const QUERY_BYTES_MAX: usize = 16 << 10;

/// How a patient compartment begins, among those that resources are in.
const PATIENT: &str = "Patient/";

/// What is noted about one request, shared by all who serve it. Without an audit log it notes nothing, and costs nothing.
#[derive(Debug, Clone, Default)]
pub struct Access(Option<Arc<Mutex<Noted>>>);

/// What was noted.
#[derive(Debug, Default)]
struct Noted {
    principal: Option<Arc<Principal>>,
    subtype: String,
    action: Option<Action>,
    status: u16,
    entities: Vec<Entity>,
    entities_more: u32,
    patients: Vec<String>,
    seen: HashSet<String>,
    patients_more: u32,
    query: Option<String>,
    position: Option<u64>,
    entries: Vec<(u32, Access)>,
    purpose: Option<String>,
    reason: Option<String>,
    kind: Option<Kind>,
    /// What it came to, where that is not what HTTP says.
    judged: Option<u16>,
}

/// What all records of a request have in common.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// The sort of event.
    pub kind: Option<Kind>,
    /// The service; empty for the workspace.
    pub service: String,
    /// What the request belongs to.
    pub correlation: String,
    /// The client's address.
    pub address: Option<String>,
    /// The proxies that have told it.
    pub proxies: Vec<String>,
    /// What the client wants to have kept.
    pub custom: Vec<(String, String)>,
}

impl Access {
    /// Begins to note.
    #[must_use]
    pub fn begin() -> Self {
        Self(Some(Arc::default()))
    }

    fn note(&self, note: impl FnOnce(&mut Noted)) {
        if let Some(noted) = &self.0 {
            note(&mut lock(noted));
        }
    }

    /// Who asks.
    pub fn by(&self, principal: &Arc<Principal>) {
        self.note(|noted| {
            noted.principal = Some(Arc::clone(principal));
            if let Some(reason) = &principal.emergency {
                noted.purpose = Some(BREAK_GLASS.to_owned());
                noted.reason = Some(reason.to_string());
            }
        });
    }

    /// What is asked for: an interaction, and the resource that it names.
    pub fn asks(&self, subtype: &str, action: Action, what: Option<&ResourceKey>) {
        self.note(|noted| {
            subtype.clone_into(&mut noted.subtype);
            noted.action = Some(action);
            if let Some(key) = what {
                noted.entity(key, None);
                if &*key.resource_type == "Patient" {
                    noted.patient(&key.to_string());
                }
            }
        });
    }

    /// It is something else than an interaction, and comes to something else than what HTTP says: a sign-in that was refused
    /// is shown on a page.
    pub fn is_of(&self, kind: Kind, status: u16) {
        self.note(|noted| (noted.kind, noted.judged, noted.status) = (Some(kind), Some(status), status));
    }

    /// Whether anything was asked for yet.
    #[must_use]
    pub fn is_noted(&self) -> bool {
        self.0.as_ref().is_some_and(|noted| !lock(noted).subtype.is_empty())
    }

    /// Why it was refused, where the status does not say that.
    pub fn told(&self, why: &str) {
        self.note(|noted| noted.reason = Some(why.to_owned()));
    }

    /// The scopes that were granted.
    pub fn grants(&self, scope: &str) {
        self.note(|noted| noted.query = Some(format!("scope={scope}")));
    }

    /// One more thing that the request has led to, which is an access of its own.
    #[must_use]
    pub fn next_entry(&self) -> Access {
        let next = self.0.as_ref().map_or(0, |noted| lock(noted).entries.len());
        self.entry(next)
    }

    /// The patient that it is about.
    pub fn concerns(&self, patient: &str) {
        self.note(|noted| noted.patient(patient));
    }

    /// The query as it was sent, behind the path that it was sent to.
    pub fn queries(&self, path: &str, query: &str) {
        self.note(|noted| {
            let query = format!("{}?{query}", path.trim_start_matches('/'));
            let mut end = query.len().min(QUERY_BYTES_MAX);
            while !query.is_char_boundary(end) {
                end -= 1;
            }
            let kept = query.get(..end).unwrap_or_default();
            noted.query = Some(if end < query.len() { format!("{kept}…") } else { query });
        });
    }

    /// A version is shown that was asked for by name.
    pub fn shows(&self, event: &Event) {
        self.note(|noted| {
            noted.entity(&event.key, Some(event.version));
            noted.patients(&event.home, &event.touches);
        });
    }

    /// A version is among what was found.
    pub fn finds(&self, event: &Event) {
        self.note(|noted| noted.patients(&event.home, &event.touches));
    }

    /// A resource of a compartment is shown or was found as it stands.
    pub fn finds_in(&self, key: &ResourceKey, version: Version, home: &str) {
        self.note(|noted| {
            noted.entity(key, Some(version));
            noted.patients(home, &[]);
        });
    }

    /// A version was written.
    pub fn writes(&self, key: &ResourceKey, version: Version, position: Position, touches: &[String]) {
        self.note(|noted| {
            noted.entity(key, Some(version));
            noted.patients("", touches);
            noted.position = noted.position.max(Some(position.get()));
        });
    }

    /// What came of it, where no answer of HTTP says that: an entry of a bundle.
    pub fn comes_to(&self, status: u16) {
        self.note(|noted| noted.status = status);
    }

    /// Why it is done: a code of purposes of use, and the reason in words.
    pub fn because(&self, purpose: &str, reason: &str) {
        self.note(|noted| {
            (noted.purpose, noted.reason) = (Some(purpose.to_owned()), Some(reason.to_owned()))
        });
    }

    /// An entry of the request, which is an access of its own. The same one, when asked for again.
    #[must_use]
    pub fn entry(&self, index: usize) -> Access {
        let Some(noted) = &self.0 else { return Access::default() };
        let mut noted = lock(noted);
        let index = u32::try_from(index).unwrap_or(u32::MAX);
        if let Some((_, known)) = noted.entries.iter().find(|(known, _)| *known == index) {
            return known.clone();
        }
        let entry = Access::begin();
        if let Some(principal) = &noted.principal {
            entry.by(principal);
        }
        noted.entries.push((index, entry.clone()));
        entry
    }

    /// A further access of the same principal, for what goes on when this one is on record.
    #[must_use]
    pub fn again(&self) -> Access {
        let again = if self.0.is_some() { Access::begin() } else { Access::default() };
        self.note(|noted| {
            if let Some(principal) = &noted.principal {
                again.by(principal);
            }
        });
        again
    }

    /// How far it has come in the clinical log.
    pub fn reaches(&self, position: Position) {
        self.note(|noted| noted.position = Some(position.get()));
    }

    /// The records of the access and of its entries, given what was answered. `None` for the status where the client went away
    /// before.
    #[must_use]
    pub fn records(&self, surroundings: &Surroundings, status: Option<u16>) -> Vec<Record> {
        let Some(noted) = &self.0 else { return Vec::new() };
        let mut noted = std::mem::take(&mut *lock(noted));
        noted.status = noted.judged.or(status).unwrap_or_default();
        let mut entries = std::mem::take(&mut noted.entries);
        entries.sort_by_key(|(index, _)| *index);
        let mut records = Vec::with_capacity(1 + entries.len());
        records.push(noted.record(surroundings, None));
        for (index, entry) in entries {
            let Some(entry) = &entry.0 else { continue };
            records.push(std::mem::take(&mut *lock(entry)).record(surroundings, Some(index)));
        }
        records
    }
}

impl Noted {
    fn entity(&mut self, key: &ResourceKey, version: Option<Version>) {
        let (what, version) = (key.to_string(), version.map(Version::get));
        if let Some(known) = self.entities.iter_mut().find(|known| known.what == what) {
            // Named first, and shown or written later.
            known.version = version.or(known.version);
        } else if self.entities.len() < ENTITIES_MAX {
            self.entities.push(Entity { what, version });
        } else {
            self.entities_more = self.entities_more.saturating_add(1);
        }
    }

    fn patients(&mut self, home: &str, touches: &[String]) {
        for compartment in std::iter::once(home).chain(touches.iter().map(String::as_str)) {
            if compartment.starts_with(PATIENT) {
                self.patient(compartment);
            }
        }
    }

    fn patient(&mut self, patient: &str) {
        // Most accesses are of one patient.
        if self.patients.last().is_some_and(|last| last == patient) || self.seen.contains(patient) {
            return;
        }
        if self.patients.len() >= PATIENTS_MAX {
            self.patients_more = self.patients_more.saturating_add(1);
            return;
        }
        self.seen.insert(patient.to_owned());
        self.patients.push(patient.to_owned());
    }

    fn record(self, surroundings: &Surroundings, entry: Option<u32>) -> Record {
        let Surroundings { kind, service, correlation, address, proxies, custom } = surroundings.clone();
        let agent = match &self.principal {
            Some(principal) => Agent {
                subject: principal.subject.clone(),
                issuer: principal.issuer.clone(),
                client: principal.client.clone(),
                name: principal.display.clone(),
                resource: None,
                address,
                proxies,
            },
            None => Agent { subject: "".into(), address, proxies, ..Agent::default() },
        };
        Record {
            kind: self.kind.or(kind).unwrap_or(Kind::Rest),
            subtype: self.subtype,
            action: self.action.unwrap_or(Action::E),
            outcome: outcome(self.status),
            status: self.status,
            agent,
            service,
            entities: self.entities,
            entities_more: self.entities_more,
            patients: self.patients,
            patients_more: self.patients_more,
            query: self.query,
            position: self.position,
            correlation,
            entry,
            custom: if entry.is_none() { custom } else { Vec::new() },
            purpose: self.purpose,
            reason: self.reason,
            repeated: 0,
        }
    }
}

/// The outcome of a status; 0 where nobody was there to be answered.
fn outcome(status: u16) -> Outcome {
    match status {
        1..400 => Outcome::Success,
        400..500 => Outcome::Minor,
        _ => Outcome::Serious,
    }
}

fn lock(noted: &Mutex<Noted>) -> MutexGuard<'_, Noted> {
    noted.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(access: &Access, status: Option<u16>) -> Record {
        access.records(&Surroundings::default(), status).remove(0)
    }

    #[test]
    fn what_is_named_and_then_shown_is_one_entity_and_its_patient_too() {
        let access = Access::begin();
        let key = ResourceKey::new("Patient", "1");
        access.asks("read", Action::R, Some(&key));
        access.finds_in(&key, Version::new(3), "Patient/1");
        let record = one(&access, Some(200));
        assert_eq!(record.entities, [Entity { what: "Patient/1".into(), version: Some(3) }]);
        assert_eq!((record.patients, record.outcome), (vec!["Patient/1".to_owned()], Outcome::Success));
    }

    #[test]
    fn what_there_is_too_much_of_is_counted() {
        let access = Access::begin();
        for id in 0..1100 {
            access.finds_in(
                &ResourceKey::new("Patient", id.to_string()),
                Version::new(1),
                &format!("Patient/{id}"),
            );
        }
        access.queries("/Patient", &"é".repeat(QUERY_BYTES_MAX));
        let record = one(&access, Some(200));
        assert_eq!((record.entities.len(), record.entities_more), (100, 1000));
        assert_eq!((record.patients.len(), record.patients_more), (1000, 100));
        let query = record.query.unwrap();
        assert!(query.len() <= QUERY_BYTES_MAX + 3 && query.ends_with('…'));
    }

    #[test]
    fn entries_have_records_of_their_own() {
        let access = Access::begin();
        access.asks("transaction", Action::E, None);
        let second = access.entry(1);
        second.asks("create", Action::C, None);
        access.entry(0).asks("read", Action::R, None);
        second.writes(
            &ResourceKey::new("Patient", "1"),
            Version::new(1),
            Position::new(9),
            &["Patient/1".into()],
        );
        access.entry(1).comes_to(201);
        let surroundings = Surroundings { custom: vec![("a".into(), "b".into())], ..Surroundings::default() };
        let records = access.records(&surroundings, Some(200));
        let told: Vec<_> =
            records.iter().map(|one| (one.entry, one.subtype.as_str(), one.status, one.position)).collect();
        assert_eq!(
            told,
            [(None, "transaction", 200, None), (Some(0), "read", 0, None), (Some(1), "create", 201, Some(9))]
        );
        assert_eq!(records.iter().map(|one| one.custom.len()).collect::<Vec<_>>(), [1, 0, 0]);
    }

    #[test]
    fn without_a_log_nothing_is_noted() {
        let access = Access::default();
        access.asks("read", Action::R, None);
        access.entry(1).comes_to(200);
        assert_eq!(access.records(&Surroundings::default(), Some(200)), []);
    }
}
