//! Published resources against the profiles that they declare, and the profiles of US Core 3.1.1 against mutations.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, in its helpers too"
)]

#[path = "support/corpus.rs"]
#[expect(dead_code, reason = "each test uses its part of the corpus")]
mod corpus;

use std::collections::{BTreeSet, HashMap};
use std::fs::{self, File};
use std::sync::Arc;

use anamnesis_fhir::json::{Document, Limits, Value};
use anamnesis_fhir::terminology::{
    self, Canonical, CodeSystem, ConceptMap, Extent, Found, Library, MapQuery, ValueSet,
};
use anamnesis_fhir::validate::Issue;
use anamnesis_fhir::validate::profile::{
    Demands, Lookup, Profile, Profiles, Published, Surroundings, check, compile,
};
use serde_json::{Value as Json, json};

/// US Core 3.1.1 over R4's own profiles. Its versions are not looked at: the examples are those of a newer branch.
struct UsCore {
    profiles: HashMap<String, Arc<Profile>>,
    value_sets: HashMap<String, Arc<ValueSet>>,
    code_systems: HashMap<String, Arc<CodeSystem>>,
}

impl Profiles for UsCore {
    fn profile(&self, canonical: &str) -> Lookup {
        let url = canonical.split('|').next().unwrap();
        match self.profiles.get(url) {
            Some(profile) => Lookup::Known(Arc::clone(profile)),
            None => Published.profile(canonical),
        }
    }
}

fn unpacked(path: &str) -> String {
    String::from_utf8(zstd::decode_all(File::open(corpus::folder().join(path)).unwrap()).unwrap()).unwrap()
}

fn us_core() -> UsCore {
    let (mut profiles, mut value_sets, mut code_systems) = (HashMap::new(), HashMap::new(), HashMap::new());
    for line in unpacked("definitions/us-core-3.1.1.ndjson.zst").lines() {
        let document = Document::parse(line, &Limits::default()).unwrap();
        let url = || document.root().get("url").unwrap().as_str().unwrap().into_owned();
        match corpus::type_of(document.root()).as_str() {
            "StructureDefinition" => {
                let profile = compile(document.root(), None).unwrap();
                assert!(profile.remarks().is_empty(), "{}: {:?}", profile.url(), profile.remarks());
                profiles.insert(url(), Arc::new(profile));
            }
            "ValueSet" => _ = value_sets.insert(url(), Arc::new(ValueSet::read(document.root()))),
            "CodeSystem" => _ = code_systems.insert(url(), Arc::new(CodeSystem::read(document.root()))),
            _ => {}
        }
    }
    assert_eq!((profiles.len(), value_sets.len(), code_systems.len()), (30, 32, 5));
    UsCore { profiles, value_sets, code_systems }
}

impl Library for UsCore {
    fn value_set(&self, canonical: &Canonical) -> Found<ValueSet> {
        match self.value_sets.get(&canonical.url) {
            Some(set) => Found::Here(Arc::clone(set)),
            None => terminology::Published.value_set(canonical),
        }
    }

    fn code_system(&self, canonical: &Canonical, extent: &Extent) -> Found<CodeSystem> {
        match self.code_systems.get(&canonical.url) {
            Some(system) => Found::Here(Arc::clone(system)),
            None => terminology::Published.code_system(canonical, extent),
        }
    }

    fn concept_maps(&self, query: &MapQuery) -> Found<Vec<Arc<ConceptMap>>> {
        terminology::Published.concept_maps(query)
    }
}

fn checked(text: &str, profiles: &UsCore) -> Vec<Issue> {
    let document = Document::parse(text, &Limits::default()).unwrap();
    let around = Surroundings { profiles, terminology: profiles };
    let demands = Demands { issues_max: 10_000, ..Demands::default() };
    check(document.root(), &demands, &around)
}

/// The resources of an NDJSON file with the names of the files that they come from.
fn lines(folder: &str, name: &str) -> Vec<(String, String)> {
    let index = fs::read_to_string(corpus::folder().join(folder).join(format!("{name}.index.tsv"))).unwrap();
    let names = index.lines().skip(1).map(|row| row.split('\t').nth(3).unwrap().to_owned());
    names.zip(unpacked(&format!("{folder}/{name}.ndjson.zst")).lines().map(str::to_owned)).collect()
}

