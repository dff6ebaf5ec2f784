//! Tests of the settings: sources, precedence, and what is refused with which words.

mod fuzz;
mod schema;
mod secrets;
mod yaml;

use std::collections::BTreeSet;
use std::io::Write;

use super::*;

fn load(file: &str, environment: &[(&str, &str)], overrides: Overrides) -> Result<Settings, String> {
    read(".toml", file, environment, overrides).map(|loaded| loaded.settings)
}

/// Reads a file with a name that ends so. Its own name is `FILE` in errors.
fn read(
    suffix: &str,
    file: &str,
    environment: &[(&str, &str)],
    overrides: Overrides,
) -> Result<Loaded, String> {
    let mut handle = tempfile::Builder::new().suffix(suffix).tempfile().unwrap();
    handle.write_all(file.as_bytes()).unwrap();
    let environment = environment.iter().map(|(name, value)| (name.into(), value.into())).collect();
    let sources = Sources { file: Some(handle.path().to_owned()), environment, overrides };
    let name = handle.path().display().to_string();
    Settings::read(&sources).map_err(|error| error.to_string().replace(&name, "FILE"))
}

/// The FHIR settings of the default service.
fn fhir(settings: &Settings) -> &FhirSettings {
    &settings.workspaces["default"].services["fhir"].fhir
}

