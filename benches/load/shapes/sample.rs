//! What the queries ask for, read from the store.

use anyhow::Context;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use crate::client::Client;
use crate::server::Server;

/// Kept in a query as they are.
const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// Patients that are asked for.
const PATIENTS: usize = 1000;
/// Codes of laboratory and vital signs (LOINC).
const CODES: [&str; 6] = ["8867-4", "8480-6", "29463-7", "2339-0", "4548-4", "718-7"];
/// Conditions (SNOMED CT): obesity, hypertension, diabetes, hyperlipidaemia.
const CONDITIONS: [&str; 4] = ["414916001", "59621000", "44054006", "55822004"];

/// Parts of queries.
pub(crate) struct Sample {
    pub(crate) resources: usize,
    pub(crate) patients: Vec<Patient>,
}

/// What is known of a patient.
pub(crate) struct Patient {
    id: String,
    identifier: String,
    family: String,
    given: String,
    birthdate: String,
}

impl Sample {
    /// The number of resources of a type.
    pub(crate) fn count(server: &Server, resource_type: &str) -> anyhow::Result<usize> {
        let bundle = get(server, &format!("{resource_type}?_summary=count"))?;
        let total = bundle.pointer("/total").and_then(Value::as_u64).context("no total")?;
        Ok(usize::try_from(total)?)
    }

    /// Reads some patients.
    pub(crate) fn take(server: &Server) -> anyhow::Result<Self> {
        let bundle = get(server, &format!("Patient?_count={PATIENTS}&_elements=name,identifier,birthDate"))?;
        let entries = bundle.pointer("/entry").and_then(Value::as_array).context("no patients")?;
        let patients = entries.iter().filter_map(|entry| Patient::read(entry.get("resource")?)).collect();
        let all = get(server, "?_summary=count")?;
        let resources = usize::try_from(all.pointer("/total").and_then(Value::as_u64).unwrap_or(0))?;
        Ok(Self { resources, patients })
    }

    /// The n-th query of a shape.
    pub(crate) fn fill(&self, query: &str, n: usize) -> String {
        let at = n.wrapping_mul(7919);
        let mut filled = query.to_owned();
        if let Some(patient) = self.patients.get(at % self.patients.len().max(1)) {
            let middle: String = patient.family.chars().skip(1).take(4).collect();
            for (name, text) in [
                ("{patient}", &patient.id),
                ("{identifier}", &patient.identifier),
                ("{family}", &patient.family),
                ("{given}", &patient.given),
                ("{birthdate}", &patient.birthdate),
                ("{middle}", &middle),
            ] {
                filled = filled.replace(name, &utf8_percent_encode(text, KEPT).to_string());
            }
        }
        for (name, all) in [("{code}", CODES.as_slice()), ("{condition}", CONDITIONS.as_slice())] {
            filled = filled.replace(name, all.get(n % all.len()).copied().unwrap_or_default());
        }
        // What stands in the table is written for people.
        filled.replace(' ', "%20").replace('|', "%7C")
    }
}

impl Patient {
    fn read(resource: &Value) -> Option<Self> {
        let text = |value: &Value, pointer: &str| value.pointer(pointer)?.as_str().map(str::to_owned);
        let names = resource.get("name")?.as_array()?;
        // Names in other scripts have one in Latin beside.
        let latin =
            names.iter().find(|name| text(name, "/family").is_some_and(|family| family.is_ascii()))?;
        let system = text(resource, "/identifier/0/system")?;
        Some(Self {
            id: text(resource, "/id")?,
            identifier: format!("{system}|{}", text(resource, "/identifier/0/value")?),
            family: text(latin, "/family")?,
            given: text(latin, "/given/0")?,
            birthdate: text(resource, "/birthDate")?,
        })
    }
}

fn get(server: &Server, query: &str) -> anyhow::Result<Value> {
    let mut client = Client::connect(&server.base)?;
    let answer = client.send("GET", &format!("/{query}"), b"")?;
    let status = answer.status;
    serde_json::from_slice(answer.body).with_context(|| format!("{status} for {query}"))
}
