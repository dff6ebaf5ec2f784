//! Erasures of a server whose every process is killed before the stream has been cleaned.

use std::path::Path;

use rustix::process::Signal;

use crate::support::{Server, folder, is_running, on_store, processes_of, try_signal, until};
use crate::verify::put;

/// In nothing that a server writes by itself.
pub(crate) const MARKER: &str = "Quxxzymborski";

/// Whether the marker is in a file below this folder.
pub(crate) fn is_in_files(folder: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(folder) else { return false };
    entries.map_while(Result::ok).any(|entry| {
        let path = entry.path();
        if path.is_dir() {
            return is_in_files(&path);
        }
        let bytes = std::fs::read(&path).unwrap_or_default();
        bytes.windows(MARKER.len()).any(|window| window == MARKER.as_bytes())
    })
}

/// What `verify` tells of the store of a server that has published everything.
fn verified(data: &Path) -> String {
    until("the stream has all of the log", || {
        let (code, table, errors) = on_store(data, &["verify", "--only", "log,heads,stream"]);
        assert_eq!(code, 0, "{table}{errors}");
        (!table.contains("behind the log")).then_some(table)
    })
}

#[test]
fn a_kill_before_the_stream_is_cleaned_leaves_nothing_of_what_was_erased() {
    let folder = folder();
    let stream = folder.path().join("nats");
    let mut server = Server::start(folder.path());
    server.wait_until_ready();
    put(&server, "a", MARKER);
    put(&server, "a", &format!("{MARKER}-Chalmers"));
    put(&server, "b", "Chalmers");
    let before = verified(folder.path());
    assert!(before.contains("0 bodies erased"), "{before}");
    until("the stream is written", || is_in_files(&stream).then_some(()));

    // NATS does nothing any more, so nothing is cleaned; the erasure is recorded all the same.
    let mut all = processes_of(folder.path());
    assert!(try_signal(server.engine("nats-server"), Signal::STOP));
    let answer = server.exchange("DELETE", "/default/fhir/Patient/a?hardDelete=true", "").unwrap();
    assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
    all.insert(server.pid());
    for pid in all {
        // Some end by themselves while we are at it.
        if is_running(pid) {
            let _ended = try_signal(pid, Signal::KILL);
        }
    }
    server.wait();
    assert!(is_in_files(&stream), "it was cleaned before the kill: nothing is shown");

    let next = Server::start(folder.path());
    assert_eq!(next.get("/default/fhir/Patient/a").unwrap().0, 404);
    until("the stream is clean", || (!is_in_files(&stream)).then_some(()));
    let after = verified(folder.path());
    assert!(after.contains("2 bodies erased"), "{after}");
    assert!(after.contains("4 events"), "the events are there: {after}");
    assert_eq!(next.get("/default/fhir/Patient/b").unwrap().0, 200);
    next.stop();
}
