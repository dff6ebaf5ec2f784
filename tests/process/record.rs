//! `anamnesis record`: what is recorded is the log, and comes with what follows from it.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use anamnesis_projections::recording::{Expected, Recording};

use crate::support::{Server, clean, folder, on_store, program, until};
use crate::verify::put;

#[test]
fn a_recording_is_the_log_and_says_what_follows() {
    let folder = folder();
    let server = Server::start(folder.path());
    server.wait_until_ready();
    for (id, family) in [("a", "Chalmers"), ("b", "Windsor"), ("a", "Levin")] {
        put(&server, id, family);
    }
    let out = folder.path().join("recorded");
    let out = out.to_str().unwrap();
    let (code, told, warned) = on_store(folder.path(), &["record", out]);
    assert!(code == 0 && told.contains("3 events recorded"), "{told}{warned}");
    assert!(warned.contains("WARNING: the recording holds every resource in full"), "{warned}");
    // The resources are nobody else's business.
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(out.as_ref()), 0o700);
    for file in std::fs::read_dir(out).unwrap() {
        assert_eq!(mode(&file.unwrap().path()), 0o600);
    }
    let (recording, expected) = Recording::read(out.as_ref()).unwrap();
    assert_eq!(expected, Expected::of(&recording).unwrap());
    assert_eq!((expected.count, expected.search[0].resources), (3, 2));
    assert!(std::str::from_utf8(&recording.events()[2].payload).unwrap().contains("Levin"));
    // The index of the server has the very digest.
    until("the index has caught up", || {
        let (_, table, _) = on_store(folder.path(), &["verify", "--only", "log,search"]);
        assert!(table.contains(&expected.hash), "{table}");
        table.contains(&expected.search[0].digest).then_some(())
    });

    let (code, _, refused) = on_store(folder.path(), &["record", out]);
    assert!(code == 1 && refused.contains("is there already"), "{refused}");
    let other = format!("{out}-2");
    let (code, _, refused) = on_store(folder.path(), &["record", &other, "--to", "4"]);
    assert!(code == 1 && refused.contains("the log ends at position 3"), "{refused}");
    let (code, told, _) = on_store(folder.path(), &["record", &other, "--to", "2"]);
    assert!(code == 0 && told.contains("2 events recorded"), "{told}");

    let entry = r#"{"resource":{"resourceType":"Patient"},"request":{"method":"POST","url":"Patient"}}"#;
    let bundle =
        format!(r#"{{"resourceType":"Bundle","type":"transaction","entry":[{entry},{entry},{entry}]}}"#);
    assert!(server.exchange("POST", "/default/fhir", &bundle).unwrap().starts_with("HTTP/1.1 200"));
    let third = format!("{out}-3");
    let (code, _, refused) = on_store(folder.path(), &["record", &third, "--to", "5"]);
    assert!(code == 1 && refused.contains("--to 3 is the event before it, --to 6 is its end"), "{refused}");

    // No file may grow: what was begun is taken away again.
    let fourth = format!("{out}-4");
    let mut command = Command::new("sh");
    clean(&mut command);
    command.args(["-c", "trap '' XFSZ; ulimit -f 0; exec \"$0\" \"$@\""]).arg(program());
    command.args(["record", &fourth, "--data"]).arg(folder.path()).stdin(Stdio::null());
    let output = command.output().unwrap();
    let refused = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(1) && refused.contains("events.ndjson: "), "{refused}");
    assert!(!Path::new(&fourth).exists());
    server.stop();
}