/// Errors that examples really have by the profile that is known: file, expression, reason.
type Exception = (&'static str, &'static str, &'static str);

/// US Core's examples are those of its 9.0.0 branch; the profiles are those of 3.1.1.
const US_CORE_EXCEPTIONS: &[Exception] = &[
    ("careteam-example.json", "CareTeam.participant[3].member", "3.1.1 allows no RelatedPerson as a member"),
    ("e-cig-user.json", "Observation.issued", "3.1.1 asks a smoking status for the time when it was issued"),
    ("patient-deceased-example.json", "Patient.gender", "3.1.1 asks for the administrative gender"),
];

/// Examples of the specification break none of R4's profiles and extensions.
const SPECIFICATION_EXCEPTIONS: &[Exception] = &[];

/// Checks that the errors are exactly the known ones; tells how many resources were held against a profile.
fn published(folder: &str, name: &str, exceptions: &[Exception]) -> usize {
    let known = us_core();
    let (mut unexpected, mut held) = (Vec::new(), 0);
    let mut unused: BTreeSet<(String, String)> =
        exceptions.iter().map(|(file, place, _)| (file.to_string(), place.to_string())).collect();
    for (file, text) in lines(folder, name) {
        let document = Document::parse(text.as_str(), &Limits::default()).unwrap();
        let profiles = document.root().get("meta").and_then(|meta| meta.get("profile"));
        let addresses: Vec<String> = profiles
            .into_iter()
            .flat_map(Value::items)
            .map(|url| url.as_str().unwrap().into_owned())
            .collect();
        held += usize::from(addresses.iter().any(|url| matches!(known.profile(url), Lookup::Known(_))));
        for issue in checked(&text, &known).iter().filter(|issue| issue.severity.is_error()) {
            let place = (file.clone(), issue.expression.clone());
            let is_listed = exceptions.iter().any(|(file, path, _)| (*file, *path) == (&*place.0, &*place.1));
            unused.remove(&place);
            if !is_listed {
                unexpected.push(format!("{file}: {} {}", issue.expression, issue.diagnostics));
            }
        }
    }
    assert!(unexpected.is_empty(), "{}", unexpected.join("\n"));
    assert!(unused.is_empty(), "exceptions that are none: {unused:?}");
    held
}

#[test]
fn the_examples_of_us_core_conform_to_their_profiles() {
    let held = published("us-core", "us-core-examples-dev", US_CORE_EXCEPTIONS);
    println!("{held} examples declare a profile of 3.1.1");
    assert!(held >= 20, "{held}");
}

#[test]
fn the_examples_of_the_specification_conform_to_their_profiles() {
    assert!(published("spec-examples", "spec-examples-dev", SPECIFICATION_EXCEPTIONS) >= 2);
}

/// A change to an example and what must be told of it: severity, code, expression, key.
struct Mutation {
    file: &'static str,
    change: fn(&mut Json),
    told: (&'static str, &'static str, &'static str, Option<&'static str>),
}

const MUTATIONS: &[Mutation] = &[
    Mutation {
        file: "patient-deceased-example.json",
        change: |patient| remove(patient, "identifier"),
        told: ("error", "required", "Patient.identifier", None),
    },
    Mutation {
        file: "patient-deceased-example.json",
        change: |patient| patient["name"] = json!([{"use": "official"}]),
        told: ("error", "invariant", "Patient.name[0]", Some("us-core-8")),
    },
    Mutation {
        file: "patient-deceased-example.json",
        change: |patient| {
            let race = patient["extension"][0].clone();
            patient["extension"].as_array_mut().unwrap().push(race);
        },
        told: ("error", "structure", "Patient.extension", None),
    },
    Mutation {
        file: "patient-deceased-example.json",
        change: |patient| remove(&mut patient["extension"][0]["extension"][2], "valueString"),
        told: ("error", "required", "Patient.extension[0].extension[2].value", None),
    },
    Mutation {
        file: "patient-deceased-example.json",
        change: |patient| patient["extension"][0]["extension"].as_array_mut().unwrap().truncate(2),
        told: ("error", "required", "Patient.extension[0].extension", None),
    },
    Mutation {
        file: "patient-deceased-example.json",
        change: |patient| patient["extension"][0]["extension"][0]["valueCoding"]["code"] = "2106-4".into(),
        told: ("error", "code-invalid", "Patient.extension[0].extension[0].value", None),
    },
    Mutation {
        file: "patient-deceased-example.json",
        change: |patient| {
            let race = patient["extension"][0].clone();
            patient["name"][0]["extension"] = json!([race]);
        },
        told: ("error", "structure", "Patient.name[0].extension[0]", None),
    },
    Mutation {
        file: "patient-deceased-example.json",
        change: |patient| {
            let race = patient["extension"][0].clone();
            patient["modifierExtension"] = json!([race]);
        },
        told: ("error", "structure", "Patient.modifierExtension[0]", None),
    },
    Mutation {
        file: "observation-serum-bun.json",
        change: |observation| observation["category"][0]["coding"][0]["code"] = "imaging".into(),
        told: ("error", "required", "Observation.category", None),
    },
    Mutation {
        file: "observation-serum-bun.json",
        change: |observation| remove(observation, "valueQuantity"),
        told: ("error", "invariant", "Observation", Some("us-core-2")),
    },
    Mutation {
        file: "observation-serum-bun.json",
        change: |observation| observation["effectiveDateTime"] = "2005".into(),
        told: ("error", "invariant", "Observation.effective", Some("us-core-1")),
    },
    Mutation {
        file: "observation-serum-bun.json",
        change: |observation| observation["subject"]["reference"] = "Group/1".into(),
        told: ("error", "structure", "Observation.subject", None),
    },
    Mutation {
        file: "e-cig-user.json",
        change: |observation| {
            remove(observation, "valueCodeableConcept");
            observation["valueString"] = "often".into();
        },
        told: ("error", "structure", "Observation.value", None),
    },
    Mutation {
        file: "e-cig-user.json",
        change: |observation| observation["status"] = "preliminary".into(),
        told: ("error", "code-invalid", "Observation.status", None),
    },
    Mutation {
        file: "pediatric-bmi-example.json",
        change: |observation| observation["valueQuantity"]["code"] = "kg/m2".into(),
        told: ("error", "value", "Observation.value.code", None),
    },
    Mutation {
        file: "organization-acme-payer.json",
        change: |organization| organization["active"] = Json::Null,
        told: ("error", "required", "Organization.active", None),
    },
    Mutation {
        file: "diagnosticreport-metabolic-panel.json",
        change: |report| report["category"][0]["coding"][0]["code"] = "RAD".into(),
        told: ("error", "required", "DiagnosticReport.category", None),
    },
];

fn remove(value: &mut Json, name: &str) {
    value.as_object_mut().unwrap().remove(name).unwrap();
}

#[test]
fn what_breaks_a_profile_is_told_with_place_and_key() {
    let (known, examples) = (us_core(), lines("us-core", "us-core-examples-dev"));
    let mut wrong = Vec::new();
    for mutation in MUTATIONS {
        let (_, text) = examples.iter().find(|(file, _)| file == mutation.file).unwrap();
        let mut resource: Json = serde_json::from_str(text).unwrap();
        (mutation.change)(&mut resource);
        let (severity, code, expression, key) = mutation.told;
        let is_told = |issues: &[Issue]| {
            issues.iter().any(|issue| {
                (issue.severity.code(), issue.code.code(), issue.expression.as_str(), issue.key())
                    == (severity, code, expression, key)
            })
        };
        let issues = checked(&resource.to_string(), &known);
        if !is_told(&issues) || is_told(&checked(text, &known)) {
            wrong.push(format!("{} {:?}: {issues:#?}", mutation.file, mutation.told));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Slices of R4's own profiles that nothing tells apart: they stand on elements without a discriminator.
const BLIND_SLICES: &[&str] = &["familymemberhistory-genetic"];

#[test]
fn the_profiles_of_r4_compile() {
    for address in Published::addresses() {
        let Lookup::Known(profile) = Published.profile(address) else { panic!("{address} cannot be used") };
        let is_listed = BLIND_SLICES.iter().any(|name| address.ends_with(name));
        assert_eq!(!profile.remarks().is_empty(), is_listed, "{address}: {:?}", profile.remarks());
    }
    assert!(Published::addresses().len() >= 430);
}
