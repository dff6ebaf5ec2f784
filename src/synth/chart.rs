//! The chart: tells a story as FHIR resources, visit by visit.

use std::collections::BTreeMap;

use super::body::{Body, Vitals};
use super::bundle::{BundleWriter, Id};
use super::calendar::{Day, Moment};
use super::codes::conditions::Effect;
use super::codes::procedures;
use super::dice::Dice;
use super::directory::{Directory, Shared};
use super::json::Json;
use super::people::Person;
use super::resources::{
    allergy, care_plan, condition, document, encounter, immunization, laboratory, medication, procedure,
    vitals,
};
use super::story::{Class, Kind, Occasion, Story, Visit};
use super::{GeneratedBundle, SharedResources};

/// A patient's bundle in the making, and all that decides about it.
pub(super) struct Chart<'a> {
    pub(super) bundle: BundleWriter,
    pub(super) dice: Dice,
    pub(super) person: &'a Person,
    pub(super) story: &'a Story,
    pub(super) body: &'a Body,
    directory: &'a Directory,
    mode: SharedResources,
    /// What of the directory the bundle refers to, and the dice for its identities. They are other dice than the
    /// patient's, so that a patient is the same in either mode.
    used: BTreeMap<Shared, Id>,
    shared_ids: Dice,
}

/// Where and when a resource of a visit belongs.
#[derive(Clone)]
pub(super) struct Context {
    pub(super) patient: Id,
    pub(super) encounter: Id,
    pub(super) time: Moment,
    /// References to who and what provides the care.
    pub(super) practitioner: String,
    pub(super) organization: String,
}

/// From this size on a record gets no further laboratory panels, so that no bundle grows without bound.
const PANELS_UNTIL_RESOURCES: usize = 105;
/// From this size on only what happened is recorded, and no routine.
const ROUTINE_UNTIL_RESOURCES: usize = 145;

impl<'a> Chart<'a> {
    /// An empty chart.
    pub(super) fn new(
        (dice, shared_ids): (Dice, Dice),
        (person, story, body): (&'a Person, &'a Story, &'a Body),
        directory: &'a Directory,
        mode: SharedResources,
    ) -> Self {
        let bundle = BundleWriter::with_capacity(160 * 1024);
        Self { bundle, dice, person, story, body, directory, mode, used: BTreeMap::new(), shared_ids }
    }

    /// Writes everything and gives the bundle.
    pub(super) fn write(mut self) -> GeneratedBundle {
        let doctor = self.refer(Shared::Practitioner(self.person.doctor));
        let clinic = self.refer(Shared::Organization(self.person.clinic));
        self.person.write(&mut self.bundle, &doctor, &clinic);
        for (number, visit) in self.story.visits.iter().enumerate() {
            self.write_visit(number, visit);
        }
        if self.mode == SharedResources::Included {
            self.write_shared();
        }
        self.bundle.finish()
    }

    /// The reference to something of the directory, as this bundle writes it.
    pub(super) fn refer(&mut self, shared: Shared) -> String {
        match self.mode {
            SharedResources::Conditional => self.directory.conditional_reference(shared),
            SharedResources::Included => {
                let dice = &mut self.shared_ids;
                self.used.entry(shared).or_insert_with(|| dice.id()).to_string()
            }
        }
    }

    /// How people call something of the directory.
    pub(super) fn display(&self, shared: Shared) -> String {
        self.directory.display(shared)
    }

    fn write_visit(&mut self, number: usize, visit: &Visit) {
        let day = visit.start.day();
        let context = Context {
            patient: self.person.id,
            encounter: visit.id,
            time: visit.start.plus_minutes(5),
            practitioner: self.refer(Shared::Practitioner(visit.practitioner)),
            organization: self.refer(Shared::Organization(visit.organization)),
        };
        encounter::write(self, visit, &context);
        if number == 0 {
            allergy::write_all(self, &context);
        }
        condition::write_recorded(self, number, &context);
        let effects = self.story.effects_on(day);
        self.write_measurements(visit, &context, &effects);
        if number == 0 {
            medication::write_statements(self, &context);
            care_plan::write(self, &context);
        }
        medication::write_requests(self, number, visit, &context);
        if visit.class == Class::Ambulatory {
            immunization::write_due(self, number, day, &context);
        }
        self.write_procedures(visit, &context);
        if visit.class == Class::Inpatient {
            document::write_discharge_summary(self, visit, &context);
        }
    }

    fn write_measurements(&mut self, visit: &Visit, context: &Context, effects: &[Effect]) {
        if self.bundle.resources() > ROUTINE_UNTIL_RESOURCES && visit.occasion == Occasion::Checkup {
            return;
        }
        let measured: Vitals = self.body.vitals(&mut self.dice, visit.start.day(), effects);
        vitals::write(self, visit, context, &measured, effects);
        if self.bundle.resources() <= PANELS_UNTIL_RESOURCES {
            laboratory::write(self, visit, context, effects);
        }
    }

    fn write_procedures(&mut self, visit: &Visit, context: &Context) {
        let reason = visit.occasion.episode().and_then(|number| self.story.episodes.get(number));
        let reason_id = reason.map(|episode| episode.id);
        let mut done: Vec<_> = Vec::new();
        match (visit.occasion, reason.map(|episode| episode.kind)) {
            (Occasion::Acute(_), Some(Kind::Acute(spec))) => done.extend_from_slice(spec.procedures),
            (Occasion::Diagnosis(_) | Occasion::FollowUp(_), Some(Kind::Chronic(spec))) => {
                done.extend(spec.procedure);
                done.push(procedures::MEDICATION_RECONCILIATION);
            }
            (Occasion::Prenatal(_), _) => done.push(procedures::OBSTETRIC_ULTRASOUND),
            (Occasion::Delivery(_), _) => {
                let cesarean = self.dice.chance(300);
                done.push(if cesarean { procedures::CESAREAN } else { procedures::NORMAL_DELIVERY });
            }
            (Occasion::Checkup, _) => done.extend(procedure::screening(self, visit.start.day())),
            _ => {}
        }
        for code in done {
            procedure::write(self, visit, context, &code, reason_id);
        }
    }

    /// Adds what the bundle refers to of the directory, and what that refers to.
    fn write_shared(&mut self) {
        let mut used = std::mem::take(&mut self.used);
        let locations: Vec<usize> = used
            .keys()
            .filter_map(|shared| match shared {
                Shared::Location(number) => Some(*number),
                Shared::Organization(_) | Shared::Practitioner(_) => None,
            })
            .collect();
        for number in locations {
            used.entry(Shared::Organization(number)).or_insert_with(|| self.shared_ids.id());
        }
        for (&shared, &id) in &used {
            let organization = match shared {
                Shared::Location(number) => used.get(&Shared::Organization(number)).map(Id::to_string),
                Shared::Organization(_) | Shared::Practitioner(_) => None,
            };
            self.directory.write(&mut self.bundle, shared, id, &organization.unwrap_or_default());
        }
    }

    /// The last day of the record.
    pub(super) fn last_day(&self) -> Day {
        self.person.last_day
    }
}

impl Context {
    /// Writes the members `subject` and `encounter`.
    pub(super) fn write_subject(&self, json: &mut Json) {
        self.write_reference(json, "subject", self.patient);
        self.write_reference(json, "encounter", self.encounter);
    }

    /// Writes a member that refers to a resource of the bundle.
    pub(super) fn write_reference(&self, json: &mut Json, name: &str, id: Id) {
        json.object(name, |json| json.plain("reference", id));
    }
}
