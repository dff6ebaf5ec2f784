//! `anamnesis users`: who may sign in at the authorization server of a workspace.

use std::io::{BufRead as _, IsTerminal as _};
use std::path::{Path, PathBuf};

use anamnesis_smart::{NewUser, User, Users};
use anyhow::{Context as _, bail};
use clap::{Args, Subcommand, ValueHint};
use zeroize::Zeroizing;

use super::output;
use super::store::{Need, StoreArguments};
use crate::clock;

/// Users that are listed in one step.
const LISTED_AT_ONCE: usize = 500;
/// The largest file with a password, in bytes.
const PASSWORD_BYTES_MAX: u64 = 8 << 10;

/// Show and change who may sign in at the authorization server for SMART apps
///
/// Works beside a running server and without one, which has to have been started once. What is ended here, servers know within
/// two seconds. Roles are assigned in the configuration, to the id that `add` and `list` print.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a user, and print the id
    Add(Add),
    /// List all users
    List(StoreArguments),
    /// Give a user another password; all sessions and tokens of the user end
    Password(Password),
    /// Let a user sign in again
    Enable(Named),
    /// Let a user not sign in any more; all sessions and tokens of the user end
    Disable(Named),
    /// Say who a user is in the record
    FhirUser(FhirUser),
    /// Remove a user; the id is never given to anybody else
    Remove(Named),
}

#[derive(Debug, Args)]
struct Add {
    #[command(flatten)]
    named: Named,

    /// The name that others read
    #[arg(long, value_name = "TEXT", default_value = "")]
    display: String,

    /// Who the user is in the record: Patient/1, Practitioner/2
    #[arg(long, value_name = "REFERENCE")]
    fhir_user: Option<String>,

    /// The issuer of the OpenID provider at which the user signs in (smart.upstream)
    #[arg(long, value_name = "ISSUER")]
    upstream: Option<String>,

    /// The subject that the user is there; whoever comes first with the user's name where it is left out
    #[arg(long, value_name = "SUBJECT", requires = "upstream")]
    subject: Option<String>,

    #[command(flatten)]
    password: PasswordFrom,
}

#[derive(Debug, Args)]
struct Password {
    #[command(flatten)]
    named: Named,

    #[command(flatten)]
    password: PasswordFrom,
}

#[derive(Debug, Args)]
struct FhirUser {
    #[command(flatten)]
    named: Named,

    /// Patient/1, Practitioner/2; nobody where it is left out
    reference: Option<String>,
}

#[derive(Debug, Args)]
struct Named {
    #[command(flatten)]
    store: StoreArguments,

    /// What is typed to sign in
    name: String,
}

#[derive(Debug, Args)]
struct PasswordFrom {
    /// A file with the password; without it, the password is the first line of the standard input
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    password_file: Option<PathBuf>,
}

impl Command {
    fn store(&self) -> &StoreArguments {
        match self {
            Self::Add(add) => &add.named.store,
            Self::List(store) => store,
            Self::Password(password) => &password.named.store,
            Self::FhirUser(user) => &user.named.store,
            Self::Enable(named) | Self::Disable(named) | Self::Remove(named) => &named.store,
        }
    }
}

pub(super) fn run(arguments: Arguments) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let store = arguments.command.store().open(Need::Database).await?;
        let outcome = async {
            let users = Users::open(store.database_address(), store.log.workspace(), clock::now).await?;
            carry_out(arguments.command, &users).await
        };
        let outcome = outcome.await;
        store.close().await;
        outcome
    })
}

async fn carry_out(command: Command, users: &Users) -> anyhow::Result<()> {
    match command {
        Command::List(_) => list(users).await,
        Command::Add(add) => {
            // Who signs in elsewhere has no password here, unless one is given.
            let is_of_others = add.upstream.is_some() && add.password.password_file.is_none();
            let password = if is_of_others { None } else { Some(add.password.read()?) };
            let Add { named, display, fhir_user, upstream, subject, .. } = add;
            let new = NewUser { name: named.name, display, fhir_user, password, upstream, subject };
            let user = users.add(new).await?;
            output::line(&user.id.to_string())
        }
        Command::Password(password) => {
            let user = find(users, &password.named.name).await?;
            Ok(users.set_password(user.id, password.password.read()?).await?)
        }
        Command::Enable(named) => Ok(users.set_enabled(find(users, &named.name).await?.id, true).await?),
        Command::Disable(named) => Ok(users.set_enabled(find(users, &named.name).await?.id, false).await?),
        Command::FhirUser(FhirUser { named, reference }) => {
            Ok(users.set_fhir_user(find(users, &named.name).await?.id, reference).await?)
        }
        Command::Remove(named) => Ok(users.remove(find(users, &named.name).await?.id).await?),
    }
}

async fn find(users: &Users, name: &str) -> anyhow::Result<User> {
    users.find(name).await?.with_context(|| format!("there is no user `{name}`"))
}

async fn list(users: &Users) -> anyhow::Result<()> {
    let mut after = String::new();
    loop {
        let page = users.list(&after, LISTED_AT_ONCE).await?;
        for user in &page {
            let state = if user.is_enabled { "" } else { "  disabled" };
            let who = user.fhir_user.as_deref().unwrap_or("-");
            output::line(&format!("{}  {}  {who}  {}{state}", user.id, user.name, user.display))?;
        }
        match page.last() {
            Some(last) if page.len() == LISTED_AT_ONCE => after.clone_from(&last.name),
            _ => return Ok(()),
        }
    }
}

impl PasswordFrom {
    /// The password, without the end of its line.
    fn read(&self) -> anyhow::Result<Zeroizing<String>> {
        let text = match &self.password_file {
            Some(path) => of_file(path)?,
            None => {
                let input = std::io::stdin();
                if input.is_terminal() {
                    bail!("pipe the password into the standard input, or name a file with --password-file");
                }
                let mut line = Zeroizing::new(String::new());
                input.lock().read_line(&mut line).context("the password cannot be read")?;
                line
            }
        };
        let end = text.trim_end_matches(['\r', '\n']).len();
        Ok(Zeroizing::new(text.get(..end).unwrap_or_default().to_owned()))
    }
}

fn of_file(path: &Path) -> anyhow::Result<Zeroizing<String>> {
    let bytes = std::fs::metadata(path).with_context(|| path.display().to_string())?.len();
    if bytes > PASSWORD_BYTES_MAX {
        bail!("{}: it has more than {PASSWORD_BYTES_MAX} bytes", path.display());
    }
    std::fs::read_to_string(path).map(Zeroizing::new).with_context(|| path.display().to_string())
}
