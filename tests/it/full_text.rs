//! `_text` and `_content` over HTTP: where the index has the words of texts, and where it has not.

use anamnesis::search_parameters::FullText;
use serde_json::{Value, json};

use crate::searchset::{ids, link, put};
use crate::support::{Answer, FHIR, Hold, Server, Setup, eventually, test, test_with};

const STRICT: (&str, &str) = ("Prefer", "handling=strict");
const TEXT: &str = "http://hl7.org/fhir/SearchParameter/DomainResource-text";
const ORDER: &str = r#"{"resourceType":"Parameters"}"#;

fn wanting(full_text: FullText) -> Setup {
    Setup { full_text, ..Setup::default() }
}

async fn condition(server: &Server, id: &str, narrative: &str, note: &str) {
    let div = format!("<div xmlns=\"http://www.w3.org/1999/xhtml\">{narrative}</div>");
    let condition = json!({"resourceType": "Condition", "id": id, "text": {"status": "generated", "div": div},
        "subject": {"reference": "Patient/p"}, "note": [{"text": note}]});
    put(server, &condition).await;
}

async fn strict(server: &Server, query: &str) -> Answer {
    server.send("GET", query, &[STRICT], "").await
}

async fn found(server: &Server, query: &str) -> String {
    let answer = strict(server, query).await;
    assert_eq!(answer.status, 200, "{query}: {}", answer.text());
    let mut ids = ids(&answer.json());
    ids.sort();
    ids.join(" ")
}

/// What a server says to who is strict; nothing where it answers.
async fn refused(server: &Server) -> String {
    let answer = strict(server, "/Condition?_text=bone").await;
    match answer.status.as_u16() {
        200 => String::new(),
        _ => answer.json()["issue"][0]["diagnostics"].as_str().unwrap().to_owned(),
    }
}

/// The status that is told of `_text`.
async fn status(server: &Server) -> Vec<Value> {
    let listed = server.get(&format!("/SearchParameter/$status?url={TEXT}")).await.json();
    let parts = listed["parameter"][0]["part"].as_array().unwrap().clone();
    parts.into_iter().filter(|part| part["name"] != "url" && part["name"] != "searchParameter").collect()
}

/// The parameters for words that the service says it has, of all types and of one.
async fn listed(server: &Server) -> [String; 2] {
    let statement = server.get("/metadata").await.json();
    let rest = &statement["rest"][0];
    let resources = rest["resource"].as_array().unwrap();
    let condition = resources.iter().find(|resource| resource["type"] == "Condition").unwrap();
    [rest, condition].map(|holder| {
        let names = holder["searchParam"].as_array().unwrap().iter();
        let names = names.map(|parameter| parameter["name"].as_str().unwrap());
        names.filter(|name| matches!(*name, "_text" | "_content")).collect::<Vec<_>>().join(" ")
    })
}

#[test]
fn an_index_without_words_says_so_and_what_to_do() {
    test(|server| async move {
        condition(&server, "a", "Bone", "x").await;
        for query in
            ["/Condition?_text=bone", "/Condition?_content=bone", "/Condition?subject:Patient._text=bone"]
        {
            let answer = strict(&server, query).await;
            assert_eq!((answer.status.as_u16(), answer.outcome().as_str()), (400, "not-supported"));
            assert!(answer.text().contains("not indexed: search.full_text = true"), "{}", answer.text());
            let page = server.get(query).await.json();
            assert_eq!(ids(&page), ["a"], "it is left out, as what is not known is");
            assert!(!link(&page, "self").unwrap().contains("bone"), "{page}");
            assert!(
                page.to_string().contains("not indexed; it was left out: search.full_text = true"),
                "{page}"
            );
        }
        // Criteria are never widened.
        assert_eq!(server.delete("/Condition?_content=bone").await.status, 400);
        assert_eq!(listed(&server).await, [""; 2]);
        let told = Value::from(status(&server).await).to_string();
        assert!(told.contains("supported") && told.contains("search.full_text = true"), "{told}");
    });
}

