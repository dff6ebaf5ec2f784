//! Where settings come from: the file, the environment, the command line; merged into one.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use super::inherit::{also_at, complete, sections_of_service, sections_of_workspace};
use super::problem::Problem;
use super::tree::{self, Node, Place, Reason, read_toml};
use super::workspace::{ServiceSettings, WorkspaceSettings};
use super::{ConfigError, Settings};

/// What environment variables of ours begin with.
const PREFIX: &str = "ANAMNESIS_";
/// The variable that names the configuration file.
const FILE_VARIABLE: &str = "ANAMNESIS_CONFIG";
/// Variables of ours that are no settings: those that Kubernetes makes for a service of this name, and those
/// of the tests. Any other is a slip of the pen.
const NOT_SETTINGS: [&str; 4] =
    ["ANAMNESIS_SERVICE_", "ANAMNESIS_PORT", "ANAMNESIS_CORPUS", "ANAMNESIS_TEST_"];
/// Settings without a default do not show up when the defaults are listed.
const WITHOUT_DEFAULT: [&str; 4] = ["engines.programs", "database.url", "nats.url", "feed.bytes_max"];
/// Mistakes that are told at once.
const PROBLEMS_MAX: usize = 100;

/// Settings given on the command line: dotted key, flag, value.
pub type Overrides = Vec<(&'static str, &'static str, String)>;

/// The places that settings are read from.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The configuration file that the command line names.
    pub file: Option<PathBuf>,
    /// The variables of the environment.
    pub environment: Vec<(OsString, OsString)>,
    /// What the command line sets.
    pub overrides: Overrides,
}

impl Sources {
    /// The environment of this process and what the command line says.
    #[must_use]
    pub fn of_process(file: Option<PathBuf>, overrides: Overrides) -> Sources {
        Sources { file, environment: std::env::vars_os().collect(), overrides }
    }

    /// One variable that is not ours (`PATH`, `XDG_RUNTIME_DIR`).
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<OsString> {
        self.environment.iter().find(|(variable, _)| variable == name).map(|(_, value)| value.clone())
    }

    /// The settings, and where each was written, with everything that is wrong with them one by one. They are those of
    /// what is right where anything is wrong.
    pub(super) fn read(&self) -> Result<Read, ConfigError> {
        let file = self.file.clone().or_else(|| self.variable(FILE_VARIABLE).map(PathBuf::from));
        let (mut tree, mut problems) = match file {
            Some(path) => read_file(&path)?,
            None => (Node::empty(Place::none()), Vec::new()),
        };
        self.put_variables(&mut tree, &mut problems);
        for (key, flag, value) in &self.overrides {
            tree.set(key, untyped(flag, key, value));
        }
        complete(&mut tree);
        let settings = fitting(&mut tree, &mut problems);
        Ok(Read { settings, tree, problems })
    }

    fn put_variables(&self, tree: &mut Node, problems: &mut Vec<Problem>) {
        for (variable, value) in &self.environment {
            let Some(variable) = variable.to_str().filter(|name| name.starts_with(PREFIX)) else { continue };
            if variable == FILE_VARIABLE || NOT_SETTINGS.iter().any(|other| variable.starts_with(other)) {
                continue;
            }
            match (key_of(variable), value.to_str()) {
                (Some(key), Some(text)) => tree.set(&key, untyped(variable, &key, text)),
                (None, _) => {
                    problems.push(Problem::new(place(variable, ""), "there is no such setting"));
                }
                (_, None) => problems.push(Problem::new(place(variable, ""), "it is not valid UTF-8")),
            }
        }
    }
}

/// What the sources say.
pub(super) struct Read {
    pub(super) settings: Settings,
    /// What holds where, with the places.
    pub(super) tree: Node,
    pub(super) problems: Vec<Problem>,
}

fn place(origin: &str, path: &str) -> Place {
    Place { origin: origin.into(), at: None, path: path.into() }
}

fn untyped(origin: &str, key: &str, text: &str) -> Node {
    Node { value: tree::Value::Untyped(text.to_owned()), place: place(origin, key) }
}

fn read_file(path: &Path) -> Result<(Node, Vec<Problem>), ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
    Ok(read_toml(path, &text))
}

/// Reads the tree. What does not fit is told and taken out, until the rest fits.
fn fitting(tree: &mut Node, problems: &mut Vec<Problem>) -> Settings {
    while problems.len() < PROBLEMS_MAX {
        let refused = match Settings::deserialize(&*tree) {
            Ok(settings) => return settings,
            Err(refused) => refused,
        };
        let others = refused.place.as_ref().map(also_at).unwrap_or_default();
        let missing = match (&refused.reason, &refused.place) {
            (Reason::Missing(name), Some(place)) => Some(format!("{}.{name}", place.path)),
            _ => None,
        };
        let problem = Problem::of(refused, &others);
        let removed = tree.remove(problem.place());
        // What is missing because it was wrong has been told already.
        if !missing.is_some_and(|path| problems.iter().any(|told| *told.place().path == *path)) {
            problems.push(problem);
        }
        if !removed {
            break;
        }
    }
    Settings::default()
}

/// The dotted key of a variable. Underscores stand for dots and for themselves, so the known keys are asked.
fn key_of(variable: &str) -> Option<String> {
    known_keys().into_iter().find(|key| variable_of(key) == variable)
}

fn variable_of(key: &str) -> String {
    format!("{PREFIX}{}", key.replace('.', "_").to_uppercase())
}

/// The defaults of everything that has one value in the whole file: what belongs to the server, and the sections that
/// workspaces and services have from the top of the file.
pub(super) fn defaults() -> Table {
    let mut defaults = table(&Settings::default());
    defaults.remove("workspaces");
    let workspace = (table(&WorkspaceSettings::default()), sections_of_workspace());
    let service = (table(&ServiceSettings::default()), sections_of_service());
    for (mut table, sections) in [workspace, service] {
        for section in sections {
            if let Some(value) = table.remove(section) {
                defaults.insert(section.to_owned(), value);
            }
        }
    }
    defaults
}

fn table(settings: &impl Serialize) -> Table {
    Table::try_from(settings).unwrap_or_default()
}

/// Every key that has one value. Workspaces are declared in the file.
pub(super) fn known_keys() -> Vec<String> {
    let mut keys: Vec<String> = WITHOUT_DEFAULT.map(str::to_owned).into();
    for (name, value) in defaults() {
        add_keys(name, &value, &mut keys);
    }
    keys
}

/// A key, or those of its section. What is named by the user, such as types, is declared in the file.
fn add_keys(name: String, value: &Value, keys: &mut Vec<String>) {
    match value {
        Value::Table(section) => {
            for (key, value) in section {
                add_keys(format!("{name}.{key}"), value, keys);
            }
        }
        _ => keys.push(name),
    }
}
