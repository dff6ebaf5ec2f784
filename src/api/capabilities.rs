//! `/metadata`: what the service can do (R4 http.html section 3.1.0.10), made from the table of interactions, the
//! search parameters and the service's rules.

use std::sync::{Arc, Mutex, PoisonError};

use anamnesis_fhir::definitions::r4;
use anamnesis_fhir::search::{SearchParameter, SearchParameterKind};
use anamnesis_projections::search::{Catalogue, SearchIndex};
use bytes::Bytes;
use serde_json::{Value, json};

use super::answer::Answer;
use super::as_of;
use super::call::Call;
use super::interaction::{Listed, TABLE};
use super::operation::{self, OPERATIONS};
use super::route::resource_types;
use super::security::Security;
use super::terminology_capabilities;
use crate::clock;
use crate::decide::{Rules, Versioning};
use crate::error::Failure;

/// `GET /metadata`
pub(crate) fn capabilities(call: &Call) -> Result<Answer, Failure> {
    match call.query.get("mode") {
        // All that this server offers is normative or says itself that it is not; the statement is the same.
        None | Some("full" | "normative") => {}
        Some("terminology") => {
            let date = clock::now().to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
            return Ok(Answer::ok(terminology_capabilities::statement(&call.base, &date).to_string()));
        }
        Some(_) => return Err(Failure::invalid("mode is full, normative or terminology.")),
    }
    let service = &call.service;
    let catalogue = service.search.as_ref().map_or_else(Catalogue::r4, SearchIndex::catalogue);
    let security = Security::of(service);
    let statement = service.capabilities.of(catalogue, service.compartments.rules(), security);
    Ok(Answer::ok(Bytes::from(with_base(&statement, &call.base))))
}

/// The statement, as it was made last, and what it was made of.
#[derive(Default)]
pub(crate) struct Stated(Mutex<Option<Made>>);

/// A statement, and what it was made of.
type Made = (Catalogue, Security, Arc<[u8]>);

impl Stated {
    fn of(&self, catalogue: Catalogue, rules: &Rules, security: Security) -> Arc<[u8]> {
        let mut made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*made {
            Some((listed, told, statement)) if listed.is_same(&catalogue) && *told == security => {
                statement.clone()
            }
            _ => {
                let statement: Arc<[u8]> = statement(rules, &catalogue, &security).into();
                *made = Some((catalogue, security, statement.clone()));
                statement
            }
        }
    }
}

