//! What an auditor asks for.

use chrono::{DateTime, Utc};

use crate::record::{Action, Kind, Outcome, Record, Recorded};
use crate::token::{self, Of, token};
use crate::{Number, record};

/// A search: records that meet all criteria.
#[derive(Debug, Clone, Default)]
pub struct Search {
    /// All of them have to be met; a criterion is met by any of its values.
    pub criteria: Vec<Criterion>,
    /// Recorded at this time or later.
    pub from: Option<DateTime<Utc>>,
    /// Recorded before this time.
    pub until: Option<DateTime<Utc>>,
    /// Which come first.
    pub order: SearchOrder,
    /// Only those behind this number, in the order of the search.
    pub behind: Option<Number>,
    /// How many.
    pub limit: usize,
}

/// Which records come first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SearchOrder {
    /// The newest.
    #[default]
    NewestFirst,
    /// The oldest.
    OldestFirst,
}

/// Something that records are looked for by.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Criterion {
    /// Whole names of agents: subject, client, or their resource (`Practitioner/1`).
    Agent(Vec<String>),
    /// Authorities that vouch for agents. They narrow nothing down by themselves.
    Issuer(Vec<String>),
    /// Beginnings of the names of agents for people, without case.
    AgentName(Vec<String>),
    /// Beginnings of network addresses.
    Address(Vec<String>),
    /// What was accessed: `Observation/1`, and patients whose data was.
    Entity(Vec<String>),
    /// Types of what was accessed: `Observation`.
    EntityType(Vec<String>),
    /// The patients whose data was accessed: `Patient/1`.
    Patient(Vec<String>),
    /// Actions.
    Action(Vec<Action>),
    /// Outcomes.
    Outcome(Vec<Outcome>),
    /// Sorts of events.
    Kind(Vec<Kind>),
    /// Codes of subtypes; `operation` for all operations.
    Subtype(Vec<String>),
}

/// A page of what was found.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// The records, in the order of the search.
    pub records: Vec<Recorded>,
    /// Where the next page begins; `None` where nothing more can be found. A page may have fewer records than were asked for,
    /// and even none, and yet a next one: each looks at a bounded part of the log.
    pub next: Option<Number>,
}

impl Criterion {
    /// Any of these is on every block that has a matching record; `None` where nothing can be said.
    pub(crate) fn tokens(&self) -> Option<Vec<i64>> {
        let all = |of: Of, values: &[String]| Some(values.iter().map(|value| token(of, value)).collect());
        match self {
            Self::Agent(names) => {
                let of_name =
                    |name: &String| [Of::Subject, Of::Client, Of::Resource].map(|of| token(of, name));
                Some(names.iter().flat_map(of_name).collect())
            }
            Self::Issuer(_) => None,
            Self::AgentName(names) => {
                let prefix = |name: &String| Some(token(Of::Name, &token::name_prefix(name)?));
                names.iter().map(prefix).collect()
            }
            Self::Address(addresses) => {
                let prefix = |address: &String| {
                    token::address_prefixes(address).next_back().map(|prefix| token(Of::Address, prefix))
                };
                addresses.iter().map(prefix).collect()
            }
            Self::Entity(whats) => {
                let of_what = |what: &String| [Of::Entity, Of::Patient].map(|of| token(of, what));
                Some(whats.iter().flat_map(of_what).collect())
            }
            Self::EntityType(names) => all(Of::EntityType, names),
            Self::Patient(patients) => all(Of::Patient, patients),
            Self::Action(actions) => {
                let of_action =
                    |action: &Action| (*action != Action::R).then(|| token(Of::Action, action.code()));
                actions.iter().map(of_action).collect()
            }
            Self::Outcome(outcomes) => {
                let of_outcome = |outcome: &Outcome| {
                    (*outcome != Outcome::Success).then(|| token(Of::Outcome, outcome.code()))
                };
                outcomes.iter().map(of_outcome).collect()
            }
            Self::Kind(kinds) => {
                let of_kind =
                    |kind: &Kind| (*kind != Kind::Rest).then(|| token(Of::Kind, token::kind_name(*kind)));
                kinds.iter().map(of_kind).collect()
            }
            Self::Subtype(codes) => all(Of::Subtype, codes),
        }
    }

    /// Whether a record meets it.
    #[must_use]
    pub fn is_met_by(&self, record: &Record) -> bool {
        let record::Agent { subject, client, resource, name, address, .. } = &record.agent;
        match self {
            Self::Agent(names) => names.iter().any(|name| {
                let is = |value: &std::sync::Arc<str>| **value == **name;
                is(subject) || client.as_ref().is_some_and(is) || resource.as_ref().is_some_and(is)
            }),
            Self::Issuer(issuers) => {
                record.agent.issuer.as_deref().is_some_and(|own| issuers.iter().any(|issuer| issuer == own))
            }
            Self::AgentName(names) => {
                let own = name.as_deref().map(str::to_lowercase).unwrap_or_default();
                !own.is_empty() && names.iter().any(|name| own.starts_with(&name.to_lowercase()))
            }
            Self::Address(beginnings) => {
                let own = address.as_deref().unwrap_or_default();
                !own.is_empty() && beginnings.iter().any(|beginning| own.starts_with(beginning))
            }
            Self::Entity(whats) => {
                record.entities.iter().any(|entity| whats.contains(&entity.what))
                    || record.patients.iter().any(|patient| whats.contains(patient))
            }
            Self::EntityType(names) => {
                let is = |entity: &record::Entity| {
                    names.iter().any(|name| token::type_of(&entity.what) == Some(name))
                };
                record.entities.iter().any(is)
            }
            Self::Patient(patients) => record.patients.iter().any(|patient| patients.contains(patient)),
            Self::Action(actions) => actions.contains(&record.action),
            Self::Outcome(outcomes) => outcomes.contains(&record.outcome),
            Self::Kind(kinds) => kinds.contains(&record.kind),
            Self::Subtype(codes) => codes.iter().any(|code| {
                *code == record.subtype || code == token::OPERATION && token::is_operation(&record.subtype)
            }),
        }
    }
}

impl Search {
    /// Whether a record is among what is looked for.
    #[must_use]
    pub fn is_met_by(&self, recorded: &Recorded) -> bool {
        self.from.is_none_or(|from| recorded.recorded_at >= from)
            && self.until.is_none_or(|until| recorded.recorded_at < until)
            && self.behind.is_none_or(|behind| match self.order {
                SearchOrder::NewestFirst => recorded.number < behind,
                SearchOrder::OldestFirst => recorded.number > behind,
            })
            && self.criteria.iter().all(|criterion| criterion.is_met_by(&recorded.record))
    }
}
