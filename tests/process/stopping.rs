//! Stopping: in order at the first signal, at once at the second, and never leaving a process behind.

use std::collections::BTreeSet;

use rustix::process::Signal;

use crate::support::{Server, folder, processes_of, until};

#[test]
fn sigterm_stops_everything_in_order() {
    let folder = folder();
    let server = Server::start(folder.path());
    server.wait_until_ready();
    assert!(!processes_of(folder.path()).is_empty(), "the engines work in the data folder");
    server.stop();
    let log = std::fs::read_to_string(folder.path().join("logs/postgres.log")).unwrap();
    assert!(log.contains("database system is shut down"), "{log}");
}

#[test]
fn ctrl_c_in_a_terminal_stops_everything_in_order() {
    let folder = folder();
    let mut server = Server::start(folder.path());
    server.wait_until_ready();
    server.signal_group(Signal::INT);
    assert_eq!(server.wait().code(), Some(0));
    assert_eq!(processes_of(folder.path()), BTreeSet::new());
    let output = server.rest_of_output();
    assert!(!output.contains("has died"), "an engine was hit by the signal:\n{output}");
}

#[test]
fn a_signal_while_starting_stops_too_and_leaves_nothing() {
    let folder = folder();
    let mut server = Server::spawn(crate::support::serve(folder.path()), folder.path());
    server.wait_for_output("starting the private Postgres");
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
    until("the engines have ended", || processes_of(folder.path()).is_empty().then_some(()));
    // What was half made is no obstacle.
    Server::start(folder.path()).stop();
}

#[test]
fn a_second_signal_stops_at_once_and_the_engines_end_by_themselves() {
    let folder = folder();
    let mut server = Server::start(folder.path());
    server.signal(Signal::INT);
    server.signal(Signal::TERM);
    // The first may have been enough by the time that the second arrives.
    assert!(matches!(server.wait().code(), Some(0 | 130)));
    until("the engines have ended", || processes_of(folder.path()).is_empty().then_some(()));
    Server::start(folder.path()).stop();
}

#[test]
fn it_runs_beside_programs_on_the_usual_ports() {
    // If somebody has a port already, then that is the neighbour.
    let _neighbours = [5432, 4222].map(|port| std::net::TcpListener::bind(("127.0.0.1", port)));
    let folder = folder();
    let server = Server::start(folder.path());
    server.wait_until_ready();
    server.stop();
}

#[test]
fn two_servers_on_two_folders_do_not_disturb_each_other() {
    let folders = [folder(), folder()];
    let servers = folders.each_ref().map(|folder| Server::start(folder.path()));
    servers.iter().for_each(Server::wait_until_ready);
    let [one, two] = servers;
    one.stop();
    two.wait_until_ready();
    two.stop();
}
