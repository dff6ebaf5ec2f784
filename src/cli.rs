//! The command line: one subcommand a file.

mod audit;
mod config;
mod feed;
mod keys;
mod load;
mod operator;
mod output;
mod packages;
mod parked;
mod positions;
mod progress;
mod rebuild;
mod record;
mod replay;
mod serve;
mod store;
mod synth;
mod terminology;
mod token;
mod users;
mod verify;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The exit code for a command that failed.
const FAILED: u8 = 1;

/// An open, self-hosted health data platform: every FHIR write is an event that is never overwritten.
#[derive(Debug, Parser)]
#[command(
    name = "anamnesis",
    version,
    propagate_version = true,
    arg_required_else_help = true,
    after_help = "Start here:
  anamnesis serve                      a server with its own Postgres and NATS in ./data, on 127.0.0.1:8080
  anamnesis serve --data /srv/records  the same with its data elsewhere
  anamnesis config check settings.toml every mistake of a configuration file, with its line
  anamnesis synth --patients 100       a hundred invented patients as FHIR bundles in ./patients
  anamnesis load patients              sends them to the server
  anamnesis terminology load codes.csv --system http://example.org/codes   a code system of any size
  anamnesis packages install us-core.tgz  profiles and value sets of a FHIR package
  anamnesis feed --follow              every change, from the first one on
  anamnesis verify                     checks that nothing in the store was changed, lost or added
  anamnesis audit verify               checks that no record of an access was changed, lost or added
  anamnesis replay --resource Patient/1   who changed a resource, and when
  anamnesis keys status                how the keys stand with which the store is encrypted
  anamnesis users add ann              somebody who may sign in for SMART apps
  anamnesis rebuild search             builds the search index again while the server goes on

`anamnesis help <COMMAND>` tells more about a command.
Exit codes: 0 done, 1 failed (the reason is the last line of the output), 2 the command line is wrong."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Arguments),
    Config(config::Arguments),
    Synth(synth::Arguments),
    Load(load::Arguments),
    Terminology(terminology::Arguments),
    Packages(packages::Arguments),
    Feed(feed::Arguments),
    Verify(verify::Arguments),
    Audit(audit::Arguments),
    Replay(replay::Arguments),
    Rebuild(rebuild::Arguments),
    Parked(parked::Arguments),
    Record(record::Arguments),
    Keys(keys::Arguments),
    Users(users::Arguments),
}

/// Reads the command line and carries it out. What goes wrong is told in one line on standard error.
#[must_use]
pub fn run() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Serve(arguments) => serve::run(arguments),
        Command::Config(arguments) => config::run(arguments),
        Command::Synth(arguments) => synth::run(arguments),
        Command::Load(arguments) => load::run(arguments),
        Command::Terminology(arguments) => terminology::run(arguments),
        Command::Packages(arguments) => packages::run(arguments),
        Command::Feed(arguments) => feed::run(arguments),
        Command::Verify(arguments) => verify::run(arguments),
        Command::Audit(arguments) => audit::run(arguments),
        Command::Replay(arguments) => replay::run(arguments),
        Command::Rebuild(arguments) => rebuild::run(arguments),
        Command::Parked(arguments) => parked::run(arguments),
        Command::Record(arguments) => record::run(arguments),
        Command::Keys(arguments) => keys::run(arguments),
        Command::Users(arguments) => users::run(arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("anamnesis: {error:#}");
            ExitCode::from(FAILED)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_is_in_the_documentation() {
        let page = include_str!("../docs/running.md");
        for command in Cli::command().get_subcommands() {
            let name = command.get_name();
            assert!(page.contains(&format!("anamnesis {name}")), "docs/running.md lacks {name}");
        }
    }
}
