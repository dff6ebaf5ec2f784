//! Settings that change while the server runs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;
use tokio::sync::watch;

use super::settings::Settings;

/// The settings that hold now. Whoever serves by a setting that may change reads it from here, or waits for changes.
#[derive(Debug)]
pub struct Live(watch::Sender<Arc<Settings>>);

/// What became of settings that were read again, by their paths.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reloaded {
    /// What holds from now on.
    pub taken: Vec<String>,
    /// What would hold after a restart.
    pub waiting: Vec<String>,
}

impl Live {
    /// Settings that a server starts with.
    #[must_use]
    pub fn new(settings: Settings) -> Live {
        Live(watch::Sender::new(Arc::new(settings)))
    }

    /// What holds now.
    #[must_use]
    pub fn now(&self) -> Arc<Settings> {
        self.0.borrow().clone()
    }

    /// What holds, and each change of it.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Arc<Settings>> {
        self.0.subscribe()
    }

    /// Takes over what can change while the server runs.
    pub fn reload(&self, new: &Settings) -> Reloaded {
        let old = self.now();
        let next = taken_over(&old, new);
        let mut waiting = difference(&next, new);
        // Secrets hide themselves from a comparison of what is shown.
        if waiting.is_empty() && next != *new {
            waiting.push("a secret".to_owned());
        }
        let taken = difference(&old, &next);
        if !taken.is_empty() {
            self.0.send_replace(Arc::new(next));
        }
        Reloaded { taken, waiting }
    }
}

/// The old settings with those of the new ones that can change while the server runs: one line for each.
fn taken_over(old: &Settings, new: &Settings) -> Settings {
    let mut next = old.clone();
    next.log.filter.clone_from(&new.log.filter);
    next.http.url_bytes_max = new.http.url_bytes_max;
    next.http.headers_max = new.http.headers_max;
    next.http.header_bytes_max = new.http.header_bytes_max;
    next.http.request_timeout_s = new.http.request_timeout_s;
    if let (Some(next), Some(new)) = (&mut next.http.tls, &new.http.tls) {
        next.strict_transport_s = new.strict_transport_s;
    }
    for (name, workspace) in &mut next.workspaces {
        let Some(new) = new.workspaces.get(name) else { continue };
        workspace.limits.clone_from(&new.limits);
        workspace.role_assignments.clone_from(&new.role_assignments);
        workspace.authentication.app_roles.clone_from(&new.authentication.app_roles);
        workspace.audit.alerts.clone_from(&new.audit.alerts);
        for (name, service) in &mut workspace.services {
            let Some(new) = new.services.get(name) else { continue };
            service.cors.clone_from(&new.cors);
            service.role_assignments.clone_from(&new.role_assignments);
            service.authentication.app_roles.clone_from(&new.authentication.app_roles);
        }
    }
    next
}

/// The paths of what is not the same.
fn difference(one: &Settings, other: &Settings) -> Vec<String> {
    let (one, other) = (flat(one), flat(other));
    let paths: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
    paths.into_iter().filter(|path| one.get(*path) != other.get(*path)).cloned().collect()
}

fn flat(settings: &Settings) -> BTreeMap<String, Value> {
    let mut flat = BTreeMap::new();
    let value = serde_json::to_value(settings).unwrap_or_default();
    flatten("", value, &mut flat);
    flat
}

fn flatten(path: &str, value: Value, flat: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(values) => {
            for (name, value) in values {
                let path = if path.is_empty() { name } else { format!("{path}.{name}") };
                flatten(&path, value, flat);
            }
        }
        value => drop(flat.insert(path.to_owned(), value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_change_does_and_the_rest_is_named() {
        let live = Live::new(Settings::default());
        let watch = live.watch();
        let mut new = Settings::default();
        assert_eq!(live.reload(&new), Reloaded::default());
        assert!(!watch.has_changed().unwrap(), "nothing has");
        new.log.filter = "debug".to_owned();
        new.listen.set_port(9);
        let workspace = new.workspaces.get_mut("default").unwrap();
        workspace.limits.requests_per_second = Some(5);
        workspace.feed.replicas = 3;
        let cors = &mut workspace.services.get_mut("fhir").unwrap().cors;
        cors.allowed_origins = vec!["https://a.example".to_owned()];
        let reloaded = live.reload(&new);
        let fhir = "workspaces.default.services.fhir";
        let cors = format!("{fhir}.corsConfiguration.allowedOrigins");
        assert_eq!(
            reloaded.taken,
            ["log.filter", "workspaces.default.limits.requests_per_second", cors.as_str()]
        );
        assert_eq!(reloaded.waiting, ["listen", "workspaces.default.feed.replicas"]);
        assert!(watch.has_changed().unwrap());
        let now = live.now();
        assert_eq!(
            (now.listen.port(), now.workspaces["default"].limits.requests_per_second),
            (8080, Some(5))
        );
    }

    #[test]
    fn roles_and_alerts_can_change_and_whose_tokens_are_taken_cannot() {
        use crate::config::{PrincipalType, RoleAssignment};
        let live = Live::new(Settings::default());
        let mut new = Settings::default();
        let assigned = || {
            let (role, principal) = ("FHIR Data Reader".to_owned(), "ann".to_owned());
            vec![RoleAssignment { role, principal, principal_type: PrincipalType::User }]
        };
        let workspace = new.workspaces.get_mut("default").unwrap();
        (workspace.role_assignments, workspace.audit.alerts.refused_max) = (assigned(), 3);
        workspace.audit.retention_days = 9;
        let service = workspace.services.get_mut("fhir").unwrap();
        service.role_assignments = assigned();
        service.authentication.app_roles.insert("reader".to_owned(), "FHIR Data Reader".to_owned());
        service.authentication.authority = Some("https://id.example".to_owned());
        let reloaded = live.reload(&new);
        let of = |path: &str| format!("workspaces.default.{path}");
        let taken = [
            "audit.alerts.refused_max",
            "role_assignments",
            "services.fhir.authenticationConfiguration.app_roles.reader",
            "services.fhir.role_assignments",
        ];
        assert_eq!(reloaded.taken, taken.map(of));
        let waiting = ["audit.retention_days", "services.fhir.authenticationConfiguration.authority"];
        assert_eq!(reloaded.waiting, waiting.map(of));
        assert_eq!(live.now().workspaces["default"].services["fhir"].role_assignments, assigned());
    }

    #[test]
    fn a_secret_and_a_workspace_wait_for_a_restart() {
        let live = Live::new(Settings::default());
        let mut new = Settings::default();
        new.workspaces.insert("other".to_owned(), super::super::WorkspaceSettings::default());
        let reloaded = live.reload(&new);
        assert!(reloaded.taken.is_empty());
        assert!(reloaded.waiting.iter().all(|path| path.starts_with("workspaces.other.")), "{reloaded:?}");
        assert!(!live.now().workspaces.contains_key("other"));
        let mut old = Settings::default();
        old.nats.url = Some(super::super::Secret::new("nats://a"));
        new = old.clone();
        new.nats.url = Some(super::super::Secret::new("nats://b"));
        assert_eq!(Live::new(old).reload(&new).waiting, ["a secret"]);
    }
}
