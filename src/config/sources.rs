//! Where settings come from: the file, the environment, the command line; merged into one.

use std::cell::LazyCell;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::inherit::{also_at, complete};
use super::names;
use super::problem::Problem;
use super::schema::leaves;
use super::tree::{self, Node, Outside, Place, Reader, Reason, read_toml, read_yaml};
use super::{ConfigError, Settings};

/// What environment variables of ours begin with.
const PREFIX: &str = "ANAMNESIS_";
/// The variable that names the configuration file.
const FILE_VARIABLE: &str = "ANAMNESIS_CONFIG";
/// Variables of ours that are no settings: those that Kubernetes makes for a service of this name, and those
/// of the tests. Any other is a slip of the pen.
const NOT_SETTINGS: [&str; 4] =
    ["ANAMNESIS_SERVICE_", "ANAMNESIS_PORT", "ANAMNESIS_CORPUS", "ANAMNESIS_TEST_"];
/// Mistakes that are told at once.
const PROBLEMS_MAX: usize = 100;

/// Settings given on the command line: dotted key, flag, value.
pub type Overrides = Vec<(&'static str, &'static str, String)>;

/// The places that settings are read from.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The configuration file that the command line names: TOML, or YAML where its name ends in `.yaml` or `.yml`.
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
        let (mut tree, mut problems) = match self.file() {
            Some(path) => read_file(&path)?,
            None => (Node::empty(Place::none()), Vec::new()),
        };
        names::unify(&mut tree, &mut problems);
        self.put_variables(&mut tree, &mut problems);
        for (key, flag, value) in &self.overrides {
            tree.set(key, untyped(flag, key, value));
        }
        complete(&mut tree);
        let outside = Outside { environment: self.environment.clone(), ..Outside::default() };
        let settings = fitting(&mut tree, &outside, &mut problems);
        let mut warnings: Vec<Problem> = Vec::new();
        for warning in outside.warnings.into_inner() {
            // Each attempt to read says the same.
            if !warnings.contains(&warning) {
                warnings.push(warning);
            }
        }
        Ok(Read { settings, tree, problems, warnings })
    }

    /// The configuration file.
    #[must_use]
    pub fn file(&self) -> Option<PathBuf> {
        self.file.clone().or_else(|| self.variable(FILE_VARIABLE).map(PathBuf::from))
    }

    fn put_variables(&self, tree: &mut Node, problems: &mut Vec<Problem>) {
        // Made of the schema, which takes some milliseconds.
        let known = LazyCell::new(known_keys);
        for (variable, value) in &self.environment {
            let Some(variable) = variable.to_str().filter(|name| name.starts_with(PREFIX)) else { continue };
            if variable == FILE_VARIABLE || NOT_SETTINGS.iter().any(|other| variable.starts_with(other)) {
                continue;
            }
            match (known.iter().find(|key| variable_of(key) == variable), value.to_str()) {
                (Some(key), Some(text)) => tree.set(key, untyped(variable, key, text)),
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
    /// What does not stop the server.
    pub(super) warnings: Vec<Problem>,
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
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("yaml" | "yml") => Ok(read_yaml(path, &text)),
        _ => Ok(read_toml(path, &text)),
    }
}

/// Reads the tree. What does not fit is told and taken out, until the rest fits.
fn fitting(tree: &mut Node, outside: &Outside, problems: &mut Vec<Problem>) -> Settings {
    while problems.len() < PROBLEMS_MAX {
        let refused = match Settings::deserialize(Reader { node: tree, outside }) {
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

/// The variable of a setting. Underscores stand for dots and for themselves, so the known keys are asked.
fn variable_of(key: &str) -> String {
    format!("{PREFIX}{}", key.replace('.', "_").to_uppercase())
}

/// Every key that has one value and can stand at the top of the file. The others are declared in the file.
pub(super) fn known_keys() -> Vec<String> {
    leaves().into_iter().filter(|leaf| leaf.is_plain).map(|leaf| leaf.path).collect()
}
