//! `anamnesis replay` as auditors run it.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

use rustix::process::Signal;
use serde_json::Value;

use crate::support::{Server, clean, folder, kill9, on_store, program, try_signal};
use crate::verify::{put, tamper};

#[test]
fn the_history_of_a_store_is_printed_and_checked() {
    let folder = folder();
    let server = Server::start(folder.path());
    server.wait_until_ready();
    for (id, family) in [("a", "Chalmers"), ("b", "Windsor"), ("a", "Levin"), ("a", "Malin")] {
        put(&server, id, family);
    }
    let replay = |more: &[&str]| on_store(folder.path(), &[&["replay"], more].concat());
    let (code, lines, errors) = replay(&[]);
    assert_eq!((code, lines.lines().count()), (0, 4), "{lines}{errors}");
    assert!(lines.lines().nth(1).unwrap().contains("create  Patient/b/_history/1"), "{lines}");

    // The same lines as the feed of the server.
    let (_, json, _) = replay(&["--json", "--from", "2", "--to", "3"]);
    let feed = server.get("/default/$events?from=2&to=3").unwrap().1;
    // Lengths of chunks stand between them.
    let parse = |text: &str| -> Vec<Value> {
        let events = text.lines().filter(|line| line.starts_with('{'));
        events.map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    assert_eq!(parse(&json), parse(&feed));
    assert_eq!(parse(&json).len(), 2);

    let (_, lines, _) = replay(&["--resource", "Patient/a", "--from", "2"]);
    let positions: Vec<&str> = lines.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(positions, ["3", "4"]);
    let (_, lines, _) = replay(&["--compartment", "Patient/b"]);
    assert_eq!(lines.lines().count(), 1, "{lines}");

    for (arguments, code, message) in [
        (["--from", "3", "--to", "2"], 1, "--to 2 is before --from 3"),
        (["--from", "1", "--to", "9"], 1, "--to 9: the log ends at position 4"),
        (["--from", "9", "--to", "9"], 1, "--from 9: the log ends at position 4"),
        (["--resource", "Patient/x", "--from", "1"], 1, "Patient/x has never existed"),
        (["--resource", "Patient", "--from", "1"], 2, "Type/id"),
    ] {
        let (found, _, errors) = replay(&arguments);
        assert!(found == code && errors.contains(message), "{arguments:?}: {errors}");
    }

    tamper(
        folder.path(),
        "SET session_replication_role = replica; UPDATE anamnesis.event SET agent = 'nobody' WHERE seq = 3;
         DELETE FROM anamnesis.event WHERE seq = 2",
    );
    let (code, lines, errors) = replay(&[]);
    assert_eq!((code, lines.lines().count()), (1, 3), "{errors}");
    assert!(errors.contains("FAULT at position 2: the event is missing"), "{errors}");
    assert!(errors.contains("FAULT at position 3: its hash does not follow"), "{errors}");
    let (code, _, errors) = replay(&["--resource", "Patient/a", "--from", "4"]);
    assert_eq!(code, 0, "{errors}");
    server.stop();
}

#[test]
fn faults_are_told_by_the_exit_code_although_somebody_stops_it() {
    let folder = folder();
    let mut server = Server::start(folder.path());
    server.wait_until_ready();
    put(&server, "a", "Chalmers");
    put(&server, "a", "Windsor");
    tamper(
        folder.path(),
        "SET session_replication_role = replica; UPDATE anamnesis.event SET seq = 20000 WHERE seq = 2",
    );
    let mut command = Command::new(program());
    clean(&mut command);
    command.args(["replay", "--data"]).arg(folder.path());
    let mut replay =
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut errors = BufReader::new(replay.stderr.take().unwrap());
    let mut line = String::new();
    errors.read_line(&mut line).unwrap();
    assert_eq!(line, "FAULT at position 2: the event is missing\n");
    // It cannot come far: nobody reads on, and a pipe holds less than it has to say.
    assert!(try_signal(replay.id(), Signal::INT));
    let mut rest = String::new();
    errors.read_to_string(&mut rest).unwrap();
    assert_eq!(replay.wait().unwrap().code(), Some(1));
    assert!(rest.lines().count() < 19_000, "it went on to the end");
    assert!(rest.contains("events are not as they were recorded"), "{:?}", rest.lines().last());
    kill9(server.pid());
    server.wait();
}
