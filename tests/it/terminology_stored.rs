//! CodeSystem, ValueSet and ConceptMap resources that are stored are used at once, also large ones in fragments.

use std::fmt::Write;
use std::sync::Arc;

use serde_json::json;

use crate::support::{Server, Setup, test_with};
use crate::terminology::{codes, output};

fn setup() -> Setup {
    Setup { terminology: true, ..Setup::default() }
}

async fn store(server: &Server, path: &str, body: impl Into<String>) {
    let answer = server.put(path, body.into()).await;
    assert!(answer.status.is_success(), "{}", answer.json());
}

async fn expand(server: &Server, query: &str) -> serde_json::Value {
    server.get(&format!("/ValueSet/$expand?{query}")).await.json()
}

fn system(id: &str, codes: &[&str]) -> String {
    let concepts: Vec<String> = codes.iter().map(|code| format!(r#"{{"code":"{code}"}}"#)).collect();
    format!(
        r#"{{"resourceType":"CodeSystem","id":"{id}","url":"urn:c","valueSet":"urn:all","status":"active","content":"complete","concept":[{}]}}"#,
        concepts.join(",")
    )
}

#[test]
fn what_was_just_written_is_used() {
    test_with(setup(), |server| async move {
        for round in 0..5 {
            let code = format!("c{round}");
            store(&server, "/CodeSystem/c", system("c", &["a", &code])).await;
            assert_eq!(codes(&expand(&server, "url=urn:all").await), ["a", &code]);
        }
        let set = r#"{"resourceType":"ValueSet","id":"s","url":"urn:s","status":"active","compose":{"include":[{"system":"urn:c"}],"exclude":[{"system":"urn:c","concept":[{"code":"a"}]}]}}"#;
        store(&server, "/ValueSet/s", set).await;
        assert_eq!(codes(&expand(&server, "url=urn:s").await), ["c4"]);
        assert_eq!(codes(&server.get("/ValueSet/s/$expand").await.json()), ["c4"]);
        let judged = server.get("/ValueSet/s/$validate-code?system=urn:c&code=a").await.json();
        assert_eq!(output(&judged, "result"), &json!(false));
        assert!(server.delete("/CodeSystem/c").await.status.is_success());
        assert_eq!(server.get("/ValueSet/$expand?url=urn:s").await.status, 404);
        assert_eq!(server.get("/ValueSet/$expand?url=urn:all").await.status, 404);
    });
}

#[test]
fn a_stored_definition_goes_before_that_of_r4() {
    test_with(setup(), |server| async move {
        let url = "http://hl7.org/fhir/ValueSet/administrative-gender";
        let set = format!(
            r#"{{"resourceType":"ValueSet","id":"s","url":"{url}","version":"2","status":"active","compose":{{"include":[{{"system":"http://hl7.org/fhir/administrative-gender","concept":[{{"code":"other"}}]}}]}}}}"#
        );
        store(&server, "/ValueSet/s", set).await;
        assert_eq!(codes(&expand(&server, &format!("url={url}")).await), ["other"]);
        assert_eq!(codes(&expand(&server, &format!("url={url}|4.0.1")).await).len(), 4);
        assert!(server.delete("/ValueSet/s").await.status.is_success());
        assert_eq!(codes(&expand(&server, &format!("url={url}")).await).len(), 4);
    });
}

#[test]
fn a_stored_map_translates() {
    test_with(setup(), |server| async move {
        let map = r#"{"resourceType":"ConceptMap","id":"m","url":"urn:m","status":"active","group":[{"source":"urn:c","target":"urn:d",
            "element":[{"code":"a","target":[{"code":"b","equivalence":"wider"}]}],"unmapped":{"mode":"fixed","code":"rest"}}]}"#;
        store(&server, "/ConceptMap/m", map).await;
        for path in ["/ConceptMap/$translate?url=urn:m&", "/ConceptMap/m/$translate?"] {
            let found = server.get(&format!("{path}system=urn:c&code=a")).await.json();
            assert!(found.to_string().contains(r#""code":"b""#), "{found}");
            let rest = server.get(&format!("{path}system=urn:c&code=z")).await.json();
            assert!(rest.to_string().contains(r#""code":"rest""#), "{rest}");
        }
    });
}

#[test]
fn a_stored_decimal_is_looked_up_with_its_digits() {
    test_with(setup(), |server| async move {
        let property = r#"[{"code":"weight","valueDecimal":1.10},{"code":"mass","valueDecimal":5.00e-3}]"#;
        let whole = format!(
            r#"{{"resourceType":"CodeSystem","id":"w","url":"urn:w","status":"active","content":"complete",
            "concept":[{{"code":"a","display":"A \"b\"","property":{property}}}]}}"#
        );
        store(&server, "/CodeSystem/w", &whole).await;
        let part =
            whole.replace("complete", "fragment").replace("urn:w", "urn:p").replace(r#""w""#, r#""p""#);
        store(&server, "/CodeSystem/p", &part).await;
        let import = r#"{"resourceType":"CodeSystem","url":"urn:p","status":"active","content":"not-present",
            "concept":[{"code":"i","display":"A \"b\"","property":PROPERTY}]}"#;
        let imported = server.post("/CodeSystem/$import", import.replace("PROPERTY", property)).await;
        assert_eq!(imported.status, 200, "{}", imported.json());
        for (system, code) in [("urn:w", "a"), ("urn:p", "a"), ("urn:p", "i")] {
            let found = server.get(&format!("/CodeSystem/$lookup?system={system}&code={code}")).await;
            let text = String::from_utf8(found.bytes.to_vec()).unwrap();
            for digits in [r#"{"name":"value","valueDecimal":1.10}"#, r#""valueDecimal":5.00e-3}"#] {
                assert!(text.contains(digits), "{system} {code}: {text}");
            }
            assert_eq!(crate::terminology::output(&found.json(), "display"), "A \"b\"");
        }
    });
}

/// Concepts of a large system: a tree in which number n lies below n / 10.
fn fragment(part: usize, size: usize, total: usize) -> String {
    let mut concepts = String::new();
    for number in part * size..((part + 1) * size).min(total) {
        let comma = if concepts.is_empty() { "" } else { "," };
        let word = ["Heart", "Liver", "Lung"][number % 3];
        write!(concepts, r#"{comma}{{"code":"n{number}","display":"{word} finding {number}""#).unwrap();
        if number > 0 {
            write!(concepts, r#","property":[{{"code":"parent","valueCode":"n{}"}}]"#, number / 10).unwrap();
        }
        concepts.push('}');
    }
    format!(
        r#"{{"resourceType":"CodeSystem","id":"big-{part}","url":"urn:big","version":"1","status":"active","hierarchyMeaning":"is-a","content":"fragment","count":{total},"property":[{{"code":"parent","type":"code"}}],"concept":[{concepts}]}}"#
    )
}

async fn store_large(server: &Arc<Server>) {
    for part in 0..3 {
        store(server, &format!("/CodeSystem/big-{part}"), fragment(part, 2_000, 6_000)).await;
    }
}

#[test]
fn a_large_system_in_fragments_is_one_system() {
    test_with(setup(), |server| async move {
        store_large(&server).await;
        let found = server.get("/CodeSystem/$lookup?system=urn:big&code=n41").await.json();
        assert_eq!(output(&found, "display"), "Lung finding 41");
        for relative in [r#""valueCode":"n4""#, r#""valueCode":"n410""#, r#""valueCode":"n419""#] {
            assert!(found.to_string().contains(relative), "{relative} {found}");
        }
        let ask = |query: &str| {
            let (server, path) = (server.clone(), format!("/CodeSystem/$subsumes?system=urn:big&{query}"));
            async move { output(&server.get(&path).await.json(), "outcome").clone() }
        };
        assert_eq!(ask("codeA=n4&codeB=n4123").await, "subsumes");
        assert_eq!(ask("codeA=n4123&codeB=n4").await, "subsumed-by");
        assert_eq!(ask("codeA=n5&codeB=n4123").await, "not-subsumed");
        // All that the system says to have is there: what is not does not exist.
        let none = server.get("/CodeSystem/$validate-code?url=urn:big&code=none").await.json();
        assert_eq!(output(&none, "result"), &json!(false));
        assert!(server.delete("/CodeSystem/big-2").await.status.is_success());
        assert_eq!(server.get("/CodeSystem/$validate-code?url=urn:big&code=none").await.status, 404);
    });
}

#[test]
fn a_large_system_is_listed_by_page_and_filter() {
    test_with(setup(), |server| async move {
        store_large(&server).await;
        let set = r#"{"resourceType":"ValueSet","id":"s","url":"urn:s","status":"active","compose":{"include":[{"system":"urn:big"}]}}"#;
        store(&server, "/ValueSet/s", set).await;
        let page = expand(&server, "url=urn:s&count=3&offset=2").await;
        assert_eq!((codes(&page), &page["expansion"]["total"]), (vec!["n10", "n100", "n1000"], &json!(6000)));
        let page = expand(&server, "url=urn:s&count=2&filter=heart%20find").await;
        assert_eq!((codes(&page), &page["expansion"]["total"]), (vec!["n0", "n1002"], &json!(2000)));
        let found = expand(&server, "url=urn:s&filter=finding%20599").await;
        assert_eq!(found["expansion"]["total"], 11, "{found}");
        let whole = server.get("/ValueSet/$expand?url=urn:s").await;
        assert_eq!((whole.status.as_u16(), &whole.json()["expansion"]["total"]), (200, &json!(6000)));
        let below = r#"{"resourceType":"ValueSet","id":"t","url":"urn:t","status":"active","compose":{"include":[
            {"system":"urn:big","filter":[{"property":"concept","op":"is-a","value":"n41"}]},{"system":"urn:big","concept":[{"code":"n7"}]}],
            "exclude":[{"system":"urn:big","filter":[{"property":"concept","op":"is-a","value":"n412"}]}]}}"#;
        store(&server, "/ValueSet/t", below).await;
        let listed = expand(&server, "url=urn:t").await;
        assert_eq!(listed["expansion"]["total"], 111 - 11 + 1, "{listed}");
        for code in ["n41", "n4119", "n7", "n4123", "n42"] {
            let path = format!("/ValueSet/$validate-code?url=urn:t&system=urn:big&code={code}");
            let judged = server.get(&path).await.json();
            assert_eq!(output(&judged, "result"), &json!(codes(&listed).contains(&code)), "{code}");
        }
    });
}

