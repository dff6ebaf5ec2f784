//! `x-ms-use-partial-indices`: who asks for it is answered by the index that is being built.

use anamnesis_events::Position;
use anamnesis_fhir::search::{ParameterDefinition, SearchParameterKind};
use anamnesis_projections::Inputs;
use anamnesis_projections::search::{CustomParameter, CustomParameters};
use serde_json::{Value, json};

use crate::support::{FHIR, Hold, Server, eventually, test};

const PARTIAL: (&str, &str) = ("x-ms-use-partial-indices", "true");
const STRICT: (&str, &str) = ("Prefer", "handling=strict");
const URL: &str = "http://example.org/SearchParameter/nickname";
const EXPRESSION: &str = "Patient.name.where(use = 'nickname').given";

/// Stores the parameter, and has an index built that has it.
async fn build(server: &Server) {
    let resource = json!({"resourceType": "SearchParameter", "id": "nickname", "url": URL, "name": "Nickname",
        "status": "active", "description": "What a patient is called.", "code": "nickname", "base": ["Patient"],
        "type": "string", "expression": EXPRESSION});
    assert_eq!(server.put("/SearchParameter/nickname", resource.to_string()).await.status, 201);
    let definition = ParameterDefinition {
        url: URL.to_owned(),
        code: "nickname".to_owned(),
        bases: vec!["Patient".to_owned()],
        kind: SearchParameterKind::String,
        expression: Some(EXPRESSION.to_owned()),
        targets: vec![],
        comparators: vec![],
        modifiers: vec![],
        usage: None,
        components: vec![],
    };
    let position = Position::new(server.events().await);
    let parameter = CustomParameter { id: "nickname".to_owned(), position, definition };
    let inputs: Inputs = CustomParameters::new([parameter]).unwrap().to_inputs();
    assert_eq!(server.projection.rebuild_with(&inputs, false).await.unwrap(), (2, true));
}

fn patients(bundle: &Value) -> Vec<String> {
    let entries = bundle["entry"].as_array().cloned().unwrap_or_default();
    let matches = entries.iter().filter(|entry| entry["search"]["mode"] == "match");
    matches.map(|entry| entry["resource"]["id"].as_str().unwrap().to_owned()).collect()
}

fn warnings(bundle: &Value) -> Vec<String> {
    let entries = bundle["entry"].as_array().cloned().unwrap_or_default();
    let issues = entries.iter().filter_map(|entry| entry["resource"]["issue"].as_array());
    issues.flatten().map(|issue| issue["diagnostics"].as_str().unwrap().to_owned()).collect()
}

/// The codes of Patient that the service says it can search by.
async fn listed(server: &Server) -> bool {
    let statement = server.get("/metadata").await.json();
    let resources = statement["rest"][0]["resource"].as_array().unwrap();
    let patient = resources.iter().find(|resource| resource["type"] == "Patient").unwrap();
    let parameters = patient["searchParam"].as_array().unwrap();
    assert!(parameters.iter().any(|parameter| parameter["name"] == "birthdate"));
    parameters.iter().any(|parameter| parameter["name"] == "nickname" && parameter["definition"] == URL)
}

#[test]
fn an_index_that_is_being_built_answers_who_asks_for_it() {
    test(|server| async move {
        for id in 0..12 {
            let name = if id % 2 == 0 { "Ann" } else { "Bob" };
            let body = json!({"resourceType": "Patient", "id": format!("{id}"),
                "name": [{"use": "nickname", "given": [name]}]});
            assert_eq!(server.put(&format!("/Patient/{id}"), body.to_string()).await.status, 201);
        }
        let hold = Hold::switches(&server.database).await;
        build(&server).await;
        hold.until_waiting(1).await;
        let asked = "/Patient?nickname=ann&_count=4";
        let refused = server.send("GET", asked, &[STRICT], "").await;
        assert_eq!((refused.status.as_u16(), refused.outcome().as_str()), (400, "not-supported"));
        assert!(!listed(&server).await, "what is not complete is not offered");
        let page = server.send("GET", asked, &[STRICT, PARTIAL], "").await.json();
        let told = warnings(&page);
        assert!(told.len() == 1 && told[0].contains("is being built"), "{told:?}");
        let next = page["link"][1]["url"].as_str().unwrap().split("/fhir").nth(1).unwrap().to_owned();
        let second = server.send("GET", &next, &[STRICT, PARTIAL], "").await.json();
        let mut all = [patients(&page), patients(&second)].concat();
        all.sort();
        assert_eq!(all, ["0", "10", "2", "4", "6", "8"]);
        // A batch is asked for as a whole; without the header the same is refused.
        let batch = json!({"resourceType": "Bundle", "type": "batch",
            "entry": [{"request": {"method": "GET", "url": "Patient?nickname=bob&_count=20"}}]});
        let answer = server.send("POST", "", &[FHIR, PARTIAL], batch.to_string()).await.json();
        assert_eq!(patients(&answer["entry"][0]["resource"]).len(), 6, "{answer}");
        // Nothing is created because an index that is not complete lacks it.
        let body = r#"{"resourceType":"Patient"}"#;
        let headers = [FHIR, PARTIAL, ("If-None-Exist", "nickname=ann")];
        let refused = server.send("POST", "/Patient", &headers, body).await;
        assert_eq!(refused.status, 400, "{}", refused.text());
        hold.release().await;
        eventually("readers use the new version", || async {
            server.projection.active().now().is_some_and(|active| active.version() == 2)
        })
        .await;
        let page = server.send("GET", "/Patient?nickname=ann&_count=20", &[STRICT, PARTIAL], "").await.json();
        assert_eq!((patients(&page).len(), warnings(&page)), (6, vec![]));
        assert!(listed(&server).await);
        let refused = server.send("POST", "/Patient", &headers, body).await;
        assert_eq!(refused.status, 412, "{}", refused.text());
    });
}
