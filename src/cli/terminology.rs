//! `anamnesis terminology`: loads code systems of any size into a server.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, Subcommand, ValueHint};
use url::Url;

use super::token::Token;
use super::{load, output};
use crate::load::code_system::{Naming, Split, split};

/// Load code systems of any size
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Load(LoadArguments),
}

/// Cut a code system into fragments and send them to a server
///
/// FILE is a CodeSystem resource (.json), or a list of concepts: CSV with the columns code, display, parent and definition
/// in any order, or NDJSON (.ndjson) with these members. Several parents have `|` between them, or are a JSON array.
///
/// The fragments are written to FILE.fragments.ndjson first and sent as `anamnesis load` sends them. They have the same
/// ids each time: after an interruption the same command goes on, and what is there already makes no new version.
#[derive(Debug, Args)]
struct LoadArguments {
    /// The code system
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    file: PathBuf,

    /// The canonical address of the code system, such as http://snomed.info/sct
    ///
    /// Needed where the file is no CodeSystem resource.
    #[arg(long, value_name = "URL")]
    system: Option<String>,

    /// The version of the code system
    ///
    /// A new edition has another version: then the old one stays as it is.
    #[arg(long, value_name = "VERSION")]
    edition: Option<String>,

    /// The name of the code system for people
    #[arg(long, value_name = "TEXT")]
    title: Option<String>,

    /// The base address of the FHIR service
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080/default/fhir", value_hint = ValueHint::Url)]
    server: Url,

    #[command(flatten)]
    token: Token,

    /// Only write the fragments
    #[arg(long)]
    split_only: bool,
}

pub(super) fn run(arguments: Arguments) -> anyhow::Result<()> {
    let Command::Load(arguments) = arguments.command;
    let naming = Naming { url: arguments.system, version: arguments.edition, title: arguments.title };
    let fragments = beside(&arguments.file);
    let Split { concepts, fragments: count } = split(&arguments.file, &naming, &fragments)?;
    output::line(&format!("{concepts} concepts in {count} fragments: {}", fragments.display()))?;
    if arguments.split_only {
        return Ok(());
    }
    load::run(load::Arguments::of_file(fragments.clone(), arguments.server, arguments.token))?;
    std::fs::remove_file(&fragments).with_context(|| fragments.display().to_string())
}

/// Where the fragments of a file are written.
fn beside(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".fragments.ndjson");
    PathBuf::from(name)
}
