//! TLS with real certificates: what connects, what does not, and files that change while the server runs.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion};

use crate::support::{PATIENCE, Server, folder, serve, until};

/// The versions that are good enough.
static BOTH: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];

/// An authority and what it signs.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new(name: &str) -> Authority {
        let mut parameters = CertificateParams::new(vec![]).unwrap();
        parameters.distinguished_name.push(rcgen::DnType::CommonName, name);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Authority(CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap())
    }

    /// A certificate and its key as PEM.
    fn sign(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut parameters = CertificateParams::new(vec![name.to_owned()]).unwrap();
        parameters.distinguished_name.push(rcgen::DnType::CommonName, name);
        (parameters.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem())
    }

    fn pem(&self) -> String {
        self.0.pem()
    }
}

/// Writes the server's files.
fn install(folder: &Path, authority: &Authority) {
    let (certificate, key) = authority.sign("127.0.0.1");
    std::fs::write(folder.join("certificate.pem"), certificate).unwrap();
    std::fs::write(folder.join("key.pem"), key).unwrap();
}

/// A server with TLS, and with what `more` says of it.
fn start(folder: &Path, more: &[(&str, &str)]) -> Server {
    let mut command = serve(folder);
    command.env("ANAMNESIS_HTTP_TLS_CERTIFICATE", folder.join("certificate.pem"));
    command.env("ANAMNESIS_HTTP_TLS_KEY", folder.join("key.pem"));
    command.envs(more.iter().copied());
    let mut server = Server::spawn(command, folder);
    let line = server.wait_for_output("  Health");
    let address =
        line.split("https://").nth(1).expect("its address is one of TLS").split('/').next().unwrap();
    server.address = address.to_owned();
    server
}

/// How a client connects.
struct Client<'a> {
    trusts: &'a Authority,
    versions: &'a [&'static SupportedProtocolVersion],
    own: Option<&'a (String, String)>,
    protocols: &'a [&'a [u8]],
}

impl<'a> Client<'a> {
    fn of(trusts: &'a Authority) -> Client<'a> {
        Client { trusts, versions: &BOTH, own: None, protocols: &[] }
    }

    fn connect(&self, address: &str) -> std::io::Result<StreamOwned<ClientConnection, TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.trusts.pem().as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(self.versions)
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match self.own {
            None => config.with_no_client_auth(),
            Some((certificate, key)) => {
                let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
                let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
                config.with_client_auth_cert(chain, key).unwrap()
            }
        };
        config.alpn_protocols = self.protocols.iter().map(|name| name.to_vec()).collect();
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let connection = ClientConnection::new(Arc::new(config), name).unwrap();
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut stream = StreamOwned::new(connection, stream);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(stream)
    }

    /// The answer to a GET.
    fn get(&self, address: &str, path: &str) -> std::io::Result<String> {
        let mut stream = self.connect(address)?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
        let mut answer = Vec::new();
        // Some servers close without saying so; what came counts.
        match stream.read_to_end(&mut answer) {
            Err(error) if answer.is_empty() => Err(error),
            _ => Ok(String::from_utf8_lossy(&answer).into_owned()),
        }
    }
}

fn is_ok(answer: &std::io::Result<String>) -> bool {
    answer.as_ref().is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
}

