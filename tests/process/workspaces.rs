//! Workspaces on one server: each has a log, an index and services of its own, and sees nothing of the others.

use serde_json::Value;

use crate::support::{Server, folder, serve};

#[test]
fn workspaces_see_nothing_of_each_other() {
    let data = folder();
    let file = data.path().join("anamnesis.toml");
    let services =
        "[workspaces.one.services.fhir]\nkind = \"fhir\"\n[workspaces.two.services.fhir]\nkind = \"fhir\"\n";
    std::fs::write(&file, services).unwrap();
    let mut command = serve(data.path());
    command.arg("--config").arg(&file);
    let mut server = Server::start_with(command, data.path());
    let patient =
        |family: &str| format!(r#"{{"resourceType":"Patient","id":"a","name":[{{"family":"{family}"}}]}}"#);
    assert_eq!(server.put("/one/fhir/Patient/a", &patient("One")), Some(201));
    let status = |path: &str| server.get(path).unwrap().0;
    let json = |path: &str| serde_json::from_str::<Value>(&server.get(path).unwrap().1).unwrap();
    assert_eq!((status("/one/fhir/Patient/a"), status("/two/fhir/Patient/a")), (200, 404));
    assert_eq!(json("/two/fhir/Patient?_total=accurate")["total"], 0);
    assert!(json("/two/fhir/_history").get("entry").is_none());
    // The same id is another patient there, with versions of its own.
    assert_eq!(server.put("/two/fhir/Patient/a", &patient("Two")), Some(201));
    for (workspace, family, other) in [("one", "One", "Two"), ("two", "Two", "One")] {
        let read = json(&format!("/{workspace}/fhir/Patient/a"));
        assert_eq!((&read["name"][0]["family"], &read["meta"]["versionId"]), (&family.into(), &"1".into()));
        let found = |family: &str| {
            let bundle = json(&format!("/{workspace}/fhir/Patient?family={family}"));
            bundle["entry"].as_array().map_or(0, Vec::len)
        };
        assert_eq!((found(family), found(other)), (1, 0), "{workspace}");
        assert_eq!(json(&format!("/{workspace}/fhir/_history"))["entry"].as_array().unwrap().len(), 1);
    }
    server.stop_in_order();
}
