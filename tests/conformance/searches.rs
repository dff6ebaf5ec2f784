//! Searches over what was loaded: what they find is compared with what a reading of the resources themselves gives.

use std::collections::BTreeSet;

use chrono::{DateTime, FixedOffset};
use reqwest::Method;

use crate::json::Json;
use crate::server::{Answer, Server, link};

/// A stored resource.
pub(crate) struct Resource {
    /// `Type/id`
    pub(crate) address: String,
    /// As it was read back.
    pub(crate) json: Json,
}

impl Resource {
    fn is(&self, resource_type: &str) -> bool {
        self.json.text("resourceType") == Some(resource_type)
    }

    /// Whether one of the strings at a path is this.
    fn has(&self, path: &str, text: &str) -> bool {
        self.json.texts(path).contains(&text)
    }

    fn time(&self, path: &str) -> Option<DateTime<FixedOffset>> {
        self.json.text(path).map(time)
    }

    /// Whether a coding at a path has this system and code.
    fn is_coded(&self, path: &str, system: &str, code: &str) -> bool {
        let codings = self.json.all(path);
        codings.iter().any(|one| (one.text("system"), one.text("code")) == (Some(system), Some(code)))
    }
}

/// Whether a resource is to be found.
type Criterion = Box<dyn Fn(&Resource) -> bool>;