#[test]
fn words_are_found_wherever_searches_are_answered() {
    test_with(wanting(FullText::Wanted), |server| async move {
        put(&server, &json!({"resourceType": "Patient", "id": "p", "name": [{"text": "Zoë"}]})).await;
        condition(&server, "a", "Bone <i>metastases</i>", "seen").await;
        condition(&server, "b", "Liver metastases", "bone clear").await;
        condition(&server, "c", "Cough", "x").await;
        for (query, expected) in [
            ("/Condition?_text=(bone%20OR%20liver)%20and%20metastases", "a b"),
            ("/Condition?_text=metastases%20NOT%20bone", "b"),
            ("/Condition?_content=BONE", "a b"),
            ("/Condition?_content=bone,cough&_text=cough", "c"),
            ("?_type=Condition,Patient&_content=zoe%20or%20seen", "a p"),
            ("?_content=zoe", "p"),
            ("/Patient/p/Condition?_text=liver", "b"),
            ("/Patient?_has:Condition:subject:_text=cough", "p"),
        ] {
            assert_eq!(found(&server, query).await, expected, "{query}");
        }
        let form = [("Content-Type", "application/x-www-form-urlencoded")];
        let posted =
            server.send("POST", "/Condition/_search", &form, "_text=metastases&_summary=count").await;
        assert_eq!(posted.json()["total"], 2);
        let page = server.get("/Condition?_text=metastases&_sort=_lastUpdated&_count=1&_explain=true").await;
        assert_eq!(page.status, 200, "{}", page.text());
        assert!(!page.text().contains("metastases"), "values are not explained");
        let phrase = server.get("/Condition?_text=%22metastases%20bone%22").await.json();
        assert!(phrase.to_string().contains("wherever they stand"), "{phrase}");
        let widened = server.send("DELETE", "/Condition?_text=%22metastases%20bone%22", &[], "").await;
        assert_eq!((widened.status.as_u16(), widened.outcome().as_str()), (400, "incomplete"));
        let wrong = server.get("/Condition?_text=bone%20AND").await;
        assert_eq!((wrong.status.as_u16(), wrong.outcome().as_str()), (400, "invalid"));
        assert!(wrong.text().contains("behind character 8"), "{}", wrong.text());
        // As they were: what a version said stays found at its time.
        let before = server.events().await;
        condition(&server, "c", "Bone", "x").await;
        assert_eq!(found(&server, "/Condition?_text=cough").await, "");
        assert_eq!(found(&server, &format!("/Patient/p/Condition?_text=cough&_asOf={before}")).await, "c");
        let once = [FHIR, ("If-None-Exist", "_content=zoe")];
        let same = server.send("POST", "/Patient", &once, r#"{"resourceType":"Patient"}"#).await;
        assert_eq!(same.status, 200, "{}", same.text());
        assert_eq!(server.delete("/Condition/b?hardDelete=true").await.status, 204);
        assert_eq!(found(&server, "/Condition?_content=liver").await, "");
        assert_eq!(listed(&server).await, ["_content _text"; 2]);
        assert_eq!(status(&server).await, [json!({"name": "status", "valueString": "enabled"})]);
        // Who switches one off has it unknown.
        let off = json!({"resourceType": "Parameters", "parameter": [{"name": "searchParameterStatus", "part": [
            {"name": "url", "valueString": TEXT}, {"name": "status", "valueString": "disabled"}]}]});
        let off = server.put("/SearchParameter/$status", off.to_string()).await;
        assert!(off.status.is_success(), "{}", off.text());
        assert!(refused(&server).await.contains("it is no search parameter of Condition"));
        assert_eq!(listed(&server).await, ["_content"; 2]);
    });
}

#[test]
fn who_is_configured_for_words_has_them_built_and_others_keep_them() {
    test(|server| async move {
        condition(&server, "a", "Bone", "x").await;
        let hold = Hold::switches(&server.database).await;
        let wanting_it = server.beside_with(wanting(FullText::Wanted)).await;
        hold.until_waiting(1).await;
        eventually("both nodes say that it is being built", || async {
            refused(&server).await.contains("is being built")
                && refused(&wanting_it).await.contains("is being built")
        })
        .await;
        hold.release().await;
        for node in [&*server, &wanting_it] {
            eventually("words are found", || async { refused(node).await.is_empty() }).await;
            assert_eq!(found(node, "/Condition?_text=bone").await, "a");
        }
        // A node that is not configured for them keeps them.
        let begun = server.post("/$reindex", ORDER).await;
        assert_eq!(begun.status, 201, "{}", begun.text());
        let is_active = |version: i32| {
            let versions = server.projection.versions().clone();
            async move {
                let version = versions.get(version).await.unwrap();
                version.is_some_and(|version| version.state.word() == "active")
            }
        };
        eventually("the index is built again", || is_active(3)).await;
        assert_eq!(found(&server, "/Condition?_text=bone").await, "a");
        // One that is configured to be without them builds nothing by itself, and its reindex leaves them out.
        let without = server.beside_with(wanting(FullText::Unwanted)).await;
        assert_eq!(found(&without, "/Condition?_text=bone").await, "a");
        eventually("one index is left", || async { without.post("/$reindex", ORDER).await.status == 201 })
            .await;
        eventually("words are left out", || is_active(4)).await;
        // The node that is configured for them had them built once. It does not build against the other one.
        eventually("it says so", || async { refused(&wanting_it).await.contains("a restart") }).await;
        wanting_it.stop().await;
        without.stop().await;
        let again = server.beside_with(wanting(FullText::Wanted)).await;
        eventually("they are built again", || is_active(5)).await;
        eventually("words are found", || async { refused(&again).await.is_empty() }).await;
        again.stop().await;
    });
}
