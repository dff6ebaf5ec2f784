//! The memory of the actors as operators see it: one bound for the process, in `$actors` and among the metrics.

use serde_json::Value;

use crate::support::{Server, folder, serve, until};

#[test]
fn the_memory_of_the_actors_is_shown_as_it_was_set() {
    let data = folder();
    let mut command = serve(data.path());
    command.env("ANAMNESIS_ACTORS_MEMORY_BYTES_MAX", "1000000");
    let mut server = Server::start_with(command, data.path());
    let written = server.put("/default/fhir/Patient/a", r#"{"resourceType":"Patient","id":"a"}"#);
    assert_eq!(written, Some(201));
    let (_, text) = server.get("/default/$actors").unwrap();
    let shown: Value = serde_json::from_str(&text).unwrap();
    let fhir = &shown["services"]["fhir"];
    let memory = &fhir["memory"];
    let bytes = |name: &str| memory[name].as_u64().unwrap();
    assert_eq!((bytes("bytesMax"), bytes("commandBytes"), &fhir["total"]), (1_000_000, 0, &Value::from(1)));
    assert!(bytes("actorBytes") > 1000 && bytes("cachedBytes") > 500, "{memory}");
    assert_eq!(bytes("bytes"), bytes("actorBytes") + bytes("cachedBytes"));
    assert!(bytes("bytesPeak") > bytes("bytes"), "the write itself counted as well: {memory}");
    assert_eq!(fhir["refused"]["memoryFull"], 0);
    let figures = until("the figures are there", || {
        let (_, figures) = server.get("/metrics")?;
        figures.contains("anamnesis_actors_resident").then_some(figures)
    });
    let service = r#"{workspace="default",service="fhir""#;
    for line in [
        "anamnesis_actors_memory_bytes_max 1000000".to_owned(),
        r#"anamnesis_actors_memory_bytes{part="commands"} 0"#.to_owned(),
        format!("anamnesis_actors_queued_commands{service}}} 0"),
        format!(r#"anamnesis_actors_refused_total{service},reason="memory"}} 0"#),
        format!(r#"anamnesis_actors_rested_total{service},reason="room"}} 0"#),
    ] {
        assert!(figures.contains(&line), "{line} is not in {figures}");
    }
    for (method, path) in [("POST", "/health/live"), ("PUT", "/health/ready"), ("DELETE", "/metrics")] {
        let answer = server.exchange(method, path, "").unwrap();
        assert!(answer.starts_with("HTTP/1.1 405") && answer.contains("\r\nallow: GET\r\n"), "{answer}");
        assert!(answer.contains("\"OperationOutcome\""), "{answer}");
    }
    server.stop_in_order();
}
