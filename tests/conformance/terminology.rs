//! The TestScripts of terminology ask for codes of SNOMED CT, ICD and LOINC, which are their owners'. Once somebody has
//! stored them, as operators do, the same calls have answers.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use reqwest::Method;

use crate::json::Json;
use crate::server::Server;
use crate::{corpus, process, server, testscript};

const SNOMED: &str = "http://snomed.info/sct";
const LOINC: &str = "http://loinc.org";
const CONDITIONS: &str = "http://hl7.org/fhir/us/core/ValueSet/us-core-condition-code";
/// The findings of SNOMED CT, under which the value set takes all concepts.
const FINDINGS: &str = "404684003";

#[test]
fn terminology_scripts_have_answers_once_the_codes_are_stored() {
    let scripts = corpus::test_scripts();
    let script = |name: &str| &scripts.iter().find(|script| script.name.ends_with(name)).unwrap().json;
    let (expand, lookup) = (script("expand-valueset.json"), script("lookup-loinc.json"));
    server::test(|server| async move {
        let expansion = format!("ValueSet/$expand?url={CONDITIONS}&count=5");
        let blood_pressure = format!("CodeSystem/$lookup?system={LOINC}&code=85354-9");
        for (call, script) in [(&expansion, expand), (&blood_pressure, lookup)] {
            assert_eq!(server.get(call).await.status, 404, "{call}");
            testscript::run(script, &server).await.unwrap();
        }
        // The value set alone is not enough, and the answer says what is missing.
        let set = corpus::definition("us-core-3.1.1", CONDITIONS);
        let address = format!("ValueSet/{}", set.json.text("id").unwrap());
        assert_eq!(server.send(Method::PUT, &address, &set.text).await.status, 201);
        let missing = server.get(&expansion).await;
        assert_eq!(missing.status, 404);
        assert!(missing.body.contains(SNOMED), "{}", missing.body);
        store_codes(&server);
        let expanded = server.get(&expansion).await.json(200);
        assert_eq!(expanded.texts("expansion/contains/code").len(), 5);
        let all = server.get(&format!("ValueSet/$expand?url={CONDITIONS}")).await.json(200);
        let systems = all.texts("expansion/contains/system");
        for system in [SNOMED, "http://hl7.org/fhir/sid/icd-10-cm", "http://hl7.org/fhir/sid/icd-9-cm"] {
            assert!(systems.contains(&system), "{system}");
        }
        let looked = server.get(&blood_pressure).await.json(200);
        let display = "Blood pressure panel with all children optional";
        assert!(looked.texts("parameter/valueString").contains(&display), "{looked:?}");
        for script in [expand, lookup] {
            testscript::run(script, &server).await.unwrap();
        }
    });
}

/// Loads what the examples and the patients of Synthea use of these systems.
fn store_codes(server: &Server) {
    let mut codes: BTreeMap<&str, BTreeMap<String, String>> = BTreeMap::new();
    let examples = [("spec-examples", "spec-examples-dev"), ("us-core", "us-core-examples-dev")];
    let examples = examples.map(|(folder, file)| corpus::lines(folder, file));
    for document in examples.iter().flatten().chain(&corpus::synthea()) {
        for system in [SNOMED, LOINC] {
            collect(&document.json, system, codes.entry(system).or_default());
        }
    }
    let findings = codes.entry(SNOMED).or_default();
    for (code, display) in
        [(FINDINGS, "Clinical finding"), ("160245001", "No current problems"), ("243796009", "Context")]
    {
        findings.insert(code.to_owned(), display.to_owned());
    }
    for (system, code, display) in [
        ("http://hl7.org/fhir/sid/icd-10-cm", "E11.9", "Type 2 diabetes mellitus without complications"),
        ("http://hl7.org/fhir/sid/icd-9-cm", "401.9", "Unspecified essential hypertension"),
    ] {
        codes.entry(system).or_default().insert(code.to_owned(), display.to_owned());
    }
    let folder = tempfile::tempdir().unwrap();
    for (system, concepts) in codes {
        assert!(!concepts.is_empty(), "{system}");
        load(server, folder.path(), system, &concepts);
    }
}

/// The codes of a system with their displays, wherever they stand.
fn collect(json: &Json, system: &str, codes: &mut BTreeMap<String, String>) {
    match json {
        Json::Object(members) => {
            let text = |name| json.get(name).and_then(Json::as_str);
            if let (Some(own), Some(code), Some(display)) = (text("system"), text("code"), text("display"))
                && own == system
            {
                codes.insert(code.to_owned(), display.to_owned());
            }
            members.iter().for_each(|(_, value)| collect(value, system, codes));
        }
        Json::Array(items) => items.iter().for_each(|item| collect(item, system, codes)),
        Json::String(_) | Json::Literal(_) => {}
    }
}

/// `anamnesis terminology load`, of a list as operators have them.
fn load(server: &Server, folder: &Path, system: &str, concepts: &BTreeMap<String, String>) {
    let file = folder.join("codes.csv");
    let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    let mut list = "code,display,parent\n".to_owned();
    for (code, display) in concepts {
        let parent = if system == SNOMED && code != FINDINGS { FINDINGS } else { "" };
        list.push_str(&format!("{},{},{parent}\n", quoted(code), quoted(display)));
    }
    std::fs::write(&file, list).unwrap();
    let mut command = Command::new(process::program());
    process::clean(&mut command);
    command.args(["terminology", "load"]).arg(&file).args(["--system", system, "--edition", "1"]);
    let done = command.args(["--server", &server.base]).output().unwrap();
    assert!(done.status.success(), "{system}: {}", String::from_utf8_lossy(&done.stderr));
}
