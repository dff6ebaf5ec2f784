//! Subscriptions of a server that is killed: what was written is told, whoever is there to tell it.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::support::{Server, folder, kill9, serve, until};

/// Takes whatever comes, and keeps the resources.
fn receiver() -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let told = Arc::new(Mutex::new(Vec::new()));
    let of_thread = Arc::clone(&told);
    let _listening = std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let told = Arc::clone(&of_thread);
            let _taking = std::thread::spawn(move || take(&stream, &told));
        }
    });
    (url, told)
}

fn take(stream: &TcpStream, told: &Mutex<Vec<String>>) {
    let mut reader = BufReader::new(stream);
    let mut answers = stream;
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            if line == "\r\n" {
                break;
            }
            let line = line.to_ascii_lowercase();
            if let Some(number) = line.strip_prefix("content-length:") {
                length = number.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        if reader.read_exact(&mut body).is_err() {
            return;
        }
        let resource: Value = serde_json::from_slice(&body).unwrap();
        told.lock().unwrap().push(resource["id"].as_str().unwrap().to_owned());
        if answers.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").is_err() {
            return;
        }
    }
}

fn start(data: &Path) -> Server {
    let mut command = serve(data);
    command.arg("--config").arg(data.join("subscriptions.toml"));
    Server::start_with(command, data)
}

/// hapi#4504 lost what was written and not yet handed on when the server died.
#[test]
fn a_killed_server_goes_on_telling_where_it_stood() {
    let folder = folder();
    let (url, told) = receiver();
    std::fs::write(
        folder.path().join("subscriptions.toml"),
        format!("[subscriptions]\nallow = [\"{url}\"]\n"),
    )
    .unwrap();
    let mut server = start(folder.path());
    server.wait_until_ready();
    let subscription = format!(
        r#"{{"resourceType":"Subscription","id":"s","status":"requested","reason":"test","criteria":"Patient?active=true","channel":{{"type":"rest-hook","endpoint":"{url}","payload":"application/fhir+json"}}}}"#
    );
    assert_eq!(server.put("/default/fhir/Subscription/s", &subscription), Some(201));
    let mut written = Vec::new();
    for round in 0..3 {
        for number in 0..15 {
            let id = format!("p{round}-{number}");
            let patient = format!(r#"{{"resourceType":"Patient","id":"{id}","active":true}}"#);
            assert_eq!(server.put(&format!("/default/fhir/Patient/{id}"), &patient), Some(201));
            written.push(id);
        }
        // Some of them have been told by now, and some not.
        kill9(server.pid());
        server.wait();
        server = start(folder.path());
        server.wait_until_ready();
    }
    until("everything is told", || {
        let told: BTreeSet<String> = told.lock().unwrap().iter().cloned().collect();
        (told.len() == written.len()).then_some(())
    });
    let mut seen = BTreeSet::new();
    let first: Vec<String> =
        told.lock().unwrap().iter().filter(|id| seen.insert((*id).clone())).cloned().collect();
    assert_eq!(first, written, "in the order in which it was written");
    server.stop();
}
