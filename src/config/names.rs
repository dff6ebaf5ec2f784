//! Azure's names for what has a name of ours, and the spellings of which it has two.

use super::problem::Problem;
use super::tree::{Node, Table};

/// Azure's section for versions, which is `fhir.versioning` here.
pub(super) const VERSION_POLICY: &str = "resourceVersionPolicyConfiguration";
/// Its table of types.
pub(super) const TYPE_OVERRIDES: &str = "resourceTypeOverrides";
/// Names of `corsConfiguration` in templates, and those of Azure's documentation, which are used here.
pub(super) const OF_CORS: [(&str, &str); 3] =
    [("origins", "allowedOrigins"), ("headers", "allowedHeaders"), ("methods", "allowedMethods")];

/// Gives everything its one name, at the top of the file, in workspaces and in services.
pub(super) fn unify(root: &mut Node, problems: &mut Vec<Problem>) {
    let Some(top) = root.table_mut() else { return };
    unify_level(top, problems);
    for workspace in inner(top, "workspaces") {
        unify_level(workspace, problems);
        for service in inner(workspace, "services") {
            unify_level(service, problems);
        }
    }
}

fn inner<'t>(table: &'t mut Table, name: &str) -> impl Iterator<Item = &'t mut Table> {
    let inner = table.get_mut(name).and_then(Node::table_mut);
    inner.into_iter().flat_map(|table| &mut table.0).filter_map(|entry| entry.node.table_mut())
}

fn unify_level(level: &mut Table, problems: &mut Vec<Problem>) {
    if let Some(cors) = level.get_mut("corsConfiguration").and_then(Node::table_mut) {
        for (name, ours) in OF_CORS {
            rename(cors, name, ours, problems);
        }
    }
    let Some(mut policy) = level.take(VERSION_POLICY) else { return };
    if let Some(policy) = policy.node.table_mut() {
        rename(policy, TYPE_OVERRIDES, "types", problems);
    }
    let fhir = level.entry("fhir", &policy.place);
    match fhir.table_or_empty() {
        Some(fhir) if fhir.get("versioning").is_none() => {
            "versioning".clone_into(&mut policy.name);
            fhir.0.push(policy);
        }
        _ => {
            let message = format!("{VERSION_POLICY} is the same as fhir.versioning; set one of them");
            problems.push(Problem::new(policy.place, message));
        }
    }
}

fn rename(table: &mut Table, name: &str, ours: &str, problems: &mut Vec<Problem>) {
    let Some(mut entry) = table.take(name) else { return };
    if table.get(ours).is_some() {
        problems
            .push(Problem::new(entry.place, format!("`{name}` is the same as `{ours}`; set one of them")));
        return;
    }
    ours.clone_into(&mut entry.name);
    table.0.push(entry);
}
