//! Writes the resources of a package to a service, and tells what became of them.

use std::collections::BTreeSet;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::Package;

/// What became of a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    /// It was not there.
    Created,
    /// It was there, the same or another.
    Kept,
}

/// Who takes the resources.
pub trait Target {
    /// Writes a resource by `PUT [query]`, where the query begins with the type: `ValueSet?url=…&version=…`.
    ///
    /// # Errors
    /// What the service says.
    fn put(&self, query: &str, body: &[u8]) -> impl Future<Output = Result<Stored, String>>;
}

/// What became of a package.
#[derive(Debug, Default)]
pub struct Report {
    /// Resources that are new.
    pub created: usize,
    /// Resources that were there.
    pub kept: usize,
    /// Resources that were refused: `type url|version: reason`.
    pub failed: Vec<String>,
}

/// Writes all resources of a package, one after the other; one that is refused does not hold up the others.
pub async fn install(package: &Package, target: &impl Target) -> Report {
    let unnamed = |file: &String| format!("{file}: it has no url");
    let mut report = Report { failed: package.unnamed.iter().map(unnamed).collect(), ..Report::default() };
    for resource in &package.resources {
        let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let version = match &resource.version {
            Some(version) => format!("version={}", encoded(version)),
            None => "version:missing=true".to_owned(),
        };
        let query = format!("{}?url={}&{version}", resource.resource_type, encoded(&resource.url));
        match target.put(&query, &resource.body).await {
            Ok(Stored::Created) => report.created += 1,
            Ok(Stored::Kept) => report.kept += 1,
            Err(reason) => {
                let version =
                    resource.version.as_deref().map(|version| format!("|{version}")).unwrap_or_default();
                report.failed.push(format!("{} {}{version}: {reason}", resource.resource_type, resource.url));
            }
        }
    }
    report
}

/// The packages that a package needs and that are neither among `present` nor R4 itself: `name#version`.
#[must_use]
pub fn missing(package: &Package, present: &BTreeSet<String>) -> Vec<String> {
    let missing = package.dependencies.iter().filter(|(name, _)| !present.contains(name));
    missing.map(|(name, version)| format!("{name}#{version}")).collect()
}
