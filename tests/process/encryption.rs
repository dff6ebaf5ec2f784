//! Encryption at rest of a whole server: what is on the disk, and that it does not start without its master key.

use std::path::Path;
use std::process::Command;

use crate::erasure::{MARKER, is_in_files};
use crate::support::{Server, clean, folder, on_store, program, serve, until};
use crate::verify::put;

const KEY: &str = "first:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
const OTHER: &str = "first:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";

/// A server whose configuration names this file with the master key.
fn serve_with(data: &Path, keys: &Path) -> Command {
    let file = keys.with_extension("toml");
    let text = format!("[encryption]\nmaster_key = {{ file = '{}' }}\n", keys.display());
    std::fs::write(&file, text).unwrap();
    let mut command = serve(data);
    command.arg("--config").arg(file);
    command
}

/// A command on the store, with the master key in a variable.
fn with_key(data: &Path, arguments: &[&str]) -> (i32, String) {
    let mut command = Command::new(program());
    clean(&mut command);
    command.env("ANAMNESIS_ENCRYPTION_MASTER_KEY", KEY);
    let output = command.args(arguments).arg("--data").arg(data).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap(), text(&output.stdout) + &text(&output.stderr))
}

#[test]
fn a_sealed_store_shows_no_body_and_does_not_open_without_its_master_key() {
    let (folder, secrets) = (folder(), folder());
    let keys = secrets.path().join("keys");
    std::fs::write(&keys, format!("# of this test\n{KEY}\n")).unwrap();
    let server = Server::start_with(serve_with(folder.path(), &keys), folder.path());
    server.wait_until_ready();
    put(&server, "a", MARKER);
    let (status, body) = server.get("/default/fhir/Patient/a").unwrap();
    assert!(status == 200 && body.contains(MARKER), "{status} {body}");
    until("the search finds it", || {
        let (_, found) = server.get(&format!("/default/fhir/Patient?family={MARKER}"))?;
        found.contains("\"total\":1").then_some(()).or_else(|| found.contains(MARKER).then_some(()))
    });
    let (_, events) = server.get("/default/$events?from=1").unwrap();
    assert!(events.contains(MARKER), "over HTTP the feed is opened: {events}");
    let table = until("the stream has all of the log", || {
        let (code, table) = with_key(folder.path(), &["verify"]);
        assert_eq!(code, 0, "{table}");
        (!table.contains("behind the log")).then_some(table)
    });
    assert!(table.contains("1 with their resource"), "{table}");
    assert!(!is_in_files(&folder.path().join("nats")), "a message shows the body");
    let (code, _, told) = on_store(folder.path(), &["verify"]);
    assert_eq!(code, 1);
    assert!(told.contains("no master key is configured"), "{told}");
    server.stop();

    for (text, reason) in [
        (None, "no master key is configured"),
        (Some(OTHER), "master key `first` does not unwrap"),
        (Some("second:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="), "there is no master key `first`"),
        (Some("first:secret"), "line 1: the key"),
    ] {
        let command = match text {
            Some(text) => {
                std::fs::write(&keys, text).unwrap();
                serve_with(folder.path(), &keys)
            }
            None => serve(folder.path()),
        };
        let mut refused = Server::spawn(command, folder.path());
        let said = refused.rest_of_output();
        assert!(said.contains(reason), "{said}");
        assert!(!said.contains("secret"), "{said}");
        refused.wait();
    }
    let (code, table) = with_key(folder.path(), &["verify"]);
    assert_eq!(code, 0, "{table}");
    let (code, replayed) = with_key(folder.path(), &["replay", "--resource", "Patient/a", "--json"]);
    assert!(code == 0 && replayed.contains(MARKER), "{replayed}");
}