#[test]
fn nothing_configured_gives_the_defaults_on_loopback() {
    let settings = Settings::load(&Sources::default()).unwrap();
    assert_eq!(settings, Settings::default());
    assert_eq!(settings.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(fhir(&settings).bundle_entries_max, 500);
    assert!(settings.workspaces["default"].services.contains_key("fhir"));
}

#[test]
fn a_later_source_wins() {
    let file = "listen = '127.0.0.1:1'\ndata = '/file'\n[fhir]\npage_size = 20\nbundle_entries_max = 7\n";
    let environment =
        [("ANAMNESIS_LISTEN", "127.0.0.1:2"), ("ANAMNESIS_FHIR_PAGE_SIZE", "30"), ("OTHER", "x")];
    let flags = vec![("listen", "--listen", "127.0.0.1:3".into())];
    let settings = load(file, &environment, flags).unwrap();
    assert_eq!(settings.listen.port(), 3);
    assert_eq!(settings.data, PathBuf::from("/file"));
    assert_eq!((fhir(&settings).page_size, fhir(&settings).bundle_entries_max), (30, 7));
}

#[test]
fn a_mistake_in_the_file_is_told_with_its_line() {
    let unknown = load("data = 'x'\n\nlisten_on = '127.0.0.1:1'\n", &[], vec![]).unwrap_err();
    assert_eq!(unknown, "FILE:3:1: listen_on: there is no setting `listen_on` here; did you mean `listen`?");
    let nested = load("[http]\nworkers = 2\nspeed = 9\n", &[], vec![]).unwrap_err();
    assert!(
        nested.starts_with(
            "FILE:3:1: http.speed: there is no setting `speed` here; possible are `bodies_bytes"
        )
    );
    let kind = load("[http]\n\nworkers = 'many'\n", &[], vec![]).unwrap_err();
    assert_eq!(kind, "FILE:3:11: http.workers: expected a whole number that is not negative, found text");
    let syntax = load("data = 'x'\nlisten\n", &[], vec![]).unwrap_err();
    assert!(syntax.starts_with("FILE:2:"), "{syntax}");
    let service = load("[workspaces.a.services.b]\nkind = 'ftp'\n", &[], vec![]).unwrap_err();
    assert_eq!(service, "FILE:2:8: workspaces.a.services.b.kind: `ftp` is not possible; possible are `fhir`");
}

#[test]
fn every_mistake_is_told_at_once() {
    let file = "listen = 7\n[http]\nworker = 3\nworkers = -1\n[fhir]\nvalidation = 'strict'\n\
                [workspaces.a.services.one]\nkind = 'fhir'\n[workspaces.a.services.two.fhir]\npage_size = 5\n\
                [workspaces.a.serch]\nwait_ms = 1\n";
    let told =
        load(file, &[("ANAMNESIS_HTTP_KEEP_ALIVE_S", "long"), ("ANAMNESIS_X", "1")], vec![]).unwrap_err();
    let lines: BTreeSet<&str> = told.lines().collect();
    let expected = BTreeSet::from([
        "ANAMNESIS_X: there is no such setting",
        "ANAMNESIS_HTTP_KEEP_ALIVE_S: expected a whole number that is not negative, found text",
        "FILE:1:10: listen: expected text, found a whole number",
        "FILE:3:1: http.worker: there is no setting `worker` here; did you mean `workers`?",
        "FILE:4:11: http.workers: expected a whole number that is not negative, found -1",
        "FILE:6:14: fhir.validation: `strict` is not possible; possible are `base`, `off`, `profiles`",
        "FILE:9:24: workspaces.a.services.two: `kind` is missing",
        "FILE:11:15: workspaces.a.serch: there is no setting `serch` here; did you mean `search`?",
    ]);
    assert_eq!(lines, expected, "{told}");
    assert_eq!(told.lines().count(), expected.len(), "each once");
}

#[test]
fn a_service_has_what_it_does_not_say_itself_from_above() {
    let file = "[fhir]\npage_size = 20\nvalidation = 'off'\n[fhir.versioning.types]\nDevice = 'no-version'\n\
                [feed]\nreplicas = 3\n\
                [workspaces.a.fhir]\npage_size = 30\n[workspaces.a.search]\nwait_ms = 7\n\
                [workspaces.a.services.one]\nkind = 'fhir'\n\
                [workspaces.a.services.two]\nkind = 'fhir'\nfhir = { page_size = 40, versioning.default = 'versioned-update' }\n\
                [workspaces.b.feed]\nage_max_days = 9\n";
    let settings = load(file, &[("ANAMNESIS_FHIR_BUNDLE_ENTRIES_MAX", "9")], vec![]).unwrap();
    let (a, b) = (&settings.workspaces["a"], &settings.workspaces["b"]);
    let page_sizes =
        [&a.services["one"], &a.services["two"], &b.services["fhir"]].map(|service| service.fhir.page_size);
    assert_eq!(page_sizes, [30, 40, 20]);
    let two = &a.services["two"].fhir;
    assert_eq!((two.bundle_entries_max, two.validation), (9, ValidationSetting::Off));
    assert_eq!(two.versioning.default, VersioningPolicy::VersionedUpdate);
    assert_eq!(two.versioning.types["Device"], VersioningPolicy::NoVersion);
    assert_eq!((a.search.wait_ms, a.services["one"].search.wait_ms, b.search.wait_ms), (7, 7, 500));
    assert_eq!((a.feed.replicas, b.feed.replicas, b.feed.age_max_days), (3, 3, 9));
    // What one service says does not reach another, nor the index that they share.
    let own = load(
        &format!("{file}[workspaces.a.services.three]\nkind = 'fhir'\nsearch.full_text = true\n"),
        &[],
        vec![],
    );
    assert!(
        own.unwrap_err()
            .contains("FILE:21:20: workspaces.a.services.three.search.full_text: belongs to the workspace")
    );
}

#[test]
fn a_mistake_elsewhere_is_told_with_its_origin() {
    let unknown = load("", &[("ANAMNESIS_LISTEM", "x")], vec![]).unwrap_err();
    assert_eq!(unknown, "ANAMNESIS_LISTEM: there is no such setting");
    let kind = load("", &[("ANAMNESIS_HTTP_WORKERS", "many")], vec![]).unwrap_err();
    assert!(
        kind.starts_with("ANAMNESIS_HTTP_WORKERS: expected a whole number that is not negative, found text"),
        "{kind}"
    );
    let flag = load("", &[], vec![("listen", "--listen", "8080".into())]).unwrap_err();
    assert!(flag.starts_with("--listen: invalid socket address"), "{flag}");
    let file = Sources { file: Some("/nonexistent.toml".into()), ..Sources::default() };
    let missing = Settings::load(&file).unwrap_err().to_string();
    assert!(missing.starts_with("cannot read the configuration file /nonexistent.toml: "), "{missing}");
}

#[test]
fn the_environment_reaches_every_single_setting() {
    let environment = [
        ("ANAMNESIS_DATABASE_URL", "postgresql://u@h/d"),
        ("ANAMNESIS_NATS_URL", "nats://h:4222"),
        ("ANAMNESIS_ENGINES_PROGRAMS", "/opt/engines"),
        ("ANAMNESIS_ALLOW_ANONYMOUS_NETWORK_ACCESS", "true"),
        ("ANAMNESIS_LOG_FORMAT", "json"),
        ("ANAMNESIS_HTTP_SHUTDOWN_GRACE_S", "7"),
        ("ANAMNESIS_DATA", "42"),
    ];
    let settings = load("", &environment, vec![]).unwrap();
    assert_eq!(settings.database.url, Some(Secret::new("postgresql://u@h/d")));
    assert_eq!(settings.nats.url, Some(Secret::new("nats://h:4222")));
    assert_eq!(settings.engines.programs, Some("/opt/engines".into()));
    assert!(settings.allow_anonymous_network_access);
    assert_eq!(settings.log.format, LogFormat::Json);
    assert_eq!(settings.http.shutdown_grace_s, 7);
    assert_eq!(settings.data, PathBuf::from("42"), "a text that looks like a number stays a text");
}

#[test]
fn the_network_is_refused_without_authentication() {
    for address in ["0.0.0.0:8080", "[::]:80", "192.168.1.5:8080", "[::ffff:10.0.0.1]:80"] {
        let refused = load(&format!("listen = '{address}'"), &[], vec![]).unwrap_err();
        assert!(refused.contains("no authentication is configured"), "{address}: {refused}");
        load(&format!("listen = '{address}'\nallow_anonymous_network_access = true"), &[], vec![]).unwrap();
    }
    for address in ["127.0.0.1:0", "127.9.9.9:80", "[::1]:8080", "[::ffff:127.0.0.1]:80"] {
        load(&format!("listen = '{address}'"), &[], vec![]).unwrap();
    }
}

#[test]
fn names_that_cannot_stand_in_addresses_and_zero_limits_are_refused() {
    for name in ["Upper", "with.dot", "", "1st", "ü", "a b", "*"] {
        let file = format!("[workspaces.\"{name}\".services.fhir]\nkind = 'fhir'\n");
        assert!(load(&file, &[], vec![]).unwrap_err().contains("workspace name"), "{name}");
    }
    assert!(load("[workspaces.a]\nservices = {}\n", &[], vec![]).unwrap_err().contains("no service"));
    assert!(load("workspaces = {}\n", &[], vec![]).unwrap_err().contains("at least one workspace"));
    assert!(load("[http]\nworkers = 0\n", &[], vec![]).unwrap_err().contains("http.workers"));
    for (table, key) in [
        ("actors", "queue_max"),
        ("actors", "resident_max"),
        ("actors", "memory_bytes_max"),
        ("http", "bodies_bytes_max"),
        ("feed", "replicas"),
        ("feed", "age_max_days"),
        ("feed", "bytes_max"),
    ] {
        let refused = load(&format!("[{table}]\n{key} = 0\n"), &[], vec![]).unwrap_err();
        assert!(refused.contains(&format!("{table}.{key}: must be at least 1")), "{refused}");
    }
    assert!(load("[fhir]\npage_size = 2000\n", &[], vec![]).unwrap_err().contains("page_size_max"));
}

#[test]
fn addresses_with_passwords_are_not_shown() {
    let environment = [
        ("ANAMNESIS_DATABASE_URL", "postgresql://u:geheim@h/d"),
        ("ANAMNESIS_NATS_URL", "nats://x:geheim@h"),
    ];
    let shown = format!("{:?}", load("", &environment, vec![]).unwrap());
    assert!(!shown.contains("geheim"), "{shown}");
}

#[test]
fn variables_that_others_make_are_passed_by() {
    let environment = [
        ("ANAMNESIS_SERVICE_HOST", "10.0.0.1"),
        ("ANAMNESIS_PORT_8080_TCP", "tcp://10.0.0.1:8080"),
        ("ANAMNESIS_CORPUS", "/corpus"),
    ];
    assert_eq!(load("", &environment, vec![]).unwrap(), Settings::default());
}

#[test]
fn versioning_is_set_by_type() {
    let file = "[fhir]\nupdate_creates = false\n[fhir.versioning]\ndefault = 'versioned-update'\n\
                [fhir.versioning.types]\nObservation = 'versioned'\nDevice = 'no-version'\n";
    let settings = load(file, &[], vec![]).unwrap();
    let fhir = fhir(&settings);
    assert!(!fhir.update_creates);
    assert_eq!(fhir.versioning.default, VersioningPolicy::VersionedUpdate);
    assert_eq!(fhir.versioning.types["Observation"], VersioningPolicy::Versioned);
    assert_eq!(fhir.versioning.types["Device"], VersioningPolicy::NoVersion);
    let environment = [("ANAMNESIS_FHIR_VERSIONING_DEFAULT", "versioned-update")];
    assert_eq!(
        self::fhir(&load("", &environment, vec![]).unwrap()).versioning.default,
        VersioningPolicy::VersionedUpdate
    );
    let unknown = load("[fhir.versioning.types]\nPatiant = 'versioned'\n", &[], vec![]).unwrap_err();
    assert_eq!(unknown, "FILE:2:11: fhir.versioning.types.Patiant: `Patiant` is no resource type of R4");
    let policy = load("[fhir.versioning]\ndefault = 'sometimes'\n", &[], vec![]).unwrap_err();
    assert!(
        policy.starts_with("FILE:2:11: fhir.versioning.default: `sometimes` is not possible"),
        "{policy}"
    );
}

const AUTHORITY: &str =
    "[authenticationConfiguration]\nauthority = 'https://id.example'\naudience = 'https://fhir.example'\n";

#[test]
fn with_an_authority_for_every_service_any_address_will_do() {
    let settings = load(&format!("listen = '0.0.0.0:80'\n{AUTHORITY}"), &[], vec![]).unwrap();
    assert!(settings.authenticates());
    let own = &settings.workspaces["default"].services["fhir"].authentication;
    assert_eq!(own.authority.as_deref(), Some("https://id.example"));
    assert_eq!(own.audiences(Some("https://other.example")), ["https://fhir.example"]);
    let file = "listen = '0.0.0.0:80'\n[workspaces.a.services.one]\nkind = 'fhir'\n[workspaces.b.services.two]\n\
        kind = 'fhir'\nauthenticationConfiguration = { authority = 'https://id.example', audience = 'x' }\n";
    let message = load(file, &[], vec![]).unwrap_err();
    assert!(message.contains("no authentication is configured for a/one, so everybody"), "{message}");
}

#[test]
fn azures_names_are_taken() {
    let file = "[workspaces.a]\nrole_assignments = [{ role = 'FHIR Data Reader', principalId = 'x', \
        principalType = 'Group' }]\n[workspaces.a.services.one]\nkind = 'fhir'\n[workspaces.a.services.one.\
        authenticationConfiguration]\nauthority = 'https://id.example'\naudience = 'y'\nsmartProxyEnabled = false\n";
    let settings = load(file, &[], vec![]).unwrap();
    let workspace = &settings.workspaces["a"];
    assert_eq!(workspace.role_assignments[0].principal_type, PrincipalType::Group);
    assert!(workspace.services["one"].authentication.is_configured());
}

#[test]
fn services_that_share_data_are_guarded_alike() {
    let file = "[workspaces.a.services.one]\nkind = 'fhir'\n[workspaces.a.services.two]\nkind = 'fhir'\n\
        authenticationConfiguration = { authority = 'https://id.example', audience = 'x' }\n";
    let message = load(file, &[], vec![]).unwrap_err();
    assert!(message.contains("workspaces.a.services.one") && message.contains("`two`"), "{message}");
}

#[test]
fn roles_that_cannot_be_had_are_told_with_their_place() {
    let roles = |at: &str, role: &str| {
        let kind = if at.contains("services") { "" } else { "[workspaces.a.services.one]\nkind = 'fhir'\n" };
        let own = if kind.is_empty() { "kind = 'fhir'\n" } else { "" };
        let file = format!(
            "{AUTHORITY}[{at}]\n{own}role_assignments = [\n  {{ role = 'FHIR Data Reader', principalId = 'a', principalType = \
             'User' }},\n  {{ role = '{role}', principalId = 'a', principalType = 'User' }},\n]\n{kind}"
        );
        load(&file, &[], vec![]).map(|_| ())
    };
    let of_service = "workspaces.a.services.one";
    assert_eq!(roles("workspaces.a", "Auditor"), Ok(()));
    assert_eq!(roles("workspaces.a", "DICOM Data Reader"), Ok(()));
    assert_eq!(roles(of_service, "FHIR Data Contributor"), Ok(()));
    let unknown = roles("workspaces.a", "FHIR Data Owner").unwrap_err();
    assert!(unknown.starts_with("FILE:7:"), "{unknown}");
    assert!(
        unknown.contains("there is no role `FHIR Data Owner`; possible are `FHIR Data Reader`"),
        "{unknown}"
    );
    let other = roles(of_service, "DICOM Data Reader").unwrap_err();
    assert!(
        other.contains("role_assignments") && other.contains("no role of a service of this kind"),
        "{other}"
    );
    let of_workspace = roles(of_service, "Operator").unwrap_err();
    assert!(of_workspace.contains("is a role of the workspace"), "{of_workspace}");
}

#[test]
fn an_authority_that_cannot_be_trusted_is_refused() {
    for (own, words) in [
        ("authority = 'http://id.example'\naudience = 'x'", "must be https"),
        ("authority = 'id.example'\naudience = 'x'", "is no address"),
        ("authority = 'https://u:p@id.example'\naudience = 'x'", "has no query"),
        ("authority = 'https://id.example'", "is missing"),
        (
            "authority = 'https://id.example'\naudience = 'x'\nalgorithms = ['HS256']",
            "Shared secrets and `none`",
        ),
        ("authority = 'https://id.example'\naudience = 'x'\nalgorithms = ['none']", "`none` is not accepted"),
        ("authority = 'https://id.example'\naudience = 'x'\nalgorithms = []", "at least one"),
        ("authority = 'https://id.example'\naudience = 'x'\nclock_skew_s = 301", "at most 300"),
        ("authority = 'https://id.example'\naudience = 'x'\nkeys_refresh_s = 0", "at least 1"),
        (
            "authority = 'https://id.example'\naudience = 'x'\nissuers = ['https://a/{tenantid}/']",
            "no tenants",
        ),
        (
            "authority = 'https://id.example'\naudience = 'x'\napp_roles = { a = 'Reader' }",
            "no role `Reader`",
        ),
    ] {
        let message = load(&format!("[authenticationConfiguration]\n{own}\n"), &[], vec![]).unwrap_err();
        assert!(message.contains(words), "{own}: {message}");
    }
    for address in
        ["http://127.0.0.1:9/realm", "http://localhost:1", "http://[::1]:2", "https://id.example/a"]
    {
        let file = format!("[authenticationConfiguration]\nauthority = '{address}'\naudience = 'x'\n");
        assert!(load(&file, &[], vec![]).is_ok(), "{address}");
    }
}

#[test]
fn an_app_that_makes_no_sense_is_refused_with_its_place() {
    let app = |own: &str| {
        let file = format!(
            "authenticationConfiguration.smartProxyEnabled = true\n[[smart.clients]]\nclient_id = 'a'\nclient_name = 'A'\n{own}\n"
        );
        load(&file, &[], vec![]).map(|_| ()).map_err(|error| error.clone())
    };
    let secret = "client_secret = 'abcdefghijklmnopqrstuvwxyz012345'";
    for own in [
        "scope = 'patient/*.rs system/*.rs'\nredirect_uris = ['https://a.example/back?x=1', 'http://127.0.0.1/b']",
        "scope = 'patient/*.read'\nredirect_uris = ['org.example.app:/back']",
        &format!("scope = 'system/*.rs'\ntoken_endpoint_auth_method = 'client_secret_basic'\n{secret}"),
        "scope = 'system/*.rs'\ntoken_endpoint_auth_method = 'private_key_jwt'\njwks_uri = 'https://a.example/keys'",
    ] {
        assert_eq!(app(own), Ok(()), "{own}");
    }
    for (own, words) in [
        ("scope = 'patient/*.rs patients'\nredirect_uris = ['https://a.example']", "2. of them is no scope"),
        ("scope = 'patient/*.rs'\nredirect_uris = ['http://a.example']", "must be https"),
        ("scope = 'patient/*.rs'\nredirect_uris = ['https://a.example#x']", "has no fragment"),
        ("scope = 'patient/*.rs'\nredirect_uris = ['javascript:alert(1)']", "with a dot in it"),
        ("scope = 'patient/*.rs'", "says who it is"),
        (
            "scope = 'system/*.rs'\ntoken_endpoint_auth_method = 'client_secret_post'",
            "`client_secret` is missing",
        ),
        ("scope = 'system/*.rs'\ntoken_endpoint_auth_method = 'private_key_jwt'", "`jwks_uri` is needed"),
        (
            "scope = 'system/*.rs'\ntoken_endpoint_auth_method = 'client_secret_post'\nclient_secret = 'short'",
            "fewer than 32",
        ),
        (
            "scope = 'x'\ngrant_types = ['authorization_code']\ntoken_endpoint_auth_method = 'none'",
            "would not get back",
        ),
    ] {
        let message = app(own).unwrap_err();
        assert!(message.contains(words) && message.contains("smart.clients"), "{own}: {message}");
    }
}

#[test]
fn who_signs_people_in_has_an_address_of_its_own() {
    let file = |url: &str| {
        format!(
            "listen = '0.0.0.0:80'\n[workspaces.a.services.one]\nkind = 'fhir'\n{url}\n\
             authenticationConfiguration = {{ smartProxyEnabled = true }}\n"
        )
    };
    assert!(load(&file("public_url = 'https://a.example/fhir'"), &[], vec![]).is_ok());
    let message = load(&file(""), &[], vec![]).unwrap_err();
    assert!(message.contains("needs the `public_url`"), "{message}");
    let message = load(&file("public_url = 'http://a.example/fhir'"), &[], vec![]).unwrap_err();
    assert!(message.contains("people sign in there"), "{message}");
}