/// The statement for a client that knows the service by this address.
fn with_base(statement: &[u8], base: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(statement.len() + base.len() + 128);
    out.extend_from_slice(br#"{"resourceType":"CapabilityStatement","url":""#);
    let mut address = Vec::new();
    anamnesis_fhir::json::escape_into(&mut address, base);
    out.extend_from_slice(&address);
    out.extend_from_slice(br#"/metadata","implementation":{"description":"Anamnesis","url":""#);
    out.extend_from_slice(&address);
    out.extend_from_slice(br#""},"#);
    // The rest of the object, without its opening brace.
    out.extend_from_slice(statement.get(1..).unwrap_or_default());
    out
}

fn statement(rules: &Rules, catalogue: &Catalogue, security: &Security) -> Vec<u8> {
    let resources: Vec<Value> = resource_types().map(|name| resource(name, rules, catalogue)).collect();
    let statement = json!({
        "name": "Anamnesis",
        "title": "Anamnesis FHIR service",
        "status": "active",
        "date": clock::now().to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
        "publisher": "Anamnesis",
        "kind": "instance",
        "software": { "name": "Anamnesis", "version": env!("CARGO_PKG_VERSION") },
        "fhirVersion": r4().fhir_version(),
        "format": ["application/fhir+json", "application/fhir+xml", "json", "xml"],
        "patchFormat": [super::patch::JSON_PATCH, "application/fhir+json", "application/fhir+xml"],
        "rest": [{
            "mode": "server",
            "documentation": as_of::DOCUMENTATION,
            "security": security.json(),
            "resource": resources,
            "interaction": listed(|listed| match listed {
                Listed::OfSystem(code) => Some(code),
                _ => None,
            }),
            "searchParam": of_the_system(catalogue),
            "compartment": r4().compartments().iter().map(|compartment| compartment.url).collect::<Vec<_>>(),
            "operation": operations(operation::Operation::is_of_system),
        }],
    });
    serde_json::to_vec(&statement).unwrap_or_default()
}

fn resource(name: &str, rules: &Rules, catalogue: &Catalogue) -> Value {
    let versioning = match rules.versioning_of(name) {
        Versioning::Versioned => "versioned",
        Versioning::VersionedUpdate => "versioned-update",
        Versioning::NoVersion => "no-version",
    };
    let mut resource = json!({
        "type": name,
        "profile": format!("http://hl7.org/fhir/StructureDefinition/{name}"),
        "interaction": listed(|listed| match listed {
            Listed::OfType(code) => Some(code),
            _ => None,
        }),
        "versioning": versioning,
        "readHistory": rules.versioning_of(name) != Versioning::NoVersion,
        "updateCreate": rules.update_creates,
        "conditionalCreate": true,
        "conditionalRead": "full-support",
        "conditionalUpdate": true,
        "conditionalDelete": "multiple",
        "referencePolicy": ["literal", "logical", "local"],
        "searchInclude": includes(name, catalogue),
        "searchRevInclude": reverse_includes(name, catalogue),
        "searchParam": search_parameters(name, catalogue),
    });
    let operations = operations(|operation| operation.is_of_type(name));
    if let (false, Some(members)) = (operations.is_empty(), resource.as_object_mut()) {
        // FHIR knows no empty arrays (R4 json.html).
        members.insert("operation".to_owned(), operations.into());
    }
    resource
}

/// The operations that are offered at a place, by name and definition.
fn operations(is_offered: impl Fn(&operation::Operation) -> bool) -> Vec<Value> {
    let offered = OPERATIONS.iter().filter(|operation| is_offered(operation));
    let described = |operation: &operation::Operation| {
        let name = operation.name.trim_start_matches('$');
        json!({ "name": name, "definition": operation.definition })
    };
    offered.map(described).collect()
}

/// What is asked of all types together: the parameters that every type has, and those that are about resources as such.
/// R4 defines the last two of these in words only, and the very last is Azure's.
fn of_the_system(catalogue: &Catalogue) -> Vec<Value> {
    let mut parameters = search_parameters("Resource", catalogue);
    if catalogue.has_full_text() && catalogue.get("DomainResource", "_text").is_some() {
        // Of the types that have no narrative nothing is found.
        let text = "http://hl7.org/fhir/SearchParameter/DomainResource-text";
        parameters.push(json!({ "name": "_text", "definition": text, "type": "string" }));
    }
    let filter = "http://hl7.org/fhir/SearchParameter/filter";
    parameters.push(json!({ "name": "_filter", "definition": filter, "type": "special" }));
    let others = ["_list", "_has", "_not-referenced"];
    parameters.extend(others.map(|name| json!({ "name": name, "type": "special" })));
    parameters
}

/// The search parameters of a type that the index has: all that have an expression, of the special ones `near`, and those that
/// ask for words where it has them.
fn search_parameters(name: &str, catalogue: &Catalogue) -> Vec<Value> {
    let is_indexed = |parameter: &&Arc<SearchParameter>| match parameter.kind() {
        SearchParameterKind::Special => parameter.code() == "near",
        _ => catalogue.is_answered(parameter),
    };
    let described = |parameter: &Arc<SearchParameter>| {
        json!({
            "name": parameter.code(),
            "definition": parameter.url(),
            "type": parameter.kind().code(),
        })
    };
    catalogue.parameters(name).filter(is_indexed).map(described).collect()
}

/// The values of `_include` over a type.
fn includes(name: &str, catalogue: &Catalogue) -> Vec<String> {
    let followed = references(name, catalogue).map(|parameter| format!("{name}:{}", parameter.code()));
    ["*".to_owned()].into_iter().chain(followed).collect()
}

/// The values of `_revinclude` over a type: by the parameters that are meant to point at it.
fn reverse_includes(name: &str, catalogue: &Catalogue) -> Vec<String> {
    let is_meant =
        |parameter: &&Arc<SearchParameter>| parameter.targets().iter().any(|target| target == name);
    let from = |source: &'static str| {
        let pointing = references(source, catalogue).filter(is_meant);
        pointing.map(move |parameter| format!("{source}:{}", parameter.code()))
    };
    ["*".to_owned()].into_iter().chain(resource_types().flat_map(from)).collect()
}

/// The search parameters of a type that includes follow.
fn references<'c>(name: &str, catalogue: &'c Catalogue) -> impl Iterator<Item = &'c Arc<SearchParameter>> {
    let is_reference = |parameter: &&Arc<SearchParameter>| {
        parameter.kind() == SearchParameterKind::Reference && parameter.has_expression()
    };
    catalogue.parameters(name).filter(is_reference)
}

fn listed(code: impl Fn(Listed) -> Option<&'static str>) -> Vec<Value> {
    TABLE.iter().filter_map(|row| code(row.listed)).map(|code| json!({ "code": code })).collect()
}
