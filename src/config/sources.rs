//! Where settings come from: the file, the environment, the command line; merged into one.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::IntoDeserializer;
use toml::{Table, Value};

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

/// Settings given on the command line: dotted key, flag, value.
pub type Overrides = Vec<(&'static str, &'static str, Value)>;

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

    /// Merges the sources.
    pub(super) fn read(&self) -> Result<Settings, ConfigError> {
        let mut merged = match self.file.clone().or_else(|| self.variable(FILE_VARIABLE).map(PathBuf::from)) {
            Some(path) => read_file(&path)?,
            None => Table::new(),
        };
        for (variable, value) in &self.environment {
            let Some(variable) = variable.to_str().filter(|name| name.starts_with(PREFIX)) else { continue };
            if variable == FILE_VARIABLE || NOT_SETTINGS.iter().any(|other| variable.starts_with(other)) {
                continue;
            }
            let refuse = |message: String| ConfigError::Value { origin: variable.to_owned(), message };
            let key = key_of(variable).ok_or_else(|| refuse("there is no such setting".to_owned()))?;
            let text = value.to_str().ok_or_else(|| refuse("it is not valid UTF-8".to_owned()))?;
            let value = typed(&key, text).map_err(refuse)?;
            set(&mut merged, &key, value);
        }
        for (key, flag, value) in &self.overrides {
            try_alone(key, value)
                .map_err(|message| ConfigError::Value { origin: (*flag).to_owned(), message })?;
            set(&mut merged, key, value.clone());
        }
        // Each source was checked by itself, so this fails only if that check is wrong.
        Settings::deserialize(merged).map_err(|error| ConfigError::Contradiction(error.message().to_owned()))
    }
}

/// Reads the file strictly, so that a mistake is told with its line.
fn read_file(path: &Path) -> Result<Table, ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
    let refuse = |error: toml::de::Error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        ConfigError::File { path: path.to_owned(), line, message: error.message().to_owned() }
    };
    toml::from_str::<Settings>(&text).map_err(refuse)?;
    toml::from_str::<Table>(&text).map_err(refuse)
}

/// The dotted key of a variable. Underscores stand for dots and for themselves, so the known keys are asked.
fn key_of(variable: &str) -> Option<String> {
    known_keys().into_iter().find(|key| variable_of(key) == variable)
}

fn variable_of(key: &str) -> String {
    format!("{PREFIX}{}", key.replace('.', "_").to_uppercase())
}

/// Every key that has one value. Workspaces are declared in the file.
pub(super) fn known_keys() -> Vec<String> {
    let mut keys: Vec<String> = WITHOUT_DEFAULT.map(str::to_owned).into();
    let defaults = Table::try_from(Settings::default()).unwrap_or_default();
    for (name, value) in defaults {
        match value {
            Value::Table(_) if name == "workspaces" => {}
            value => add_keys(name, &value, &mut keys),
        }
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

/// The text of a variable as the type that its key wants.
fn typed(key: &str, text: &str) -> Result<Value, String> {
    let as_text = Value::String(text.to_owned());
    let guesses =
        [text.parse::<i64>().ok().map(Value::Integer), text.parse::<bool>().ok().map(Value::Boolean)];
    let fitting = guesses.into_iter().flatten().find(|value| try_alone(key, value).is_ok());
    match fitting {
        Some(value) => Ok(value),
        None => try_alone(key, &as_text).map(|()| as_text),
    }
}

/// Whether a value suits its key, everything else being at its default.
fn try_alone(key: &str, value: &Value) -> Result<(), String> {
    let mut table = Table::new();
    set(&mut table, key, value.clone());
    Settings::deserialize(table.into_deserializer())
        .map(|_| ())
        .map_err(|error: toml::de::Error| error.message().to_owned())
}

fn set(table: &mut Table, key: &str, value: Value) {
    match key.split_once('.') {
        None => drop(table.insert(key.to_owned(), value)),
        Some((section, rest)) => {
            let inner = table.entry(section).or_insert_with(|| Value::Table(Table::new()));
            if let Value::Table(inner) = inner {
                set(inner, rest, value);
            }
        }
    }
}
