//! What the server refuses to do, and the words it has for that.

use std::net::TcpListener;
use std::process::{Command, Output, Stdio};

use crate::support::{Server, clean, folder, processes_of, program, serve};

fn run(command: &mut Command) -> (i32, String) {
    let Output { status, stderr, .. } = command.stdin(Stdio::null()).output().unwrap();
    (status.code().unwrap(), String::from_utf8(stderr).unwrap())
}

fn with(arguments: &[&str]) -> (i32, String) {
    let mut command = Command::new(program());
    clean(&mut command);
    run(command.args(arguments))
}

#[test]
fn a_second_server_on_a_data_folder() {
    let folder = folder();
    let first = Server::start(folder.path());
    let (code, message) = run(&mut serve(folder.path()));
    assert_eq!(code, 1);
    assert!(message.contains(&format!("in use by another anamnesis process, {}", first.pid())), "{message}");
    first.wait_until_ready();
    first.stop();
}

#[test]
fn a_check_of_a_stream_that_is_not_known() {
    let folder = folder();
    let server = Server::start(folder.path());
    server.wait_until_ready();
    let url = anamnesis_engines::running(folder.path()).unwrap().unwrap().database_url.unwrap();
    let nowhere = folder.path().join("nowhere");
    let verify = |more: &[&str]| {
        let mut command = Command::new(program());
        clean(&mut command);
        command.env("ANAMNESIS_DATABASE_URL", &url);
        run(command.arg("verify").args(more).arg("--data").arg(&nowhere))
    };
    let (code, message) = verify(&[]);
    assert!(code == 1 && message.contains("the NATS of the store is not known"), "{message}");
    assert!(!nowhere.exists(), "nothing was made");
    assert_eq!(verify(&["--only", "log,heads"]), (0, String::new()));
    server.stop();
}

#[test]
fn a_port_in_use_before_anything_is_started() {
    let folder = folder();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let data = folder.path().join("data");
    let (code, message) = with(&["serve", "--listen", &address, "--data", data.to_str().unwrap()]);
    assert_eq!(code, 1);
    let port = taken.local_addr().unwrap().port();
    assert!(message.contains(&format!("port {port} on 127.0.0.1 is already in use")), "{message}");
    assert!(!data.exists(), "nothing was started");
}

#[test]
fn the_network_without_authentication() {
    let folder = folder();
    let data = folder.path().join("data");
    let (code, message) = with(&["serve", "--listen", "0.0.0.0:0", "--data", data.to_str().unwrap()]);
    assert_eq!(code, 1);
    assert!(message.contains("no authentication is configured"), "{message}");
    assert!(!data.exists(), "nothing was started");
}

#[test]
fn the_network_when_it_is_allowed_comes_with_a_warning() {
    let folder = folder();
    let mut command = Command::new(program());
    clean(&mut command);
    command.args(["serve", "--listen", "0.0.0.0:0", "--data"]).arg(folder.path());
    command.env("ANAMNESIS_ALLOW_ANONYMOUS_NETWORK_ACCESS", "true");
    let mut server = Server::start_with(command, folder.path());
    server.wait_for_output("WARNING: nobody is asked who they are");
    server.stop();
}

#[test]
fn a_configuration_file_with_a_mistake() {
    let folder = folder();
    let file = folder.path().join("anamnesis.toml");
    std::fs::write(&file, "# A comment\n[http]\nworker = 3\n").unwrap();
    let (code, message) = with(&["serve", "--config", file.to_str().unwrap()]);
    assert_eq!(code, 1);
    let expected =
        format!("anamnesis: {}:3:1: http.worker: there is no setting `worker` here", file.display());
    assert!(message.starts_with(&expected), "{message}");
    assert_eq!(message.lines().count(), 1, "{message}");
}

#[test]
fn a_configuration_file_that_is_not_there() {
    let (code, message) = with(&["serve", "--config", "/nonexistent/anamnesis.toml"]);
    assert_eq!(code, 1);
    assert!(message.contains("cannot read the configuration file /nonexistent/anamnesis.toml"), "{message}");
}

#[test]
fn a_variable_that_is_no_setting() {
    let mut command = Command::new(program());
    clean(&mut command);
    let (code, message) = run(command.arg("serve").env("ANAMNESIS_DTA", "/tmp"));
    assert_eq!((code, message.trim()), (1, "anamnesis: ANAMNESIS_DTA: there is no such setting"));
}

#[test]
fn a_wrong_command_line() {
    let (code, message) = with(&["serve", "--listen", "somewhere"]);
    assert_eq!(code, 2);
    assert!(message.contains("--listen"), "{message}");
    let (code, message) = with(&[]);
    assert_eq!(code, 2);
    assert!(message.contains("Start here:") && message.contains("serve"), "{message}");
}

#[test]
fn a_data_folder_that_cannot_be_made() {
    let (code, message) = with(&["serve", "--listen", "127.0.0.1:0", "--data", "/proc/nowhere/data"]);
    assert_eq!(code, 1);
    assert!(message.contains("could not create /proc/nowhere"), "{message}");
}

#[test]
fn engines_that_are_nowhere() {
    let folder = folder();
    let empty = folder.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    // The program looks beside itself too, so it is run from where nothing is beside it.
    let alone = folder.path().join("anamnesis");
    std::fs::copy(program(), &alone).unwrap();
    let mut lonely = Command::new(&alone);
    lonely.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(folder.path().join("data"));
    lonely.current_dir(&empty).env_clear().env("PATH", &empty);
    let (code, message) = run(&mut lonely);
    assert_eq!(code, 1);
    assert!(message.contains("no nats-server") || message.contains("no postgres"), "{message}");
    assert!(message.contains("make setup"), "{message}");
    assert!(processes_of(&folder.path().join("data")).is_empty());
}
