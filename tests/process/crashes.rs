//! Crashes: of the server, and of the engines under it.

use crate::support::{Server, folder, is_running, kill9, processes_of, until};

#[test]
fn after_a_kill_of_the_server_the_next_start_finds_a_clean_place() {
    let folder = folder();
    let mut server = Server::start(folder.path());
    let engines = processes_of(folder.path());
    kill9(server.pid());
    server.wait();
    let next = Server::start(folder.path());
    next.wait_until_ready();
    for pid in engines {
        until("the engines of the dead server are gone", || (!is_running(pid)).then_some(()));
    }
    next.stop();
}

#[test]
fn a_killed_postgres_is_started_again() {
    survives("postgres");
}

#[test]
fn a_killed_nats_is_started_again() {
    survives("nats-server");
}

fn survives(engine: &str) {
    let folder = folder();
    let mut server = Server::start(folder.path());
    let before = server.create_patient().unwrap();
    let first = server.engine(engine);
    kill9(first);
    server.wait_for_output("an engine has died");
    let second =
        until("the engine is there again", || Some(server.engine(engine)).filter(|pid| *pid != first));
    server.wait_until_ready();
    assert!(is_running(second));
    let after = until("writes are taken again", || server.create_patient());
    for patient in [before, after] {
        assert_eq!(server.get(&patient).unwrap().0, 200);
    }
    server.stop();
}

#[test]
fn a_server_whose_every_process_was_killed_starts_again() {
    let folder = folder();
    let mut server = Server::start(folder.path());
    let patient = server.create_patient().unwrap();
    let mut all = processes_of(folder.path());
    all.insert(server.pid());
    for pid in all {
        // Some end by themselves while we are at it.
        if is_running(pid) {
            let _ = std::panic::catch_unwind(|| kill9(pid));
        }
    }
    server.wait();
    let next = Server::start(folder.path());
    assert_eq!(next.get(&patient).unwrap().0, 200, "what was answered as written is there");
    next.stop();
}
