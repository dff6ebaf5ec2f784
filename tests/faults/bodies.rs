//! The resources and bundles that clients send, each with a token that finds it again in the log.

use serde_json::{Value, json};

use crate::dice::Dice;
use crate::records::{ATTEMPT, Asked, BUNDLE, CONDITION, Verb};

/// Resources that all clients write to, of each type.
pub(crate) const SHARED_EACH: u32 = 4;
const SHARED_TYPES: [&str; 3] = ["Patient", "Observation", "Organization"];
/// Identifiers that conditional creates of one round compete for.
const CONDITIONS: u32 = 12;

/// Transactions that are large.
const LARGE_PERCENT: u32 = 10;

/// The type and id of one of the shared resources.
pub(crate) fn shared(dice: &mut Dice) -> (&'static str, String) {
    (dice.pick(&SHARED_TYPES), format!("shared-{}", dice.below(SHARED_EACH)))
}

/// An identifier for which there may be one resource.
pub(crate) fn condition(round: u32, dice: &mut Dice) -> String {
    format!("r{round}-{}", dice.below(CONDITIONS))
}

/// A resource with the token; about one of the shared patients if it is an Observation.
pub(crate) fn resource(resource_type: &str, token: &str, dice: &mut Dice) -> Value {
    let subject = format!("Patient/shared-{}", dice.below(SHARED_EACH));
    let number = dice.below(9_000);
    let mut resource = match resource_type {
        "Observation" => json!({
            "status": "final",
            "code": {"coding": [{"system": "http://loinc.org", "code": "8480-6"}], "text": "systolic"},
            "subject": {"reference": subject},
            "effectiveDateTime": format!("20{:02}-0{}-1{}", number % 25, 1 + number % 9, number % 10),
            "valueQuantity": {"value": f64::from(number) / 10.0, "unit": "mmHg",
                "system": "http://unitsofmeasure.org", "code": "mm[Hg]"}
        }),
        "Patient" => {
            json!({"name": [{"family": format!("Family{number}"), "given": ["A"]}], "gender": "other",
            "birthDate": format!("19{:02}-0{}-1{}", number % 100, 1 + number % 9, number % 10)})
        }
        _ => json!({"name": format!("House {number}"), "active": number.is_multiple_of(2)}),
    };
    resource["resourceType"] = resource_type.into();
    resource["identifier"] = json!([identifier(ATTEMPT, token)]);
    resource
}

pub(crate) fn with_id(mut resource: Value, id: &str) -> Value {
    resource["id"] = id.into();
    resource
}

/// The resource with another identifier beside that of its attempt.
pub(crate) fn also(mut resource: Value, system: &str, value: &str) -> Value {
    resource["identifier"].as_array_mut().unwrap().push(identifier(system, value));
    resource
}

fn identifier(system: &str, value: &str) -> Value {
    json!({"system": system, "value": value})
}

/// The criteria of a conditional create.
pub(crate) fn criteria(condition: &str) -> String {
    format!("identifier={CONDITION}|{condition}")
}

/// A bundle under way, entry by entry.
pub(crate) struct Bundle<'a> {
    pub(crate) token: &'a str,
    entries: Vec<Value>,
    pub(crate) asked: Vec<Asked>,
}

impl<'a> Bundle<'a> {
    pub(crate) fn new(token: &'a str) -> Bundle<'a> {
        Bundle { token, entries: Vec::new(), asked: Vec::new() }
    }

    /// Notes what the next entry asks for and returns its token.
    fn ask(&mut self, verb: Verb, resource_type: &'static str, id: Option<String>) -> String {
        let token = format!("{}-{}", self.token, self.asked.len());
        self.asked.push(Asked { verb, token: token.clone(), resource_type, id, if_match: None });
        token
    }

    fn post(&mut self, resource_type: &'static str, full_url: String, dice: &mut Dice) -> &mut Value {
        let token = self.ask(Verb::Create, resource_type, None);
        let resource = resource(resource_type, &token, dice);
        self.entries.push(json!({"fullUrl": format!("urn:uuid:{full_url}"), "resource": resource,
            "request": {"method": "POST", "url": resource_type}}));
        &mut self.entries.last_mut().unwrap()["resource"]
    }

    fn put(&mut self, resource_type: &'static str, id: &str, dice: &mut Dice) {
        let token = self.ask(Verb::Update, resource_type, Some(id.to_owned()));
        let resource = with_id(resource(resource_type, &token, dice), id);
        let url = format!("{resource_type}/{id}");
        self.entries.push(json!({"resource": resource, "request": {"method": "PUT", "url": url}}));
    }

    fn delete(&mut self, resource_type: &'static str, id: &str) {
        self.ask(Verb::Delete, resource_type, Some(id.to_owned()));
        let url = format!("{resource_type}/{id}");
        self.entries.push(json!({"request": {"method": "DELETE", "url": url}}));
    }

    /// Two new patients, Observations of both that share an identifier, and shared resources of other
    /// compartments. Returns how many Observations share it.
    pub(crate) fn transaction(&mut self, dice: &mut Dice) -> u32 {
        let patients = [dice.uuid(), dice.uuid()];
        // Some are too large to arrive anywhere in one piece.
        let observations = if dice.chance(LARGE_PERCENT) { dice.between(30, 60) } else { dice.between(2, 4) };
        for n in 0..observations {
            let (token, full_url) = (self.token.to_owned(), dice.uuid());
            let observation = self.post("Observation", full_url, dice);
            *observation = also(observation.take(), BUNDLE, &token);
            let subject = &patients[n as usize % 2];
            observation["subject"]["reference"] = format!("urn:uuid:{subject}").into();
        }
        for patient in patients {
            self.post("Patient", patient, dice);
        }
        self.put("Patient", &format!("shared-{}", dice.below(SHARED_EACH)), dice);
        self.put("Organization", &format!("shared-{}", dice.below(SHARED_EACH)), dice);
        observations
    }

    /// Requests that have nothing to do with each other.
    pub(crate) fn batch(&mut self, dice: &mut Dice) {
        let full_url = dice.uuid();
        self.post("Observation", full_url, dice);
        let (resource_type, id) = shared(dice);
        self.put(resource_type, &id, dice);
        if dice.chance(30) {
            let (resource_type, id) = shared(dice);
            self.delete(resource_type, &id);
        }
    }

    pub(crate) fn text(&self, kind: &str) -> String {
        json!({"resourceType": "Bundle", "type": kind, "entry": self.entries}).to_string()
    }
}
