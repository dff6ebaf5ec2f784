//! Every interaction and operation with every role, compared with the table in docs/security.md.

use anamnesis::access::Role;
use anamnesis::api::offered;

use crate::support::authority::{Authority, Key, bearer};
use crate::support::{Server, Setup, runtime, test_with};

/// A header and its value.
type Sent = (&'static str, &'static str);

/// What depends on more than the place: the same paths with something else said.
const BESIDE: [(&str, &str, &[Sent]); 14] = [
    ("POST", "/Patient", &[("If-None-Exist", "identifier=1")]),
    ("PUT", "/Patient/1", &[("If-Match", "W/\"1\"")]),
    ("DELETE", "/Patient/1?hardDelete=true", &[]),
    ("DELETE", "/Patient/1?_hardDelete=true", &[]),
    ("DELETE", "/Patient?identifier=1&hardDelete=true", &[]),
    ("DELETE", "/Patient/1?hardDelete=maybe", &[]),
    ("POST", "/SearchParameter", &[]),
    ("PUT", "/SearchParameter/1", &[]),
    ("DELETE", "/SearchParameter/1", &[]),
    ("PUT", "/StructureDefinition/1", &[]),
    ("PATCH", "/ValueSet/1", &[]),
    ("POST", "/CodeSystem", &[]),
    ("POST", "/Subscription", &[]),
    ("GET", "/Patient?_explain=true", &[]),
];

/// What a workspace has beside its services.
const OF_WORKSPACE: [(&str, &str); 9] = [
    ("GET", "/$actors"),
    ("GET", "/$events"),
    ("GET", "/$projections"),
    ("POST", "/$rebuild"),
    ("DELETE", "/$rebuild"),
    ("POST", "/$unpark"),
    ("GET", "/audit/AuditEvent"),
    ("GET", "/audit/AuditEvent/1"),
    ("GET", "/audit/$verify"),
];

/// The column headings of the table, with their roles.
const COLUMNS: [(&str, Role); 10] = [
    ("Reader", Role::FhirDataReader),
    ("Writer", Role::FhirDataWriter),
    ("Contributor", Role::FhirDataContributor),
    ("Exporter", Role::FhirDataExporter),
    ("Importer", Role::FhirDataImporter),
    ("Converter", Role::FhirDataConverter),
    ("Bulk Operator", Role::FhirDataBulkOperator),
    ("SMART User", Role::FhirSmartUser),
    ("Auditor", Role::Auditor),
    ("Operator", Role::Operator),
];

/// A request of the table.
struct Asked {
    shown: String,
    method: String,
    path: String,
    is_of_workspace: bool,
    headers: Vec<Sent>,
}

fn all() -> Vec<Asked> {
    let of_service = |method: &str, path: &str, headers: &[Sent]| {
        let said: String = headers.iter().map(|(name, _)| format!(" with `{name}`")).collect();
        let place = if path.is_empty() { "/" } else { path };
        let method = method.to_owned();
        Asked {
            shown: format!("`{method} {place}`{said}"),
            method,
            path: path.to_owned(),
            is_of_workspace: false,
            headers: headers.to_vec(),
        }
    };
    let mut all: Vec<Asked> = offered().iter().map(|one| of_service(&one.method, &one.path, &[])).collect();
    all.dedup_by(|a, b| a.shown == b.shown);
    all.extend(BESIDE.iter().map(|(method, path, headers)| of_service(method, path, headers)));
    all.extend(OF_WORKSPACE.iter().map(|(method, path)| Asked {
        shown: format!("`{method} /{{workspace}}{path}`"),
        method: (*method).to_owned(),
        path: (*path).to_owned(),
        is_of_workspace: true,
        headers: Vec::new(),
    }));
    all
}

/// Whether a request is let through: whatever comes of it then.
async fn is_allowed(server: &Server, asked: &Asked, token: &str) -> bool {
    let line = bearer(token);
    let mut headers = vec![("Authorization", &*line), ("Content-Type", content_type(asked))];
    headers.extend(asked.headers.iter().copied());
    let answer = match asked.is_of_workspace {
        true => server.workspace(&asked.method, &asked.path, &headers, "{").await,
        false => server.send(&asked.method, &asked.path, &headers, "{").await,
    };
    assert_ne!(answer.status, 401, "{}: {}", asked.shown, answer.text());
    if answer.status == 403 {
        let text = answer.text();
        assert_eq!(answer.json()["issue"][0]["code"], "forbidden", "{}: {text}", asked.shown);
        if asked.path.contains("_explain") {
            return false;
        }
        assert!(text.contains("data action"), "{}: {text}", asked.shown);
        assert_eq!(answer.header("www-authenticate"), "Bearer error=\"insufficient_scope\"");
        return false;
    }
    true
}

fn content_type(asked: &Asked) -> &'static str {
    match asked.path.ends_with("_search") {
        true => "application/x-www-form-urlencoded",
        false => "application/json",
    }
}

#[test]
fn every_request_with_every_role_is_as_the_documentation_says() {
    let key = Key::new("one");
    let authority = Authority::start(&[&key]);
    let gate = runtime().block_on(async { authority.gate() });
    test_with(Setup { gate: Some(gate), ..Setup::default() }, |server| async move {
        let token = |role: Role| key.sign(&authority.claims(role.name()));
        let mut lines = Vec::new();
        for asked in all() {
            let mut line = format!("| {} |", asked.shown);
            for (_, role) in COLUMNS {
                let mark = if is_allowed(&server, &asked, &token(role)).await { " x |" } else { " |" };
                line.push_str(mark);
            }
            // Those of other services have no business here, but what is open to everybody.
            let is_open = ["metadata", "$versions"].iter().any(|open| asked.path.ends_with(open));
            // A bundle may be sent; what is in it may not be done.
            let is_bundle = asked.method == "POST" && asked.path.is_empty();
            for role in Role::all().filter(|role| !COLUMNS.iter().any(|(_, known)| known == role)) {
                let allowed = is_allowed(&server, &asked, &token(role)).await;
                assert_eq!(allowed, is_open || is_bundle, "{role}: {}", asked.shown);
            }
            lines.push(line);
        }
        let head: String = COLUMNS.iter().map(|(name, _)| format!(" {name} |")).collect();
        let table =
            format!("| request |{head}\n|---|{}\n{}\n", "---|".repeat(COLUMNS.len()), lines.join("\n"));
        let documented = include_str!("../../docs/security.md");
        assert!(documented.contains(&table), "docs/security.md should have this table:\n{table}");
    });
}
