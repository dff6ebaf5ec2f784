//! Patients to choose from when an app asks for one: a search as the user may do it, put on record as such.

use std::sync::Arc;

use actix_web::http::Method;
use anamnesis_audit::{Action as Done, Kind};
use anamnesis_smart::{HostError, PatientPage, PatientQuestion, PatientShown};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::SmartHost;
use crate::access::{Action, Actions, Principal};
use crate::api::{self, Request};
use crate::audit::{Access, Surroundings};

/// What is enough to choose.
const READ: Actions = Actions::of(&[Action::ReadById, Action::Search]);
/// The longest text that is searched for, in characters.
const WORDS_MAX: usize = 100;
/// Patients on a page at most.
const COUNT_MAX: usize = 50;

/// Finds patients.
///
/// # Errors
/// The user may not see any, or the search cannot be done now.
pub(super) async fn find(host: &SmartHost, asked: PatientQuestion) -> Result<PatientPage, HostError> {
    let roles = host.actions(asked.user);
    let own = asked.fhir_user.as_deref().and_then(|user| user.strip_prefix("Patient/"));
    let is_own = own.is_some() && own == asked.id.as_deref();
    let is_allowed = is_own
        || asked.is_emergency && roles.has(Action::BreakGlass)
        || roles.contain(READ)
        || roles.has(Action::Smart);
    if !is_allowed {
        return Err(HostError::Refused);
    }
    let principal = Arc::new(Principal {
        subject: asked.user.to_string().into(),
        issuer: Some(host.issuer.clone()),
        actions: READ,
        ..Principal::default()
    });
    let late = host.late()?;
    let count = asked.count.clamp(1, COUNT_MAX);
    let mut page = PatientPage::default();
    for criterion in criteria(&asked) {
        // One more than is shown, to see whether there are more.
        let query = format!("{criterion}_count={}&_elements=name,birthDate,gender,identifier", count + 1);
        let access = if late.audit.is_some() { Access::begin() } else { Access::default() };
        access.by(&principal);
        let request = Request {
            principal: principal.clone(),
            method: Method::GET,
            path: "Patient".to_owned(),
            query,
            base: host.issuer.to_string(),
            access: access.clone(),
            ..Request::default()
        };
        let outcome = api::dispatch(&late.service, request).await;
        let status = outcome.as_ref().map_or(503, |answer| answer.status.as_u16());
        put_on_record(host, &access, &asked, status).await?;
        let answer = outcome.map_err(|failure| {
            tracing::warn!(%failure, "patients to choose from cannot be found now");
            HostError::Unavailable
        })?;
        page = read(answer.body.as_deref().unwrap_or_default(), count)?;
        if !page.patients.is_empty() {
            break;
        }
    }
    Ok(page)
}

/// Whose names were shown is on record before they are.
async fn put_on_record(
    host: &SmartHost,
    access: &Access,
    asked: &PatientQuestion,
    status: u16,
) -> Result<(), HostError> {
    let late = host.late()?;
    let Some(audit) = &late.audit else { return Ok(()) };
    access.asks("search-type", Done::E, None);
    let surroundings = Surroundings {
        kind: Some(Kind::Rest),
        service: late.service.name.clone(),
        address: Some(asked.address.clone()).filter(|address| !address.is_empty()),
        ..Surroundings::default()
    };
    let records = access.records(&surroundings, Some(status));
    audit.record(records).await.map_err(|_told_in_the_log| HostError::Unavailable)
}

/// What is searched for, one after the other until something is found; each ends with `&` where there is something.
fn criteria(asked: &PatientQuestion) -> Vec<String> {
    if let Some(id) = &asked.id {
        return vec![format!("_id={}&", encode(id))];
    }
    let words: String = asked.words.trim().chars().take(WORDS_MAX).collect();
    if words.is_empty() {
        return vec![String::new()];
    }
    let value = encode(&escape(&words));
    match words.chars().any(|character| character.is_ascii_digit()) {
        // A record number, or a name with a digit in it.
        true => vec![format!("identifier={value}&"), format!("name={value}&")],
        // Each word has to be the beginning of a part of the name.
        false => {
            let each = words.split_whitespace().map(|word| format!("name={}&", encode(&escape(word))));
            vec![each.collect()]
        }
    }
}

