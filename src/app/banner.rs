//! What a person sees when the server is ready: where things are, and what to try.

use std::io::Write;
use std::net::SocketAddr;

use crate::config::LogFormat;

use super::Parts;

/// Tells that the server is ready: to a person on standard output, to machines as a log line.
pub(super) fn show(parts: &Parts, address: SocketAddr) {
    let settings = parts.settings();
    let base = base_of(settings.scheme(), address);
    if settings.log.format == LogFormat::Json {
        tracing::info!(address = %base, "ready");
        return;
    }
    let services = settings.workspaces.iter().flat_map(|(workspace, settings)| {
        settings.services.keys().map(move |service| format!("{workspace}/{service}"))
    });
    let services: Vec<String> = services.map(|path| format!("{base}/{path}")).collect();
    let first = services.first().map_or(base.as_str(), String::as_str);
    let mut lines = vec![format!("\nAnamnesis {} is ready.\n", env!("CARGO_PKG_VERSION"))];
    lines.extend(services.iter().map(|service| row("FHIR R4", service)));
    lines
        .extend(settings.workspaces.keys().map(|name| row("Change feed", &format!("{base}/{name}/$events"))));
    lines.push(row("Metrics", &format!("{base}/metrics")));
    lines.push(row("Health", &format!("{base}/health/ready")));
    lines.push(row("NATS", &without_password(&parts.addresses().nats)));
    lines.push(row("Postgres", &without_password(&parts.addresses().database)));
    if settings.database.url.is_none() || settings.nats.url.is_none() {
        let data = settings.data.canonicalize().unwrap_or_else(|_| settings.data.clone());
        lines.push(row("Data", &data.display().to_string()));
    }
    if !settings.authenticates() && settings.allow_anonymous_network_access {
        lines.push(
            "\nWARNING: nobody is asked who they are, and other machines may reach this address.".to_owned(),
        );
    }
    lines.push(format!(
        "
Try, in another terminal:
  curl '{first}/metadata?_pretty=true'
  curl -i '{first}/Patient' -H 'Content-Type: application/fhir+json' \\
       -d '{{\"resourceType\":\"Patient\",\"name\":[{{\"family\":\"Osler\"}}]}}'
  curl '{first}/Patient?family=osler&_pretty=true'

Ctrl-C stops the server.
"
    ));
    // A server serves also where nobody reads what it says.
    let _ = writeln!(std::io::stdout(), "{}", lines.join("\n"));
}

fn row(name: &str, value: &str) -> String {
    format!("  {name:<13}{value}")
}

/// The address that a client on this machine uses.
fn base_of(scheme: &str, address: SocketAddr) -> String {
    let host = match address {
        _ if address.ip().is_unspecified() => "127.0.0.1".to_owned(),
        SocketAddr::V4(address) => address.ip().to_string(),
        SocketAddr::V6(address) => format!("[{}]", address.ip()),
    };
    format!("{scheme}://{host}:{}", address.port())
}

/// An address without its password. One that cannot be read is not shown.
fn without_password(address: &str) -> String {
    match url::Url::parse(address) {
        // A Unix socket's path stands where a host does; such addresses are our own and have no password.
        Ok(url) if url.password().is_none() => address.to_owned(),
        Ok(mut url) => match url.set_password(Some("***")) {
            Ok(()) => url.to_string(),
            Err(()) => "(configured)".to_owned(),
        },
        Err(_) => "(configured)".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_not_shown() {
        assert_eq!(without_password("postgresql://u:geheim@h:1/d"), "postgresql://u:***@h:1/d");
        assert_eq!(without_password("host=h password=geheim"), "(configured)");
        let socket = "postgresql://anamnesis@%2Fdata%2Frun/anamnesis";
        assert_eq!(without_password(socket), socket);
    }

    #[test]
    fn the_address_shown_is_one_that_a_client_can_use() {
        assert_eq!(base_of("http", "0.0.0.0:80".parse().unwrap()), "http://127.0.0.1:80");
        assert_eq!(base_of("https", "[::1]:8080".parse().unwrap()), "https://[::1]:8080");
    }
}
