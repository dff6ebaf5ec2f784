//! Settings that change while the server runs: SIGHUP takes over what can change, and says what cannot.

use std::io::{Read, Write};
use std::net::TcpStream;

use rustix::process::Signal;

use crate::authority::{Authority, Key, bearer};
use crate::support::{PATIENCE, Server, folder, serve};

const APP: &str = "https://app.example";

fn configuration(cors: &str, listen: &str) -> String {
    format!(
        "{listen}\n[workspaces.default.services.fhir]\nkind = 'fhir'\ncorsConfiguration.allowedOrigins = [{cors}]\n"
    )
}

fn is_allowed(server: &Server) -> bool {
    let headers = format!("Origin: {APP}\r\n");
    let answer = server.exchange_with("GET", "/default/fhir/metadata", &headers, "").unwrap();
    answer.to_lowercase().contains(&format!("access-control-allow-origin: {APP}"))
}

#[test]
fn a_hangup_takes_over_what_can_change_and_names_what_cannot() {
    let data = folder();
    let file = data.path().join("anamnesis.toml");
    std::fs::write(&file, configuration("", "")).unwrap();
    let mut command = serve(data.path());
    command.arg("--config").arg(&file);
    let mut server = Server::start_with(command, data.path());
    assert!(!is_allowed(&server));
    let allowed = format!("'{APP}'");
    std::fs::write(&file, configuration(&allowed, "[feed]\nreplicas = 1\nage_max_days = 3")).unwrap();
    server.signal(Signal::HUP);
    let line = server.wait_for_output("the configuration was read again");
    assert!(line.contains("some of it needs a restart"), "{line}");
    assert!(line.contains("workspaces.default.services.fhir.corsConfiguration.allowedOrigins"), "{line}");
    assert!(line.contains("workspaces.default.feed.age_max_days"), "{line}");
    assert!(is_allowed(&server));
    // What is wrong changes nothing, and says why.
    std::fs::write(&file, configuration("", "[fede]")).unwrap();
    server.signal(Signal::HUP);
    let line = server.wait_for_output("everything stays as it was");
    assert!(
        line.contains("anamnesis.toml:1:2: fede: there is no setting `fede` here; did you mean `feed`?"),
        "{line}"
    );
    assert!(is_allowed(&server));
    std::fs::write(&file, configuration("", "[log]\nfilter = 'error'")).unwrap();
    server.signal(Signal::HUP);
    crate::support::until("the origin is not allowed any more", || (!is_allowed(&server)).then_some(()));
    server.stop_in_order();
}

#[test]
fn roles_and_rates_change_without_a_restart() {
    let key = Key::new("one");
    let authority = Authority::start(&[&key]);
    let data = folder();
    let file = data.path().join("anamnesis.toml");
    let write = |rest: &str| {
        let text = format!(
            "[authenticationConfiguration]\nauthority = '{}'\naudience = '{}'\n{rest}\n\
             [workspaces.default.services.fhir]\nkind = 'fhir'\n",
            authority.address,
            crate::authority::AUDIENCE
        );
        std::fs::write(&file, text).unwrap();
    };
    write("");
    let mut command = serve(data.path());
    command.arg("--config").arg(&file);
    let mut server = Server::start_with(command, data.path());
    let header = format!("Authorization: {}\r\n", bearer(&key.sign(&authority.claims("ann"))));
    let asked = |server: &Server| {
        let answer = server.exchange_with("GET", "/default/fhir/Patient", &header, "").unwrap();
        answer.split(' ').nth(1).unwrap().to_owned()
    };
    assert_eq!(asked(&server), "403");
    let role = "[[workspaces.default.role_assignments]]\nrole = 'FHIR Data Reader'\nprincipalId = 'ann'\n\
                principalType = 'User'";
    write(role);
    server.signal(Signal::HUP);
    let line = server.wait_for_output("the configuration was read again");
    assert!(line.contains("workspaces.default.role_assignments") && !line.contains("restart"), "{line}");
    assert_eq!(asked(&server), "200");
    write(&format!("[limits]\nprincipal_requests_per_second = 1\n{role}"));
    server.signal(Signal::HUP);
    server.wait_for_output("the configuration was read again");
    assert!((0..20).map(|_| asked(&server)).any(|status| status == "429"));
    write("[audit.alerts]\nrefused_max = 3");
    server.signal(Signal::HUP);
    let line = server.wait_for_output("the configuration was read again");
    assert!(line.contains("audit.alerts.refused_max"), "{line}");
    assert_eq!(asked(&server), "403", "who has lost a role has lost it, whatever was known of the token");
    server.stop_in_order();
}

#[test]
fn a_head_that_does_not_arrive_loses_its_connection() {
    let data = folder();
    let mut command = serve(data.path());
    command.env("ANAMNESIS_HTTP_HEADER_TIMEOUT_S", "1");
    let mut server = Server::start_with(command, data.path());
    let mut slow: Vec<TcpStream> = (0..20).map(|_| TcpStream::connect(&server.address).unwrap()).collect();
    for stream in &mut slow {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(b"GET /default/fhir/metadata HTTP/1.1\r\nHost: a\r\nX-Slow: ").unwrap();
    }
    assert_eq!(
        server.get("/health/live").map(|(status, _)| status),
        Some(200),
        "others are served meanwhile"
    );
    for stream in &mut slow {
        let mut answer = String::new();
        // Closed by the server: by a read that ends, or one that fails because it was reset.
        let _reset = stream.read_to_string(&mut answer);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
    }
    server.stop_in_order();
}