fn encode(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// Characters that mean something in values of search parameters (R4 search.html section 3.1.1.4.0.1).
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if matches!(character, '\\' | ',' | '$' | '|') {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

fn read(body: &[u8], count: usize) -> Result<PatientPage, HostError> {
    let bundle: Value = serde_json::from_slice(body).map_err(|_bug| HostError::Unavailable)?;
    let entries = bundle.get("entry").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let resources = entries.iter().map(|entry| &entry["resource"]);
    let patients: Vec<PatientShown> =
        resources.filter(|resource| resource["resourceType"] == "Patient").map(shown).collect();
    let has_more = patients.len() > count;
    Ok(PatientPage { patients: patients.into_iter().take(count).collect(), has_more })
}

fn shown(patient: &Value) -> PatientShown {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let names = patient["name"].as_array().map(Vec::as_slice).unwrap_or_default();
    let is_of_use = |name: &&Value, wanted: &str| name["use"] == wanted;
    let name = names.iter().find(|name| is_of_use(name, "official")).or_else(|| names.first());
    let identifiers = patient["identifier"].as_array().map(Vec::as_slice).unwrap_or_default();
    PatientShown {
        id: text(&patient["id"]),
        name: name.map(whole).unwrap_or_default(),
        birth_date: text(&patient["birthDate"]),
        gender: text(&patient["gender"]),
        identifier: identifiers.first().map(|first| text(&first["value"])).unwrap_or_default(),
    }
}

/// A name as people write it (R4 datatypes.html#HumanName: `text`, else its parts).
fn whole(name: &Value) -> String {
    if let Some(text) = name["text"].as_str() {
        return text.to_owned();
    }
    let list = |part: &str| name[part].as_array().map(Vec::as_slice).unwrap_or_default();
    let parts = list("prefix").iter().chain(list("given")).chain([&name["family"]]).chain(list("suffix"));
    parts.filter_map(Value::as_str).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use uuid::Uuid;

    use super::*;

    fn asked(words: &str, id: Option<&str>) -> Vec<String> {
        criteria(&PatientQuestion {
            user: Uuid::nil(),
            fhir_user: None,
            words: words.to_owned(),
            id: id.map(str::to_owned),
            count: 10,
            is_emergency: false,
            address: String::new(),
        })
    }

    #[test]
    fn what_is_typed_stays_a_value() {
        assert_eq!(asked("", None), [""]);
        assert_eq!(asked(" Ann  Bo ", None), ["name=Ann&name=Bo&"]);
        assert_eq!(asked("a&_id=1", None), ["identifier=a%26%5Fid%3D1&", "name=a%26%5Fid%3D1&"]);
        assert_eq!(asked("a,b", None), ["name=a%5C%2Cb&"]);
        assert_eq!(asked("x", Some("1&_count=9")), ["_id=1%26%5Fcount%3D9&"]);
    }

    #[test]
    fn a_patient_is_shown_by_what_tells_people_apart() {
        let patient = json!({"resourceType": "Patient", "id": "1", "birthDate": "1970-01-02", "gender": "female",
            "identifier": [{"value": "MRN 7"}],
            "name": [{"use": "nickname", "text": "An"}, {"use": "official", "given": ["Ann", "B"], "family": "Cole"}]});
        let bundle =
            json!({"entry": [{"resource": patient}, {"resource": {"resourceType": "OperationOutcome"}}]});
        let page = read(bundle.to_string().as_bytes(), 10).unwrap();
        let shown = PatientShown {
            id: "1".into(),
            name: "Ann B Cole".into(),
            birth_date: "1970-01-02".into(),
            gender: "female".into(),
            identifier: "MRN 7".into(),
        };
        assert_eq!((page.patients, page.has_more), (vec![shown], false));
        assert!(read(json!({"entry": [{"resource": {"resourceType": "Patient"}}, {"resource": {"resourceType": "Patient"}}]}).to_string().as_bytes(), 1).unwrap().has_more);
    }
}
