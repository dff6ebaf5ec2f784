//! `anamnesis packages install`: writes the conformance resources of FHIR packages to a server.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand, ValueHint};
use reqwest::header::HeaderMap;
use url::Url;

use super::output;
use super::token::Token;
use crate::packages::{HttpTarget, Package, install, missing};

/// Refused resources that are listed of one package.
const REFUSED_SHOWN_MAX: usize = 20;

/// Install FHIR packages: profiles, extensions, value sets and code systems
#[derive(Debug, Args)]
#[command(disable_version_flag = true)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Install(Install),
}

/// Write the conformance resources of packages (.tgz) to a server
///
/// They are found again by their address and version, so a package can be installed any number of times, and two versions
/// of it stand beside each other. Packages that are needed and not installed are named; install them as well.
/// SearchParameters are not installed.
#[derive(Debug, Args)]
struct Install {
    /// Packages, as npm and packages.fhir.org have them
    #[arg(required = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    files: Vec<PathBuf>,

    /// The base address of the FHIR service
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080/default/fhir", value_hint = ValueHint::Url)]
    server: Url,

    #[command(flatten)]
    token: Token,
}

pub(super) fn run(arguments: Arguments) -> anyhow::Result<()> {
    let Command::Install(arguments) = arguments.command;
    if !matches!(arguments.server.scheme(), "http" | "https") || arguments.server.cannot_be_a_base() {
        bail!("--server: {} is not an http or https address", arguments.server);
    }
    // All are read before anything is written: a file that is no package stops the command.
    let packages = arguments.files.iter().map(|file| Package::read(file)).collect::<Result<Vec<_>, _>>()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(install_all(&packages, &arguments.server, arguments.token.headers()?))
}

async fn install_all(packages: &[Package], server: &Url, headers: HeaderMap) -> anyhow::Result<()> {
    let target = HttpTarget::new(server, headers).context("cannot speak HTTP")?;
    let mut present = target.installed().await.context("the server cannot be reached")?;
    present.extend(packages.iter().map(|package| package.name.clone()));
    let mut refused = 0;
    for package in packages {
        let report = install(package, &target).await;
        let name = format!("{}#{}", package.name, package.version);
        output::line(&format!(
            "{name}: {} new, {} there already, {} refused",
            report.created,
            report.kept,
            report.failed.len()
        ))?;
        for failed in report.failed.iter().take(REFUSED_SHOWN_MAX) {
            output::line(&format!("  {failed}"))?;
        }
        for needed in missing(package, &present) {
            output::line(&format!("  needs {needed}, which is not installed"))?;
        }
        refused += report.failed.len();
    }
    if refused > 0 {
        bail!("{refused} resources were refused; the others are installed");
    }
    Ok(())
}
