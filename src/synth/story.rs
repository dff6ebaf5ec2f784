//! A life story: which conditions a person has, and when they saw whom about what.

mod conditions;
mod visits;

use super::bundle::Id;
use super::calendar::{Day, Moment};
use super::codes::Code;
use super::codes::allergies::{ALLERGIES, Allergy};
use super::codes::conditions::{Acute, Chronic, Effect};
use super::codes::laboratory::Test;
use super::codes::medications::Medication;
use super::dice::Dice;
use super::directory::Directory;
use super::people::Person;

/// Everything that happens in a record, in the order of time.
pub(super) struct Story {
    pub(super) episodes: Vec<Episode>,
    pub(super) visits: Vec<Visit>,
    pub(super) allergies: Vec<&'static Allergy>,
}

/// A condition of one person.
pub(super) struct Episode {
    pub(super) id: Id,
    pub(super) kind: Kind,
    pub(super) onset: Day,
    /// The day it was over, if it was within the record.
    pub(super) end: Option<Day>,
    /// The number of the visit that recorded it.
    pub(super) recorded_at: usize,
}

/// What kind of condition an episode is.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Chronic(&'static Chronic),
    Acute(&'static Acute),
    Pregnancy,
}

/// An encounter of the person with the health service.
pub(super) struct Visit {
    pub(super) id: Id,
    pub(super) occasion: Occasion,
    pub(super) class: Class,
    pub(super) start: Moment,
    pub(super) end: Moment,
    pub(super) organization: usize,
    pub(super) practitioner: usize,
}

/// Why a visit takes place; the numbers are those of episodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Occasion {
    Checkup,
    /// A chronic condition is found.
    Diagnosis(usize),
    FollowUp(usize),
    Acute(usize),
    Prenatal(usize),
    Delivery(usize),
}

/// `Encounter.class`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Ambulatory,
    Emergency,
    Inpatient,
}

impl Story {
    /// Invents the story of `person`.
    pub(super) fn invent(dice: &mut Dice, person: &Person, directory: &Directory) -> Self {
        let from = record_start(dice, person);
        let mut episodes = conditions::chronic(dice, person);
        episodes.extend(conditions::acute(dice, person, from));
        episodes.extend(conditions::pregnancy(dice, person, from));
        let visits = visits::plan(dice, person, directory, from, &mut episodes);
        let mut allergies: Vec<&'static Allergy> = Vec::new();
        for allergy in ALLERGIES {
            if dice.chance(45) {
                allergies.push(allergy);
            }
        }
        Self { episodes, visits, allergies }
    }

    /// The effects of all conditions that hold on `day`, without doubles.
    pub(super) fn effects_on(&self, day: Day) -> Vec<Effect> {
        let mut effects = Vec::new();
        for episode in self.episodes.iter().filter(|episode| episode.holds_on(day)) {
            for &effect in episode.kind.effects() {
                if !effects.contains(&effect) {
                    effects.push(effect);
                }
            }
        }
        effects
    }

    /// Whether the story holds a condition with `effect` at any time.
    pub(super) fn ever(&self, effect: Effect) -> bool {
        self.episodes.iter().any(|episode| episode.kind.effects().contains(&effect))
    }
}

impl Episode {
    /// Whether the condition holds on `day`. A passing one shows for a week at most.
    fn holds_on(&self, day: Day) -> bool {
        let shows_until = match self.kind {
            Kind::Chronic(_) | Kind::Pregnancy => self.end,
            Kind::Acute(_) => Some(self.onset.plus_days(7)),
        };
        self.onset <= day && shows_until.is_none_or(|end| day <= end)
    }
}

impl Kind {
    /// The SNOMED CT code.
    pub(super) fn code(self) -> Code {
        match self {
            Self::Chronic(chronic) => chronic.code,
            Self::Acute(acute) => acute.code,
            Self::Pregnancy => super::codes::conditions::acute::PREGNANCY.code,
        }
    }

    /// The ICD-10-CM code.
    pub(super) fn icd10(self) -> &'static str {
        match self {
            Self::Chronic(chronic) => chronic.icd10,
            Self::Acute(acute) => acute.icd10,
            Self::Pregnancy => super::codes::conditions::acute::PREGNANCY.icd10,
        }
    }

    /// What it does to measurements.
    pub(super) fn effects(self) -> &'static [Effect] {
        match self {
            Self::Chronic(chronic) => std::slice::from_ref(&chronic.effect),
            Self::Acute(acute) => acute.effects,
            Self::Pregnancy => &[],
        }
    }

    /// What is prescribed for it.
    pub(super) fn medications(self) -> &'static [Medication] {
        match self {
            Self::Chronic(chronic) => chronic.medications,
            Self::Acute(acute) => acute.medications,
            Self::Pregnancy => &[],
        }
    }

    /// Tests beyond the panels.
    pub(super) fn tests(self) -> &'static [Test] {
        match self {
            Self::Chronic(chronic) => chronic.tests,
            Self::Acute(acute) => acute.tests,
            Self::Pregnancy => &[],
        }
    }
}

impl Occasion {
    /// The episode a visit is about.
    pub(super) fn episode(self) -> Option<usize> {
        match self {
            Self::Checkup => None,
            Self::Diagnosis(number)
            | Self::FollowUp(number)
            | Self::Acute(number)
            | Self::Prenatal(number)
            | Self::Delivery(number) => Some(number),
        }
    }
}

/// The first day of the record: a few years back, or birth.
fn record_start(dice: &mut Dice, person: &Person) -> Day {
    let days = match person.age_on(person.last_day) {
        ..3 => return person.born,
        3..18 => dice.between(1_500, 2_200),
        18..40 => dice.between(1_100, 1_700),
        40..65 => dice.between(800, 1_200),
        _ => dice.between(700, 1_000),
    };
    person.last_day.plus_days(-days).max(person.born)
}
