//! `anamnesis replay` as auditors run it.

use serde_json::Value;

use crate::support::{Server, folder, on_store};
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
