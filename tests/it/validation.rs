//! What is checked on every write.

use crate::support::test;

#[test]
fn all_faults_are_reported_with_their_places() {
    test(|server| async move {
        let body = r#"{"resourceType":"Patient","birthDate":"2024-02-30","gender":"x",
  "nonsense":1,"name":{"family":"Secret"},"deceasedBoolean":true,"deceasedDateTime":"2020"}"#;
        let answer = server.post("/Patient", body).await;
        assert_eq!(answer.status, 400);
        answer.outcome();
        let json = answer.json();
        let issues = json["issue"].as_array().unwrap();
        for expression in ["Patient.birthDate", "Patient.gender", "Patient.nonsense", "Patient.name"] {
            let found = issues.iter().find(|issue| issue["expression"][0] == expression);
            let issue = found.unwrap_or_else(|| panic!("{expression} is missing: {json}"));
            assert_eq!(issue["severity"], "error");
            assert!(issue["diagnostics"].as_str().unwrap().contains("line "), "{issue}");
        }
        assert!(!answer.text().contains("Secret"), "no content in an outcome");
        assert_eq!(server.events().await, 0);
    });
}

#[test]
fn values_that_a_database_might_choke_on_are_refused_or_kept() {
    test(|server| async move {
        let nul = r#"{"resourceType":"Patient","identifier":[{"system":"urn:a","value":"a\u0000b"}]}"#;
        assert_eq!(server.post("/Patient", nul).await.status, 400);
        let long = format!(
            r#"{{"resourceType":"Patient","identifier":[{{"system":"urn:a","value":"{}"}}]}}"#,
            "x".repeat(100_000)
        );
        let kept = server.post("/Patient", long).await;
        assert_eq!(kept.status, 201);
        let odd =
            r#"{"resourceType":"Patient","identifier":[{"system":"urn:a","value":"\ud83d\ude00 \u00e4"}]}"#;
        let kept = server.post("/Patient", odd).await;
        assert_eq!(kept.status, 201);
        assert!(kept.text().contains(r"\ud83d\ude00 \u00e4"), "escapes stay as they were sent");
    });
}
