//! Tests that the records could be those of people.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use serde_json::Value;

use super::{Generator, parse, resources};

const PATIENTS: usize = 300;

/// The records of the first patients of seed 1.
static RECORDS: LazyLock<Vec<Value>> = LazyLock::new(|| {
    let generator = Generator::new(1);
    (1..=PATIENTS as u64).map(|index| parse(&generator.patient(index))).collect()
});

/// Calls `check` with the number and the record of each patient.
fn each_record(mut check: impl FnMut(usize, &'static Value)) {
    for (place, record) in RECORDS.iter().enumerate() {
        check(place + 1, record);
    }
}

#[test]
fn records_have_the_promised_size_and_variety() {
    let mut sizes: Vec<usize> = RECORDS.iter().map(|record| resources(record).count()).collect();
    sizes.sort_unstable();
    let mean = sizes.iter().sum::<usize>() / sizes.len();
    assert!((110..=135).contains(&mean), "mean {mean}");
    let within = sizes.iter().filter(|size| (60..=200).contains(*size)).count();
    assert!(within * 100 >= sizes.len() * 96, "only {within} of {} are within 60 to 200", sizes.len());
    assert!(sizes.iter().all(|size| (20..=260).contains(size)), "{:?}", sizes.last());
}

#[test]
fn a_population_has_all_types_ages_and_scripts() {
    let mut types: BTreeMap<String, usize> = BTreeMap::new();
    let mut text = String::new();
    let (mut decades, mut dead) = (BTreeSet::new(), 0);
    each_record(|_, bundle| {
        for resource in resources(bundle) {
            *types.entry(resource["resourceType"].as_str().unwrap().to_owned()).or_default() += 1;
            if resource["resourceType"] == "Patient" {
                decades.insert(resource["birthDate"].as_str().unwrap()[..3].to_owned());
                dead += usize::from(!resource["deceasedDateTime"].is_null());
                text.push_str(&resource["name"].to_string());
            }
        }
    });
    assert_eq!(types.len(), 15, "{types:?}");
    assert!(decades.len() >= 9 && (3..60).contains(&dead), "{decades:?} {dead}");
    for (script, first, last) in
        [("Han", '一', '鿿'), ("Cyrillic", 'Ѐ', 'ӿ'), ("Arabic", '؀', 'ۿ'), ("Hangul", '가', '힣')]
    {
        assert!(text.chars().any(|letter| (first..=last).contains(&letter)), "no name in {script}");
    }
}

#[test]
fn every_observation_has_a_ucum_quantity_a_component_or_an_answer() {
    const UCUM: &str = "http://unitsofmeasure.org";
    each_record(|index, bundle| {
        for resource in resources(bundle).filter(|resource| resource["resourceType"] == "Observation") {
            let quantity = |holder: &Value| {
                let quantity = &holder["valueQuantity"];
                quantity["value"].is_number() && quantity["system"] == UCUM && quantity["code"].is_string()
            };
            let components = resource["component"].as_array();
            let ok = quantity(resource)
                || components
                    .is_some_and(|components| components.len() == 2 && components.iter().all(quantity))
                || resource["valueCodeableConcept"]["coding"][0]["code"].is_string();
            assert!(ok, "patient {index}: {resource}");
            let laboratory = resource["category"][0]["coding"][0]["code"] == "laboratory";
            assert_eq!(
                laboratory,
                resource["referenceRange"].is_array() && resource["interpretation"].is_array()
            );
        }
    });
}

#[test]
fn nothing_ends_before_it_begins_or_happens_outside_of_a_life() {
    each_record(|index, bundle| {
        let patient = resources(bundle).find(|resource| resource["resourceType"] == "Patient").unwrap();
        let born = patient["birthDate"].as_str().unwrap();
        let died = patient["deceasedDateTime"].as_str().unwrap_or("2026-01-01");
        for resource in resources(bundle) {
            for (begin, end) in [
                (&resource["period"]["start"], &resource["period"]["end"]),
                (&resource["performedPeriod"]["start"], &resource["performedPeriod"]["end"]),
                (&resource["effectiveDateTime"], &resource["issued"]),
                (&resource["onsetDateTime"], &resource["abatementDateTime"]),
                (&resource["onsetDateTime"], &resource["recordedDate"]),
            ] {
                let Some(begin) = begin.as_str() else { continue };
                // A year or a month is compared as far as it goes.
                let no_later = |early: &str, late: &str| {
                    let size = early.len().min(late.len()).min("2020-01-01T00:00:00".len());
                    early[..size] <= late[..size]
                };
                assert!(no_later(born, begin), "patient {index} born {born}: {resource}");
                assert!(no_later(begin, died), "patient {index} died {died}: {resource}");
                if let Some(end) = end.as_str() {
                    assert!(no_later(begin, end), "patient {index}: {resource}");
                }
            }
        }
    });
}

#[test]
fn what_belongs_to_a_visit_lies_within_its_day_and_one_visit_follows_another() {
    each_record(|index, bundle| {
        let mut last = "";
        let mut starts = BTreeMap::new();
        for entry in bundle["entry"].as_array().unwrap() {
            if entry["resource"]["resourceType"] == "Encounter" {
                let start = entry["resource"]["period"]["start"].as_str().unwrap();
                assert!(last[..last.len().min(19)] <= start[..19], "patient {index}: {last} before {start}");
                last = start;
                starts.insert(entry["fullUrl"].as_str().unwrap(), start);
            }
        }
        for resource in resources(bundle) {
            let Some(encounter) = resource["encounter"]["reference"].as_str() else { continue };
            for time in ["effectiveDateTime", "recordedDate", "authoredOn", "occurrenceDateTime"] {
                if let Some(time) = resource[time].as_str() {
                    assert_eq!(&time[..10], &starts[encounter][..10], "patient {index}: {resource}");
                }
            }
        }
    });
}

#[test]
fn resolved_conditions_have_an_end_and_active_ones_have_none() {
    let mut seen = BTreeSet::new();
    each_record(|index, bundle| {
        for resource in resources(bundle).filter(|resource| resource["resourceType"] == "Condition") {
            let status = resource["clinicalStatus"]["coding"][0]["code"].as_str().unwrap();
            assert_eq!(status == "resolved", resource["abatementDateTime"].is_string(), "patient {index}");
            seen.insert(resource["code"]["coding"][0]["code"].to_string());
        }
    });
    assert!(seen.len() >= 35, "only {} conditions in {PATIENTS} patients", seen.len());
}

#[test]
fn diabetics_have_a_higher_glycated_hemoglobin_and_get_metformin() {
    let (mut with, mut without, mut treated) = (Vec::new(), Vec::new(), 0);
    each_record(|_, bundle| {
        let text = bundle.to_string();
        let has = |code: &str| text.contains(&format!("\"code\":\"{code}\""));
        let values = resources(bundle)
            .filter(|resource| resource["code"]["coding"][0]["code"] == "4548-4")
            .map(|resource| resource["valueQuantity"]["value"].as_f64().unwrap());
        if has("44054006") {
            with.extend(values);
            treated += usize::from(has("861007"));
        } else {
            without.extend(values);
        }
    });
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    assert!(with.len() > 10 && without.len() > 10 && treated > 10);
    assert!(mean(&with) > 6.3 && mean(&without) < 5.7, "{} {}", mean(&with), mean(&without));
}

#[test]
fn numbers_keep_the_places_of_their_test() {
    let generator = Generator::new(1);
    let text = String::from_utf8((1..=20).flat_map(|index| generator.patient(index).json).collect()).unwrap();
    // A haemoglobin is reported with one place, also when that is a zero.
    let hemoglobin = text.split("\"code\":\"718-7\"").skip(1).filter_map(|rest| {
        let value = rest.split_once("\"valueQuantity\":{\"value\":")?.1;
        Some(value.split_once(',')?.0.to_owned())
    });
    let values: Vec<String> = hemoglobin.collect();
    assert!(values.len() > 10);
    assert!(values.iter().all(|value| value.split_once('.').is_some_and(|(_, places)| places.len() == 1)));
    assert!(values.iter().any(|value| value.ends_with(".0")), "{values:?}");
}
