//! The data generator: deterministic, clinically plausible FHIR R4 bundles of people who never lived.
//!
//! Each patient's record is one `transaction` Bundle that loads on its own. The bytes of patient `i` depend on
//! the seed, on `i` and on the day of the record alone: not on the machine, nor on which other patients are
//! generated, in which order or on how many threads.
//!
//! ```
//! use anamnesis::synth::Generator;
//!
//! let generator = Generator::new(42);
//! let bundle = generator.patient(1);
//! assert_eq!(bundle.json, Generator::new(42).patient(1).json);
//! assert!(bundle.json.starts_with(br#"{"resourceType":"Bundle","type":"transaction""#));
//! ```

mod body;
mod bundle;
mod calendar;
mod chart;
mod codes;
mod dice;
mod directory;
mod json;
mod names;
mod people;
mod resources;
mod story;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use body::Body;
use bundle::BundleWriter;
use calendar::Day;
use chart::Chart;
use codes::conditions::Effect;
use dice::Dice;
use directory::Directory;
use people::Person;
use story::Story;

/// Generates the records of a population.
///
/// It is immutable: share it between threads and ask for the patients in any order.
pub struct Generator {
    seed: u64,
    as_of: Day,
    shared: SharedResources,
    directory: Directory,
}

/// A transaction Bundle as compact JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GeneratedBundle {
    /// The bundle, in UTF-8 and without a line break.
    pub json: Vec<u8>,
    /// How many resources (entries) of each type it holds.
    pub resources: BTreeMap<&'static str, usize>,
}

impl GeneratedBundle {
    /// How many resources it holds in all.
    pub fn resource_count(&self) -> usize {
        self.resources.values().sum()
    }
}

/// How a patient's bundle refers to the organizations, locations and practitioners that patients share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum SharedResources {
    /// The bundle brings those it needs along, as entries that are created unless they exist
    /// (`request.ifNoneExist`). It loads on its own and in any order.
    #[default]
    Included,
    /// The bundle refers to them by conditional references such as `Practitioner?identifier=system|value`. It
    /// is smaller, and [`Generator::directory`] must be loaded first.
    Conditional,
}

/// The stream of random numbers that makes the directory; patients use the streams from 1 on.
const DIRECTORY_STREAM: u64 = 0;

impl Generator {
    /// A generator with records that end the day before 2026-01-01.
    pub fn new(seed: u64) -> Self {
        let directory = Directory::new(&mut Dice::new(seed, DIRECTORY_STREAM));
        Self { seed, as_of: Day::of(2026, 1, 1), shared: SharedResources::default(), directory }
    }

    /// Lets the records end the day before this one. `month` is 1–12 and `day` 1–31.
    pub fn as_of(mut self, (year, month, day): (i32, u32, u32)) -> Self {
        self.as_of = Day::of(year, month, day);
        self
    }

    /// Chooses how bundles refer to what patients share.
    pub fn shared_resources(mut self, shared: SharedResources) -> Self {
        self.shared = shared;
        self
    }

    /// All organizations, locations and practitioners, to be created unless they exist.
    pub fn directory(&self) -> GeneratedBundle {
        let mut dice = Dice::new(self.seed, DIRECTORY_STREAM);
        let mut bundle = BundleWriter::with_capacity(64 * 1024);
        let mut organization = String::new();
        for shared in self.directory.all() {
            let id = dice.id();
            // A location follows its organization.
            self.directory.write(&mut bundle, shared, id, &organization);
            organization = id.to_string();
        }
        bundle.finish()
    }

    /// The record of the patient with this number. Numbers begin at 1.
    pub fn patient(&self, index: u64) -> GeneratedBundle {
        let mut dice = Dice::new(self.seed, index.wrapping_add(1));
        let clinic = self.directory.draw_clinic(&mut dice);
        let doctor = self.directory.draw_practitioner(&mut dice, clinic);
        let person = Person::draw(&mut dice, self.seed, index, self.as_of, (clinic, doctor));
        let story = Story::invent(&mut dice, &person, &self.directory);
        let body = Body::draw(&mut dice, person.sex, person.born, story.ever(Effect::Overweight));
        let shared_ids = Dice::new(self.seed, !index);
        let chart = Chart::new((dice, shared_ids), (&person, &story, &body), &self.directory, self.shared);
        chart.write()
    }
}
