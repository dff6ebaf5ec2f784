//! Conditions (SNOMED CT, ICD-10-CM): who gets them, how long they last and what is done about them.

pub(in crate::synth) mod acute;
pub(in crate::synth) mod chronic;

use super::Code;
use super::laboratory;
use super::medications::Medication;

/// Administrative sex, which decides about anatomy here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::synth) enum Sex {
    /// `Patient.gender` = `female`.
    Female,
    /// `Patient.gender` = `male`.
    Male,
}

/// What a condition does to measurements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::synth) enum Effect {
    HighPressure,
    HighGlucose,
    HighLipids,
    LowFiltration,
    Overweight,
    AirwayLimit,
    LowThyroid,
    IronDeficiency,
    FastPulse,
    WeakHeart,
    Inflammation,
    Fever,
    LowOxygen,
    Pain,
    HeartDamage,
    /// Nothing that a measurement of this generator shows.
    None,
}

/// Frequencies at the ages 0, 20, 40, 60 and 80, between which they change linearly.
pub(in crate::synth) type ByAge = [u16; 5];

/// A condition that stays.
#[derive(Debug)]
pub(in crate::synth) struct Chronic {
    pub(in crate::synth) code: Code,
    pub(in crate::synth) icd10: &'static str,
    /// How many in a thousand have it.
    pub(in crate::synth) prevalence: ByAge,
    pub(in crate::synth) sex: Option<Sex>,
    /// The first age in years at which it begins.
    pub(in crate::synth) onset_from: i32,
    pub(in crate::synth) effect: Effect,
    /// Effects of other conditions that make this one three times as likely; those stand earlier in the table.
    pub(in crate::synth) raised_by: &'static [Effect],
    pub(in crate::synth) medications: &'static [Medication],
    /// Tests of a follow-up visit.
    pub(in crate::synth) tests: &'static [laboratory::Test],
    pub(in crate::synth) procedure: Option<Code>,
}

/// A condition that passes.
#[derive(Debug)]
pub(in crate::synth) struct Acute {
    pub(in crate::synth) code: Code,
    pub(in crate::synth) icd10: &'static str,
    /// How often it comes, compared with the others.
    pub(in crate::synth) weight: ByAge,
    pub(in crate::synth) setting: Setting,
    /// Days until it is over, from and to.
    pub(in crate::synth) lasts_days: (i32, i32),
    pub(in crate::synth) effects: &'static [Effect],
    pub(in crate::synth) medications: &'static [Medication],
    pub(in crate::synth) tests: &'static [laboratory::Test],
    pub(in crate::synth) procedures: &'static [Code],
    /// A visit some weeks later looks at how it went.
    pub(in crate::synth) checked_later: bool,
}

/// Where a condition is treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::synth) enum Setting {
    Clinic,
    Emergency,
    /// In hospital, for so many days, from and to.
    Hospital(i32, i32),
}
