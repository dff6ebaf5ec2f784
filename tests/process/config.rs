//! `anamnesis config`: what it says of a configuration, as people and pipelines see it.

use std::process::{Command, Output};

use crate::support::{clean, folder, program};

fn config(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(program());
    clean(&mut command);
    command.arg("config").args(arguments).envs(environment.iter().copied());
    command.output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn check_tells_every_mistake_with_its_line_and_column() {
    let folder = folder();
    let file = folder.path().join("settings.yaml");
    std::fs::write(&file, "http:\n  worker: 3\nworkspaces:\n  health:\n    fhri: {}\n").unwrap();
    let path = file.to_str().unwrap();
    let output = config(&["check", path], &[]);
    assert_eq!(output.status.code(), Some(1));
    let told = text(&output.stderr).replace(path, "FILE");
    for line in [
        "anamnesis: FILE:2:3: http.worker: there is no setting `worker` here; did you mean `workers`?\n",
        "\nFILE:5:5: workspaces.health.fhri: there is no setting `fhri` here; did you mean `fhir`?\n",
        "\nFILE:5:5: workspaces.health: no workspace can be named `health`: addresses of the server begin with it\n",
    ] {
        assert!(told.contains(line), "{line} is not in\n{told}");
    }
}

#[test]
fn check_says_what_is_fine_and_what_should_be_looked_at() {
    let folder = folder();
    let file = folder.path().join("settings.toml");
    let fine =
        "[workspaces.clinic.services.fhir]\nkind = 'fhir'\nexportConfiguration.storageAccountName = 'bulk'\n";
    std::fs::write(&file, fine).unwrap();
    let output = config(&["check", file.to_str().unwrap()], &[]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let said = text(&output.stdout);
    assert!(
        said.contains("storageAccountName: without effect: the server keeps the files of exports itself"),
        "{said}"
    );
    assert!(said.ends_with("The configuration is fine: clinic/fhir.\n"), "{said}");
}

#[test]
fn show_prints_what_holds_and_no_secret() {
    let folder = folder();
    let file = folder.path().join("settings.toml");
    std::fs::write(&file, "[database]\nurl = { env = 'SECRET_URL' }\n[fhir]\npage_size = 33\n").unwrap();
    let environment = [("SECRET_URL", "postgresql://u:geheim@h/d"), ("ANAMNESIS_HTTP_WORKERS", "5")];
    let output = config(&["show", file.to_str().unwrap()], &environment);
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(said.contains("workers = 5") && said.contains("page_size = 33"), "{said}");
    assert!(said.contains("url = \"(hidden)\"") && !said.contains("geheim"), "{said}");
}

#[test]
fn schema_is_one_that_editors_understand() {
    let output = config(&["schema"], &[]);
    let schema: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert!(schema["properties"]["workspaces"].is_object() && schema["properties"]["fhir"].is_object());
}