/// Carries out every search that is made of the resources, and compares.
pub(crate) async fn find_everything(server: &Server, resources: &[Resource]) {
    let searches = [by_tokens(resources), by_references(resources), by_values(), by_words()].concat_all();
    let mut wrong = Vec::new();
    for (search, criterion) in &searches {
        let resource_type = search.split('?').next().unwrap().rsplit('/').next().unwrap();
        let expected = resources.iter().filter(|one| one.is(resource_type) && criterion(one));
        let expected: BTreeSet<String> = expected.map(|one| one.address.clone()).collect();
        let found = find(server, resources, search).await;
        if found != expected {
            let more: Vec<_> = found.difference(&expected).take(3).collect();
            let less: Vec<_> = expected.difference(&found).take(3).collect();
            wrong.push(format!("{search}: found without reason {more:?}, missed {less:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {} searches\n{}", wrong.len(), searches.len(), wrong.join("\n"));
    counts(server, resources).await;
    orders(server, resources).await;
    pages(server, resources).await;
}

trait ConcatAll {
    fn concat_all(self) -> Vec<(String, Criterion)>;
}

impl<const N: usize> ConcatAll for [Vec<(String, Criterion)>; N] {
    fn concat_all(self) -> Vec<(String, Criterion)> {
        self.into_iter().flatten().collect()
    }
}

/// Everybody by every identifier, and each code of each patient.
fn by_tokens(resources: &[Resource]) -> Vec<(String, Criterion)> {
    let mut searches: Vec<(String, Criterion)> = vec![
        ("Patient?gender=female".into(), Box::new(|one| one.has("gender", "female"))),
        ("Patient?gender:not=female".into(), Box::new(|one| !one.has("gender", "female"))),
        ("Observation?status=final".into(), Box::new(|one| one.has("status", "final"))),
        ("Claim?status=draft,active".into(), Box::new(|one| one.has("status", "active"))),
        ("MedicationRequest?status=active".into(), Box::new(|one| one.has("status", "active"))),
        (
            "Observation?combo-code=http://loinc.org%7C8480-6".into(),
            Box::new(|one| one.is_coded("component/code/coding", "http://loinc.org", "8480-6")),
        ),
    ];
    for one in resources.iter().filter(|one| one.is("Patient") || one.is("Practitioner")) {
        for identifier in one.json.all("identifier") {
            let value = identifier.text("value").unwrap().to_owned();
            let system = identifier.text("system").unwrap();
            let resource_type = one.json.text("resourceType").unwrap();
            let search = format!("{resource_type}?identifier={}%7C{}", encode(system), encode(&value));
            searches.push((search, Box::new(move |one| one.has("identifier/value", &value))));
        }
    }
    let observations = resources.iter().filter(|one| one.is("Observation"));
    let pairs: BTreeSet<(String, String)> = observations
        .map(|one| {
            let text = |path| one.json.text(path).unwrap().to_owned();
            (text("subject/reference"), text("code/coding/code"))
        })
        .collect();
    for (patient, code) in pairs {
        let id = patient.strip_prefix("Patient/").unwrap();
        let search = format!("Observation?patient={id}&code=http://loinc.org%7C{code}");
        let criterion = move |one: &Resource| {
            one.has("subject/reference", &patient) && one.is_coded("code/coding", "http://loinc.org", &code)
        };
        searches.push((search, Box::new(criterion)));
    }
    searches
}

/// What points at a patient or an encounter, also through the patient's compartment.
fn by_references(resources: &[Resource]) -> Vec<(String, Criterion)> {
    let mut searches: Vec<(String, Criterion)> = Vec::new();
    for patient in resources.iter().filter(|one| one.is("Patient")) {
        let address = patient.address.clone();
        let id = address.strip_prefix("Patient/").unwrap();
        for (search, path) in [
            (format!("Encounter?subject={address}"), "subject/reference"),
            (format!("Condition?patient=Patient/{id}"), "subject/reference"),
            (format!("Immunization?patient={id}"), "patient/reference"),
            (format!("ExplanationOfBenefit?patient={id}"), "patient/reference"),
            (format!("{address}/Observation"), "subject/reference"),
            (format!("{address}/Encounter?_count=50"), "subject/reference"),
        ] {
            let address = address.clone();
            searches.push((search, Box::new(move |one| one.has(path, &address))));
        }
        let search = format!("Patient?_id={id}");
        searches.push((search, Box::new(move |one| one.address == address)));
    }
    for encounter in resources.iter().filter(|one| one.is("Encounter")).step_by(9) {
        let address = encounter.address.clone();
        let search = format!("Observation?encounter={address}");
        searches.push((search, Box::new(move |one| one.has("encounter/reference", &address))));
    }
    searches
}

/// Dates with all comparisons, and quantities.
fn by_values() -> Vec<(String, Criterion)> {
    let mut searches: Vec<(String, Criterion)> = vec![
        (
            "Patient?birthdate=lt1980-01-01".into(),
            Box::new(|one| one.json.text("birthDate").unwrap() < "1980-01-01"),
        ),
        (
            "Patient?birthdate=1989".into(),
            Box::new(|one| one.json.text("birthDate").unwrap().starts_with("1989")),
        ),
        ("Patient?birthdate=1989-07-27".into(), Box::new(|one| one.has("birthDate", "1989-07-27"))),
        ("Patient?death-date=ge1900".into(), Box::new(|one| one.json.get("deceasedDateTime").is_some())),
        (
            "Observation?code=8302-2&value-quantity=gt170".into(),
            Box::new(|one| one.has("code/coding/code", "8302-2") && value(one) > 170.0),
        ),
        // The same weight in three units of UCUM.
        weight("le80%7Chttp://unitsofmeasure.org%7Ckg", |kilograms| kilograms <= 80.0),
        weight("lt80000%7Chttp://unitsofmeasure.org%7Cg", |kilograms| kilograms < 80.0),
        weight("gt176.36981%7Chttp://unitsofmeasure.org%7C[lb_av]", |kilograms| kilograms > 80.0),
    ];
    for moment in ["2010-01-01T00:00:00Z", "2015-06-30T12:00:00%2B02:00", "2018-03-01T00:00:00Z"] {
        let at = time(&moment.replace("%2B", "+"));
        let start = |one: &Resource| one.time("period/start").unwrap();
        let end = |one: &Resource| one.time("period/end").unwrap();
        let second = chrono::Duration::seconds(1);
        // Moments are given to the second, so an interval ends with the end of that second.
        for (prefix, criterion) in [
            ("ge", Box::new(move |one: &Resource| end(one) >= at) as Criterion),
            ("gt", Box::new(move |one| end(one) >= at + second)),
            ("le", Box::new(move |one| start(one) <= at)),
            ("lt", Box::new(move |one| start(one) < at)),
            ("sa", Box::new(move |one| start(one) >= at + second)),
            ("eb", Box::new(move |one| end(one) < at)),
        ] {
            searches.push((format!("Encounter?date={prefix}{moment}"), criterion));
        }
        searches.push((
            format!("Observation?date=ge{moment}&status=final"),
            Box::new(move |one| one.time("effectiveDateTime").unwrap() >= at),
        ));
    }
    searches
}

fn weight(asked: &str, holds: impl Fn(f64) -> bool + 'static) -> (String, Criterion) {
    let criterion = move |one: &Resource| one.has("code/coding/code", "29463-7") && holds(value(one));
    (format!("Observation?code=29463-7&value-quantity={asked}"), Box::new(criterion))
}

/// Strings: the beginning of a word, the whole, or any part, without regard to case and accents.
fn by_words() -> Vec<(String, Criterion)> {
    vec![
        ("Patient?family=ERD".into(), Box::new(|one| one.has("name/family", "Erdman"))),
        ("Patient?family:exact=Erdman".into(), Box::new(|one| one.has("name/family", "Erdman"))),
        ("Patient?family:exact=erdman".into(), Box::new(|_| false)),
        ("Patient?family:contains=onro".into(), Box::new(|one| one.has("name/family", "Conroy"))),
        ("Patient?given=agustin".into(), Box::new(|one| one.has("name/given", "Agustín"))),
        ("Patient?given=jos%C3%A9".into(), Box::new(|one| one.has("name/given", "José María"))),
        ("Patient?address-city=boston".into(), Box::new(|one| one.has("address/city", "Boston"))),
        (
            "Organization?name:contains=HOSPITAL".into(),
            Box::new(|one| one.json.text("name").unwrap().to_lowercase().contains("hospital")),
        ),
    ]
}

/// The numbers that are told are those of the resources.
async fn counts(server: &Server, resources: &[Resource]) {
    let types: BTreeSet<&str> = resources.iter().filter_map(|one| one.json.text("resourceType")).collect();
    for resource_type in types {
        let count = resources.iter().filter(|one| one.is(resource_type)).count().to_string();
        for search in ["_summary=count", "_total=accurate&_count=1"] {
            let bundle = server.get(&format!("{resource_type}?{search}")).await.json(200);
            assert_eq!(bundle.get("total"), Some(&Json::Literal(count.clone())), "{resource_type}?{search}");
        }
    }
}

/// Results come in the order that was asked for.
async fn orders(server: &Server, resources: &[Resource]) {
    let births = |bundle: &Json| -> Vec<String> {
        bundle.texts("entry/resource/birthDate").into_iter().map(str::to_owned).collect()
    };
    let patients = resources.iter().filter(|one| one.is("Patient"));
    let mut expected: Vec<String> =
        patients.map(|one| one.json.text("birthDate").unwrap().to_owned()).collect();
    expected.sort();
    assert_eq!(births(&server.get("Patient?_sort=birthdate").await.json(200)), expected);
    expected.reverse();
    assert_eq!(births(&server.get("Patient?_sort=-birthdate").await.json(200)), expected);
    let mut times = Vec::new();
    let mut next = Some("Observation?_sort=-date&_count=100".to_owned());
    while let Some(address) = next {
        let page = server.get(&address).await.json(200);
        times.extend(page.texts("entry/resource/effectiveDateTime").into_iter().map(time));
        next = link(&page, "next");
    }
    assert_eq!(times.len(), resources.iter().filter(|one| one.is("Observation")).count());
    assert!(times.is_sorted_by(|one, other| one >= other));
}

/// Pages of every size give each result once, forwards and backwards; a POST finds the same as a GET.
async fn pages(server: &Server, resources: &[Resource]) {
    let all = find(server, resources, "Observation?_count=37").await;
    assert_eq!(all.len(), resources.iter().filter(|one| one.is("Observation")).count());
    let first = server.get("Observation?_count=37").await.json(200);
    let second = server.get(&link(&first, "next").unwrap()).await.json(200);
    let back = server.get(&link(&second, "previous").unwrap()).await.json(200);
    assert_eq!(back.texts("entry/fullUrl"), first.texts("entry/fullUrl"));
    let form = server.request(Method::POST, "Patient/_search");
    let form = form.header("content-type", "application/x-www-form-urlencoded").body("family=erd&_count=5");
    let posted = Answer::of(form.send().await.unwrap()).await.json(200);
    let got = server.get("Patient?family=erd&_count=5").await.json(200);
    assert_eq!(posted.texts("entry/fullUrl"), got.texts("entry/fullUrl"));
    assert_eq!(posted.all("entry").len(), 1);
}

/// What a search finds, over all pages; every result is the resource as it is read by its id.
async fn find(server: &Server, resources: &[Resource], search: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut next = Some(search.to_owned());
    while let Some(address) = next {
        let page = server.get(&address).await.json(200);
        assert_eq!(page.text("type"), Some("searchset"));
        assert!(link(&page, "self").is_some());
        for entry in page.all("entry") {
            assert_eq!(entry.text("search/mode"), Some("match"), "{search}");
            let full_url = entry.text("fullUrl").unwrap();
            let address = full_url.strip_prefix(&format!("{}/", server.base)).unwrap();
            let stored = resources.iter().find(|one| one.address == address).unwrap();
            assert_eq!(entry.get("resource"), Some(&stored.json), "{search}");
            assert!(found.insert(address.to_owned()), "{search} gives {address} twice");
        }
        next = link(&page, "next");
    }
    found
}

fn time(text: &str) -> DateTime<FixedOffset> {
    DateTime::parse_from_rfc3339(text).unwrap()
}

/// The value of a quantity.
fn value(one: &Resource) -> f64 {
    match one.json.get("valueQuantity").and_then(|quantity| quantity.get("value")) {
        Some(Json::Literal(number)) => number.parse().unwrap(),
        _ => f64::NAN,
    }
}

fn encode(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}
