//! `GET /metadata` and `GET /$versions`

use serde_json::Value;

use crate::support::authority::{Authority, Key};
use crate::support::{Setup, eventually, runtime, test, test_with};

#[test]
fn metadata_says_what_is_served() {
    test(|server| async move {
        let answer = server.get("/metadata").await;
        assert_eq!(answer.status, 200);
        let json = answer.json();
        assert_eq!(json["resourceType"], "CapabilityStatement");
        assert_eq!(json["fhirVersion"], "4.0.1");
        assert_eq!(json["implementation"]["url"], server.base);
        let resources = json["rest"][0]["resource"].as_array().unwrap();
        assert_eq!(resources.len(), 145);
        assert!(resources.iter().all(|resource| resource["type"] != "Parameters"));
        let patient = resources.iter().find(|resource| resource["type"] == "Patient").unwrap();
        let interactions: Vec<&str> = patient["interaction"]
            .as_array()
            .unwrap()
            .iter()
            .map(|interaction| interaction["code"].as_str().unwrap())
            .collect();
        for code in
            ["read", "vread", "update", "delete", "history-instance", "history-type", "create", "search-type"]
        {
            assert!(interactions.contains(&code), "{code}");
        }
        let names = |resource: &Value| -> Vec<String> {
            let parameters = resource["searchParam"].as_array().unwrap().iter();
            parameters.map(|parameter| parameter["name"].as_str().unwrap().to_owned()).collect()
        };
        let parameters = names(patient);
        for name in
            ["_id", "_lastUpdated", "_tag", "family", "identifier", "birthdate", "general-practitioner"]
        {
            assert!(parameters.contains(&name.to_owned()), "{name}");
        }
        // Every one that is listed is understood, and what is not listed is not.
        for name in parameters {
            let strict = [("Prefer", "handling=strict")];
            let answer = server.send("GET", &format!("/Patient?{name}:missing=true"), &strict, "").await;
            let is_control = name == "_id" || name == "_lastUpdated";
            assert!(answer.status == 200 || is_control, "{name}: {}", answer.text());
        }
        assert_eq!(patient["versioning"], "versioned");
        for (mode, status) in [("full", 200), ("normative", 200), ("terminology", 200), ("x", 400)] {
            assert_eq!(server.get(&format!("/metadata?mode={mode}")).await.status.as_u16(), status, "{mode}");
        }
    });
}

/// Composites and places are searched like the rest.
#[test]
fn every_kind_of_search_parameter_is_listed() {
    test(|server| async move {
        let statement = server.get("/metadata").await.json();
        let rest = &statement["rest"][0];
        let kind = |listed: &Value, name: &str| {
            let all = listed["searchParam"].as_array().unwrap();
            all.iter().find(|one| one["name"] == name).map(|one| one["type"].clone())
        };
        let of_type =
            |name: &str| rest["resource"].as_array().unwrap().iter().find(|one| one["type"] == name);
        let observation = of_type("Observation").unwrap();
        assert_eq!(kind(observation, "component-code-value-quantity"), Some("composite".into()));
        assert_eq!(kind(of_type("Location").unwrap(), "near"), Some("special".into()));
        assert_eq!(kind(of_type("Location").unwrap(), "_query"), None);
        for name in ["_filter", "_list", "_has", "_not-referenced"] {
            assert_eq!(kind(rest, name), Some("special".into()), "{name}");
        }
    });
}

#[test]
fn metadata_is_valid_r4() {
    test(|server| async move {
        let statement = server.get("/metadata").await;
        let stored = server.post("/CapabilityStatement", statement.bytes).await;
        assert_eq!(stored.status, 201, "{}", stored.text().chars().take(2000).collect::<String>());
    });
}

#[test]
fn versions_names_r4() {
    test(|server| async move {
        let json = server.get("/$versions").await.json();
        assert_eq!(json["resourceType"], "Parameters");
        assert_eq!(json["parameter"][0]["valueString"], "4.0");
    });
}

#[test]
fn parameters_are_not_stored() {
    test(|server| async move {
        let body = r#"{"resourceType":"Parameters","id":"a"}"#;
        let answers = [
            server.post("/Parameters", body).await,
            server.put("/Parameters/a", body).await,
            server.get("/Parameters/a").await,
            server.get("/Parameters").await,
        ];
        for answer in answers {
            assert_eq!((answer.status.as_u16(), answer.outcome().as_str()), (404, "not-supported"));
        }
        let entry = format!(r#"{{"request":{{"method":"PUT","url":"Parameters/a"}},"resource":{body}}}"#);
        let bundle = format!(r#"{{"resourceType":"Bundle","type":"transaction","entry":[{entry}]}}"#);
        assert_eq!(server.post("", bundle).await.outcome(), "not-supported");
        assert_eq!(server.events().await, 0);
    });
}

#[test]
fn metadata_says_who_is_let_in() {
    test(|server| async move {
        let json = server.get("/metadata").await.json();
        assert_eq!(json["rest"][0]["security"], serde_json::json!({"cors": false}));
        server.service.share(true);
        let json = server.get("/metadata").await.json();
        assert_eq!(json["rest"][0]["security"], serde_json::json!({"cors": true}));
    });
    let authority = Authority::start(&[&Key::new("one")]);
    authority.say(serde_json::json!({
        "issuer": authority.address, "jwks_uri": format!("{}/keys", authority.address),
        "authorization_endpoint": "https://id.example/authorize", "token_endpoint": "https://id.example/token",
        "revocation_endpoint": "http://elsewhere.example/revoke",
    }));
    let gate = runtime().block_on(async { authority.gate() });
    test_with(Setup { gate: Some(gate), ..Setup::default() }, |server| async move {
        let security = async || server.get("/metadata").await.json()["rest"][0]["security"].clone();
        eventually("the authority has told", async || security().await["extension"].is_array()).await;
        let security = security().await;
        let codes: Vec<&Value> =
            security["service"].as_array().unwrap().iter().map(|one| &one["coding"][0]["code"]).collect();
        assert_eq!(codes, ["OAuth", "SMART-on-FHIR"]);
        let uris = &security["extension"][0];
        assert_eq!(uris["url"], "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris");
        let told = serde_json::json!([
            {"url": "authorize", "valueUri": "https://id.example/authorize"},
            {"url": "token", "valueUri": "https://id.example/token"},
        ]);
        assert_eq!(uris["extension"], told);
        // The statement is a resource as the others, in XML too.
        let xml = server.send("GET", "/metadata", &[("Accept", "application/fhir+xml")], "").await;
        assert!(xml.text().contains(r#"<valueUri value="https://id.example/token"/>"#), "{}", xml.status);
        drop(authority);
    });
}