#[test]
fn what_was_erased_is_forgotten_and_what_was_purged_of_its_history_stays() {
    test_with(setup(), |server| async move {
        store(&server, "/CodeSystem/c", system("c", &["a"])).await;
        store(&server, "/CodeSystem/c", system("c", &["a", "b"])).await;
        assert_eq!(server.delete("/CodeSystem/c/$purge-history").await.status, 204);
        assert_eq!(codes(&expand(&server, "url=urn:all").await), ["a", "b"]);
        assert_eq!(server.delete("/CodeSystem/c?hardDelete=true").await.status, 204);
        assert_eq!(server.get("/ValueSet/$expand?url=urn:all").await.status, 404);
        // As a read of it, an operation on it does not tell that it ever was.
        assert_eq!(server.get("/CodeSystem/c").await.status, 404);
        assert_eq!(server.get("/CodeSystem/c/$validate-code?code=a").await.status, 404);
        // It is taken again, though there are versions before it that nobody can read.
        store(&server, "/CodeSystem/c", system("c", &["z"])).await;
        assert_eq!(codes(&expand(&server, "url=urn:all").await), ["z"]);
    });
}

#[test]
fn the_latest_version_counts_and_one_that_is_not_there_is_not_known() {
    test_with(setup(), |server| async move {
        let of = |version: &str, code: &str, title: &str| {
            let system = system(&format!("c{version}"), &[code]);
            system.replace(r#""status""#, &format!(r#""version":"{version}","title":"{title}","status""#))
        };
        store(&server, "/CodeSystem/c9", of("9", "old", "a")).await;
        store(&server, "/CodeSystem/c10", of("10", "new", "a")).await;
        // Another title makes an old version no newer.
        store(&server, "/CodeSystem/c9", of("9", "old", "b")).await;
        assert_eq!(codes(&expand(&server, "url=urn:all").await), ["new"]);
        assert_eq!(codes(&expand(&server, "url=urn:all|9").await), ["old"]);
        assert_eq!(codes(&expand(&server, "url=urn:all&valueSetVersion=10").await), ["new"]);
        for path in [
            "/ValueSet/$expand?url=urn:all|11",
            "/ValueSet/$validate-code?url=urn:all|11&system=urn:c&code=new",
            "/ValueSet/$validate-code?url=urn:all&system=urn:c&code=new&systemVersion=11",
            "/CodeSystem/$validate-code?url=urn:c&code=new&version=11",
        ] {
            assert_eq!(server.get(path).await.status, 404, "{path}");
        }
        assert_eq!(server.get("/Basic?code:in=urn:all|11").await.status, 400);
    });
}
