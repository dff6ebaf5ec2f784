//! `anamnesis config`: checks the configuration, shows what holds, and prints its schema.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};

use crate::config::{Settings, Sources, schema};

/// Check the configuration, show what holds, or print its schema
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check a configuration file, and the environment: every mistake with its line and column
    ///
    /// Exits with 0 when a server can start with it, and with 1 when it cannot. Nothing is started or changed.
    Check(Place),
    /// Print every setting with the value that it has, secrets hidden, as TOML
    Show(Place),
    /// Print the JSON Schema of the configuration file (draft 2020-12), for editors and checks
    Schema,
}

/// The file.
#[derive(Debug, Args)]
struct Place {
    /// A configuration file in TOML (.toml) or YAML (.yaml, .yml) [env: ANAMNESIS_CONFIG]
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    file: Option<PathBuf>,
}

pub(super) fn run(arguments: Arguments) -> anyhow::Result<()> {
    match arguments.command {
        Command::Check(place) => check(place),
        Command::Show(place) => {
            let settings = Settings::load(&Sources::of_process(place.file, Vec::new()))?;
            print!("{}", toml::to_string_pretty(&settings)?);
            Ok(())
        }
        Command::Schema => {
            println!("{}", serde_json::to_string_pretty(&schema())?);
            Ok(())
        }
    }
}

fn check(place: Place) -> anyhow::Result<()> {
    let loaded = Settings::read(&Sources::of_process(place.file, Vec::new()))?;
    for warning in &loaded.warnings {
        println!("warning: {warning}");
    }
    let services = loaded.settings.workspaces.iter().flat_map(|(workspace, settings)| {
        settings.services.keys().map(move |service| format!("{workspace}/{service}"))
    });
    println!("The configuration is fine: {}.", services.collect::<Vec<_>>().join(", "));
    Ok(())
}
