//! FHIR packages (`.tgz`, as npm has them): read within bounds, and their conformance resources written to a service.
//!
//! A resource is written by the ordinary way, as a conditional update by its canonical address and version: what is there
//! already makes no new version, so a package can be installed any number of times. It gets an id of the server's, because
//! two versions of a guide use the same ids and both may be needed.

mod archive;
mod http;
mod install;

use std::path::{Path, PathBuf};

use anamnesis_fhir::json::{Document, Kind, Limits, Splice, Value};

pub use http::HttpTarget;
pub use install::{Report, Stored, Target, install, missing};

/// What of a package is written, in this order: value sets before what binds them. SearchParameters are left out: they
/// would change how the whole service is searched, which is for its administrator to decide one by one.
pub const TYPES: &[&str] = &[
    "CodeSystem",
    "ValueSet",
    "ConceptMap",
    "NamingSystem",
    "StructureDefinition",
    "OperationDefinition",
    "CapabilityStatement",
    "ImplementationGuide",
];

/// The packages that every service has.
const BUILT_IN: &str = "hl7.fhir.r4.core";

/// A package that was read.
#[derive(Debug)]
pub struct Package {
    /// Its name, such as `hl7.fhir.us.core`.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Other packages that it needs: names and versions, without R4 itself.
    pub dependencies: Vec<(String, String)>,
    /// What is to be written, in order.
    pub resources: Vec<Resource>,
    /// Files whose resources are of a kind that is written and cannot be: they have no address.
    pub unnamed: Vec<String>,
}

/// A conformance resource of a package.
#[derive(Debug)]
pub struct Resource {
    /// Its type.
    pub resource_type: &'static str,
    /// Its canonical address.
    pub url: String,
    /// Its business version.
    pub version: Option<String>,
    /// The resource without its id.
    pub body: Vec<u8>,
}

/// Why a package cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PackageError {
    /// The file cannot be read, or is no gzip.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What was wrong.
        source: std::io::Error,
    },
    /// The archive breaks a rule; says which.
    #[error("{}: {reason}", path.display())]
    Refused {
        /// The file.
        path: PathBuf,
        /// What was wrong.
        reason: String,
    },
}

impl Package {
    /// Reads a package. Nothing of it is written to disk.
    ///
    /// # Errors
    /// [`PackageError`]: no package of R4, an unsafe path, or larger than its bounds.
    pub fn read(path: &Path) -> Result<Self, PackageError> {
        let refuse = |reason: String| PackageError::Refused { path: path.to_owned(), reason };
        let mut manifest = None;
        let (mut resources, mut unnamed) = (Vec::new(), Vec::new());
        archive::read(path, |name, bytes| {
            if name == "package.json" {
                manifest =
                    Some(Document::parse(bytes, &Limits::default()).map_err(|error| error.to_string())?);
            } else if !name.starts_with('.') {
                match resource(name, bytes)? {
                    Found::Resource(resource) => resources.push(resource),
                    Found::Unnamed(file) => unnamed.push(file),
                    Found::Other => {}
                }
            }
            Ok(())
        })?;
        let manifest = manifest.ok_or_else(|| refuse("it has no package/package.json".to_owned()))?;
        let text =
            |name: &str| manifest.root().get(name).and_then(Value::as_str).map(|text| text.into_owned());
        let name = text("name").ok_or_else(|| refuse("its package.json has no name".to_owned()))?;
        let versions =
            ["fhirVersions", "fhir-version-list"].into_iter().filter_map(|name| manifest.root().get(name));
        let versions: Vec<String> =
            versions.flat_map(Value::items).filter_map(|item| Some(item.as_str()?.into_owned())).collect();
        if !versions.is_empty() && !versions.iter().any(|version| version.starts_with("4.0")) {
            return Err(refuse(format!("it is for FHIR {}, not for R4 (4.0.1)", versions.join(", "))));
        }
        let dependencies = manifest.root().get("dependencies").into_iter().flat_map(Value::members);
        let dependencies = dependencies
            .filter(|(name, _)| name != BUILT_IN)
            .map(|(name, version)| (name.into_owned(), version.as_str().unwrap_or_default().into_owned()))
            .collect();
        resources
            .sort_by_key(|resource: &Resource| TYPES.iter().position(|name| *name == resource.resource_type));
        let version = text("version").unwrap_or_default();
        Ok(Self { name, version, dependencies, resources, unnamed })
    }
}

/// What is in a file of a package.
enum Found {
    Resource(Resource),
    /// One without an address.
    Unnamed(String),
    /// Something that is not written.
    Other,
}

/// A conformance resource from its file.
fn resource(name: &str, bytes: Vec<u8>) -> Result<Found, String> {
    let document = Document::parse(bytes, &Limits::default()).map_err(|error| format!("{name}: {error}"))?;
    let root = document.root();
    let text = |name: &str| root.get(name).and_then(Value::as_str).map(|text| text.into_owned());
    let kind = text("resourceType").and_then(|kind| TYPES.iter().find(|known| **known == kind));
    let (Some(resource_type), Kind::Object) = (kind, root.kind()) else { return Ok(Found::Other) };
    let Some(url) = text("url") else { return Ok(Found::Unnamed(format!("{resource_type} in {name}"))) };
    let version = text("version");
    let mut splice = Splice::new();
    splice.remove_members(root, &["id"]);
    let body = splice.apply_to(&document).map_err(|error| format!("{name}: {error}"))?;
    Ok(Found::Resource(Resource { resource_type, url, version, body }))
}

#[cfg(test)]
mod tests;
