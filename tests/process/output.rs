//! What commands do where their output cannot be written, or nobody reads it.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::{Server, clean, folder, program};
use crate::verify::put;

/// Exit code and standard error of a command with this standard output.
fn run(arguments: &[&str], data: Option<&Path>, output: Stdio) -> (i32, String) {
    let mut command = Command::new(program());
    clean(&mut command);
    command.args(arguments).stdin(Stdio::null()).stdout(output).stderr(Stdio::piped());
    if let Some(data) = data {
        command.arg("--data").arg(data);
    }
    let ended = command.output().unwrap();
    (ended.status.code().unwrap(), String::from_utf8(ended.stderr).unwrap())
}

#[test]
fn output_that_cannot_be_written_is_a_failure_and_a_closed_pipe_is_none() {
    let folder = folder();
    let server = Server::start(folder.path());
    server.wait_until_ready();
    put(&server, "a", "Chalmers");
    let workspace = format!("http://{}/default", server.address);
    let data = Some(folder.path());
    for (arguments, data) in [
        (vec!["replay"], data),
        (vec!["replay", "--json", "--resource", "Patient/a"], data),
        (vec!["verify", "--only", "log"], data),
        (vec!["verify", "--only", "log", "--json"], data),
        (vec!["feed", "--workspace", &workspace], None),
        (vec!["parked", "--workspace", &workspace], None),
        (vec!["synth", "--patients", "3", "--stdout"], None),
        (vec!["parked", "--json", "--workspace", &workspace], None),
    ] {
        // A device that is always full.
        let full = File::options().write(true).open("/dev/full").unwrap();
        let (code, errors) = run(&arguments, data, full.into());
        assert!(
            code == 1 && errors.contains("the output cannot be written"),
            "{arguments:?}: {code} {errors}"
        );
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let (code, errors) = run(&arguments, data, writer.into());
        assert!(code == 0 && !errors.contains("anamnesis:"), "{arguments:?}: {code} {errors}");
    }
    server.stop();
}
