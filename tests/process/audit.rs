//! The audit log of a whole server: nothing that was answered is missing, and auditors can check it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

use crate::support::{Server, folder, kill9, on_store, serve};
use crate::verify::{put, tamper};

/// A server that puts accesses on record.
fn start(data: &Path) -> Server {
    let mut command = serve(data);
    command.env("ANAMNESIS_AUDIT_ENABLED", "true");
    let server = Server::start_with(command, data);
    server.wait_until_ready();
    server
}

/// Whether a read is answered, to its last byte.
fn is_answered(address: &str) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(address)?;
    let request =
        format!("GET /default/fhir/Patient/a HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer.starts_with("HTTP/1.1 200") && answer.ends_with('}'))
}

#[test]
fn what_was_answered_is_on_record_after_a_kill() {
    let folder = folder();
    let mut server = start(folder.path());
    put(&server, "a", "Chalmers");
    let (address, answered) = (server.address.clone(), Arc::new(AtomicUsize::new(0)));
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let (address, answered) = (address.clone(), answered.clone());
            std::thread::spawn(move || {
                // Until the server is gone.
                while is_answered(&address).is_ok_and(|answered| answered) {
                    answered.fetch_add(1, Ordering::SeqCst);
                }
            })
        })
        .collect();
    while answered.load(Ordering::SeqCst) < 200 {
        std::thread::yield_now();
    }
    kill9(server.pid());
    for client in clients {
        client.join().unwrap();
    }
    server.wait();
    let answered = answered.load(Ordering::SeqCst);
    let next = start(folder.path());
    let (code, verified, errors) = on_store(folder.path(), &["audit", "verify", "--json"]);
    assert_eq!(code, 0, "{verified}{errors}");
    let mut reads = 0;
    let mut url = "/default/audit/AuditEvent?subtype=read&_count=1000".to_owned();
    loop {
        let (status, body) = next.get(&url).unwrap();
        assert_eq!(status, 200, "{body}");
        let bundle: Value = serde_json::from_str(&body).unwrap();
        reads += bundle["entry"].as_array().map_or(0, Vec::len);
        let links = bundle["link"].as_array().unwrap();
        let Some(link) = links.iter().find(|link| link["relation"] == "next") else { break };
        let address = link["url"].as_str().unwrap();
        url = address[address.find("/default").unwrap()..].to_owned();
    }
    // At most those that each client waited for were on record before they were answered.
    assert!((answered..=answered + 4).contains(&reads), "{answered} answered, {reads} on record");
    next.stop();
}

#[test]
fn auditors_verify_the_chain_and_are_told_where_it_breaks() {
    let folder = folder();
    let server = start(folder.path());
    for id in ["a", "b", "c"] {
        put(&server, id, "Chalmers");
    }
    let (code, whole, errors) = on_store(folder.path(), &["audit", "verify", "--json"]);
    assert_eq!(code, 0, "{whole}{errors}");
    let whole: Value = serde_json::from_str(&whole).unwrap();
    assert_eq!((&whole["ok"], &whole["number"]), (&true.into(), &3.into()));
    let anchor = format!("3:{}", whole["hash"].as_str().unwrap());
    tamper(
        folder.path(),
        "SET session_replication_role = replica; DELETE FROM anamnesis.audit_block WHERE last = 2",
    );
    let (code, _, errors) = on_store(folder.path(), &["audit", "verify", "--anchor", &anchor]);
    assert_eq!(code, 1);
    assert!(errors.contains("the audit log breaks at 2 to 2: they are gone"), "{errors}");
    let (code, _, _) = on_store(folder.path(), &["audit", "verify", "--anchor", "3"]);
    assert_eq!(code, 2);
    server.stop();
}

#[test]
fn without_an_audit_log_that_is_told() {
    let folder = folder();
    let server = Server::start(folder.path());
    server.wait_until_ready();
    let (code, _, errors) = on_store(folder.path(), &["audit", "verify"]);
    assert_eq!(code, 1);
    assert!(errors.contains("keeps no audit log"), "{errors}");
    server.stop();
}