#[test]
fn tls_is_spoken_in_its_new_versions_and_nothing_else_is() {
    let folder = folder();
    let authority = Authority::new("one");
    install(folder.path(), &authority);
    let mut server = start(folder.path(), &[]);
    for versions in [&BOTH[..1], &BOTH[1..]] {
        let client = Client { versions, ..Client::of(&authority) };
        let answer = client.get(&server.address, "/default/fhir/metadata").unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(answer.to_lowercase().contains("strict-transport-security: max-age=31536000"), "{answer}");
        let own = format!("https://{}/default/fhir", server.address);
        assert!(answer.contains(&own), "its own addresses are of TLS: {answer}");
    }
    let client = Client { protocols: &[b"h2", b"http/1.1"], ..Client::of(&authority) };
    assert_eq!(client.connect(&server.address).unwrap().conn.alpn_protocol(), Some(&b"h2"[..]));
    let stranger = Authority::new("another");
    assert!(
        Client::of(&stranger).get(&server.address, "/health/live").is_err(),
        "it is not who it is taken for"
    );
    // Plain HTTP, and a greeting of TLS 1.1.
    assert_ne!(server.get("/health/live").map(|(status, _)| status), Some(200));
    let mut hello = vec![0x16, 3, 1, 0, 49, 1, 0, 0, 45, 3, 2];
    hello.extend([7; 32]);
    hello.extend([0, 0, 4, 0xc0, 0x13, 0, 0x2f, 1, 0, 0, 0]);
    let mut stream = TcpStream::connect(&server.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(&hello).unwrap();
    let mut answer = Vec::new();
    let _reset = stream.read_to_end(&mut answer);
    assert!(answer.is_empty() || answer[0] == 0x15, "an alert, no hello: {answer:?}");
    server.stop_in_order();
}

#[test]
fn clients_show_certificates_where_that_is_wanted() {
    let folder = folder();
    let (authority, of_clients) = (Authority::new("servers"), Authority::new("clients"));
    install(folder.path(), &authority);
    let authorities = folder.path().join("clients.pem");
    std::fs::write(&authorities, of_clients.pem()).unwrap();
    let authorities = ("ANAMNESIS_HTTP_TLS_CLIENT_CA", authorities.to_str().unwrap());
    let (good, bad) = (of_clients.sign("client"), authority.sign("client"));
    for (wanted, without) in [("required", false), ("optional", true)] {
        let mode = ("ANAMNESIS_HTTP_TLS_CLIENT_CERTIFICATE", wanted);
        let mut server = start(folder.path(), &[authorities, mode]);
        let ask = |own| Client { own, ..Client::of(&authority) }.get(&server.address, "/health/live");
        assert!(is_ok(&ask(Some(&good))), "{wanted}");
        assert_eq!(is_ok(&ask(None)), without, "{wanted}");
        assert!(!is_ok(&ask(Some(&bad))), "{wanted}: signed by somebody else");
        server.stop_in_order();
    }
}

#[test]
fn changed_certificates_are_taken_over_and_broken_ones_are_not() {
    let folder = folder();
    let (first, second) = (Authority::new("first"), Authority::new("second"));
    install(folder.path(), &first);
    let mut server = start(folder.path(), &[]);
    let ask =
        |authority: &Authority, address: &str| is_ok(&Client::of(authority).get(address, "/health/live"));
    assert!(ask(&first, &server.address));
    std::fs::write(folder.path().join("certificate.pem"), "no certificate").unwrap();
    server.wait_for_output("the certificates stay as they were");
    assert!(ask(&first, &server.address));
    install(folder.path(), &second);
    let address = server.address.clone();
    until("the new certificate is in use", || ask(&second, &address).then_some(()));
    assert!(!ask(&first, &address));
    server.stop_in_order();
}

#[test]
fn a_key_of_another_certificate_is_refused_before_anything_starts() {
    let folder = folder();
    let authority = Authority::new("one");
    install(folder.path(), &authority);
    std::fs::write(folder.path().join("key.pem"), authority.sign("127.0.0.1").1).unwrap();
    let mut command = serve(folder.path());
    command.env("ANAMNESIS_HTTP_TLS_CERTIFICATE", folder.path().join("certificate.pem"));
    command.env("ANAMNESIS_HTTP_TLS_KEY", folder.path().join("key.pem"));
    let output = command.output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(told.contains("the certificate and the key cannot be used"), "{told}");
    assert!(!told.contains("PRIVATE KEY") && !folder.path().join("postgres").exists(), "{told}");
}
