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

#[test]
fn versions_that_are_missing_are_told_with_the_others() {
    let folder = folder();
    let server = Server::start(folder.path());
    server.wait_until_ready();
    for family in ["Chalmers", "Windsor", "Levin", "Malin", "Osler"] {
        put(&server, "a", family);
    }
    let shown = |more: &[&str]| -> (i32, Vec<u64>, String) {
        let (code, lines, errors) = on_store(folder.path(), &[&["replay"], more].concat());
        let position = |line: &str| line.split_whitespace().next().and_then(|word| word.parse().ok());
        (code, lines.lines().filter_map(position).collect(), errors)
    };
    let (resource, compartment) = (["--resource", "Patient/a"], ["--compartment", "Patient/a"]);
    assert_eq!(shown(&resource), (0, vec![1, 2, 3, 4, 5], String::new()));
    assert_eq!(shown(&compartment), (0, vec![1, 2, 3, 4, 5], String::new()));
    let tamper = |sql: &str| tamper(folder.path(), &format!("SET session_replication_role = replica; {sql}"));
    let expect = |arguments: &[&str], positions: &[u64], fault: &str| {
        let (code, found, errors) = shown(arguments);
        assert_eq!((code, &found[..]), (1, positions), "{arguments:?}: {errors}");
        assert!(errors.contains(&format!("FAULT at position {fault}")), "{arguments:?}: {errors}");
    };

    tamper("UPDATE anamnesis.head SET seq = 4, version = 4");
    expect(&resource, &[1, 2, 3, 4, 5], "5: the head of its resource stands at 4, a version before");
    expect(&compartment, &[1, 2, 3, 4, 5], "5: the head of its resource stands at 4, a version before");
    tamper("CREATE TABLE public.kept AS SELECT * FROM anamnesis.head; DELETE FROM anamnesis.head");
    expect(&resource, &[1, 2, 3, 4, 5], "5: its resource has no head");
    tamper(
        "INSERT INTO anamnesis.head SELECT * FROM public.kept; UPDATE anamnesis.head SET seq = 5, version = 5",
    );
    assert_eq!(shown(&resource).0, 0);

    tamper("DELETE FROM anamnesis.event WHERE seq = 3");
    expect(
        &resource,
        &[1, 2, 4, 5],
        "3: the event of version 3 is missing, which the one at position 4 follows",
    );
    expect(&compartment, &[1, 2, 4, 5], "3: the event is missing, which the one at position 4 follows");
    // What is asked for is whole.
    assert_eq!(shown(&["--resource", "Patient/a", "--from", "5"]), (0, vec![5], String::new()));
    tamper("DELETE FROM anamnesis.event WHERE seq = 5");
    expect(&resource, &[1, 2, 4], "5: the event of version 5, the newest one, is missing");
    expect(&compartment, &[1, 2, 4], "5: the event is missing, at which the head of its resource stands");

    for (arguments, code, message) in [
        (["--compartment", "Foo/m3"], 2, "a compartment is a patient"),
        (["--compartment", "Patient/nope"], 1, "nothing in the workspace default touches Patient/nope"),
        (["--compartment", "Organization/~1"], 1, "touches Organization/~1"),
    ] {
        let (found, _, errors) = shown(&arguments);
        assert!(found == code && errors.contains(message), "{arguments:?}: {errors}");
    }
    server.stop();
}
