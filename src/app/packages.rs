//! The packages of the settings (`fhir.packages`): installed in every FHIR service when the server starts.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use actix_web::http::{Method, StatusCode};

use super::parts::Parts;
use crate::access::Principal;
use crate::api::{self, Body, Request, Service};
use crate::clock;
use crate::packages::{Package, Stored, Target, install};

/// Resources that were refused and are named in the log, of one package.
const REFUSED_LOGGED_MAX: usize = 20;

/// Installs all packages, one after the other, while requests are answered. What is there already is found by one
/// search for each resource and written no second time, also where two servers start at once.
pub(super) async fn install_all(parts: &Parts) {
    let mut wanted: BTreeMap<&PathBuf, Vec<&Arc<Service>>> = BTreeMap::new();
    for (workspace, settings) in &parts.settings().workspaces {
        for service in parts.services().of_workspace(workspace) {
            let own = settings.services.get(&service.name);
            for path in own.into_iter().flat_map(|own| &own.fhir.packages) {
                wanted.entry(path).or_default().push(service);
            }
        }
    }
    for (path, services) in wanted {
        let Some(package) = read(path.clone()).await else { continue };
        for service in services {
            into(service, &package).await;
        }
    }
}

/// Reads a package off the runtime's own threads: unpacking is work.
async fn read(path: PathBuf) -> Option<Package> {
    let read = tokio::task::spawn_blocking(move || Package::read(&path)).await;
    match read {
        Ok(Ok(package)) => Some(package),
        Ok(Err(error)) => {
            tracing::error!(%error, "a package of the settings cannot be installed");
            None
        }
        Err(error) => {
            tracing::error!(%error, "a package of the settings could not be read");
            None
        }
    }
}

async fn into(service: &Arc<Service>, package: &Package) {
    let report = install(package, &Own(service)).await;
    let name = format!("{}#{}", package.name, package.version);
    tracing::info!(
        package = name,
        workspace = service.workspace,
        service = service.name,
        created = report.created,
        kept = report.kept,
        refused = report.failed.len(),
        "a package is installed"
    );
    for refused in report.failed.iter().take(REFUSED_LOGGED_MAX) {
        tracing::warn!(package = name, refused, "a resource of a package was refused");
    }
}

/// A service of this server.
struct Own<'s>(&'s Arc<Service>);

impl Target for Own<'_> {
    async fn put(&self, query: &str, body: &[u8]) -> Result<Stored, String> {
        let (path, query) = query.split_once('?').unwrap_or((query, ""));
        let request = Request {
            principal: Principal::server(),
            method: Method::PUT,
            path: path.to_owned(),
            query: query.to_owned(),
            body: Body::Bytes(body.to_vec()),
            base: self.0.options.public_url.clone().unwrap_or_default(),
            correlation_id: clock::new_resource_id(),
            ..Request::default()
        };
        match api::dispatch(self.0, request).await {
            Ok(answer) if answer.status == StatusCode::CREATED => Ok(Stored::Created),
            Ok(_) => Ok(Stored::Kept),
            Err(failure) => {
                let issues = failure.issues();
                Err(issues.first().map(|issue| issue.diagnostics.to_string()).unwrap_or_default())
            }
        }
    }
}
