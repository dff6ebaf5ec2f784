//! A purge of some thousand resources whose server is killed in the middle of it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

use rustix::process::Signal;

use crate::erasure::{MARKER, is_in_files};
use crate::support::{Server, folder, is_running, on_store, processes_of, try_signal, until};
use crate::verify::put;

/// Bundles, and resources in each.
const BUNDLES: usize = 10;
const ENTRIES: usize = 400;

/// The number that a query gives; `None` while the database does not answer.
fn number(data: &Path, statement: &str) -> Option<i64> {
    asked(data, |row| row.try_get(0).ok(), statement)
}

/// What is taken of the one row that a query gives.
fn asked<T>(data: &Path, take: impl FnOnce(&tokio_postgres::Row) -> Option<T>, statement: &str) -> Option<T> {
    let url = anamnesis_engines::running(data).ok()??.database_url?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.ok()?;
        let driver = tokio::spawn(connection);
        let row = client.query_one(statement, &[]).await.ok()?;
        drop(client);
        let _closed = driver.await;
        take(&row)
    })
}

/// Whether a row of any table has the marker in it, as text or as bytes.
fn is_in_tables(data: &Path) -> bool {
    let hex: String = MARKER.bytes().map(|byte| format!("{byte:02x}")).collect();
    let text = MARKER.to_lowercase();
    let of_tables = "FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')";
    let count = number(data, &format!("SELECT count(*) {of_tables}")).unwrap();
    assert!(count > 20, "{count} tables");
    let statement = format!(
        "SELECT string_agg(format('SELECT count(*) AS n FROM %I.%I AS t WHERE lower(t::text) LIKE ''%%{text}%%''
             OR lower(t::text) LIKE ''%%{hex}%%''', schemaname, tablename), ' UNION ALL ') {of_tables}"
    );
    let each = asked(data, |row| row.try_get::<_, String>(0).ok(), &statement).unwrap();
    number(data, &format!("SELECT sum(n)::bigint FROM ({each}) AS one")).unwrap() > 0
}

fn fill(server: &Server) {
    put(server, "a", MARKER);
    put(server, "b", "Chalmers");
    for bundle in 0..BUNDLES {
        let entry = |number: usize| {
            let id = format!("{bundle}-{number}");
            format!(
                r#"{{"request":{{"method":"PUT","url":"Observation/{id}"}},"resource":{{"resourceType":"Observation",
                "id":"{id}","status":"final","code":{{"text":"{MARKER}"}},"subject":{{"reference":"Patient/a"}}}}}}"#
            )
        };
        let entries: Vec<String> = (0..ENTRIES).map(entry).collect();
        let body =
            format!(r#"{{"resourceType":"Bundle","type":"transaction","entry":[{}]}}"#, entries.join(","));
        let answer = server.exchange("POST", "/default/fhir", &body).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{}", answer.lines().next().unwrap_or_default());
    }
}

#[test]
fn a_purge_whose_server_is_killed_goes_on_when_it_starts_and_leaves_nothing() {
    let folder = folder();
    let data = folder.path();
    let mut server = Server::start(data);
    server.wait_until_ready();
    fill(&server);
    let stream = data.join("nats");
    until("the stream is written", || is_in_files(&stream).then_some(()));
    assert!(is_in_tables(data), "the search for the marker finds nothing: nothing is shown");

    let mut asking = TcpStream::connect(&server.address).unwrap();
    let head = "POST /default/fhir/Patient/a/$purge HTTP/1.1\r\nHost: here\r\nContent-Length: 0\r\n\r\n";
    asking.write_all(head.as_bytes()).unwrap();
    until("it is in the middle", || {
        let erased = number(data, "SELECT count(*) FROM anamnesis.event WHERE kind = 6")?;
        (erased > 0).then_some(())
    });
    let mut all = processes_of(data);
    all.insert(server.pid());
    for pid in all {
        if is_running(pid) {
            let _ended = try_signal(pid, Signal::KILL);
        }
    }
    let mut answer = Vec::new();
    let _reset = asking.read_to_end(&mut answer);
    assert!(answer.is_empty(), "it had ended before the kill: nothing is shown");
    server.wait();

    let mut next = Server::spawn(crate::support::serve(data), data);
    next.wait_until_listening();
    next.wait_for_output("goes on");
    next.wait_for_output("has ended");
    assert_eq!(number(data, "SELECT count(*) FROM anamnesis.compartment_guard"), Some(0));
    let left = "SELECT count(*) FROM anamnesis.event WHERE home = 'Patient/a' AND payload <> ''";
    assert_eq!(number(data, left), Some(0));
    for path in ["Patient/a", "Observation/0-0", "Observation/9-399", "Observation/0-0/_history/1"] {
        assert_eq!(next.get(&format!("/default/fhir/{path}")).unwrap().0, 404, "{path}");
    }
    assert_eq!(next.get("/default/fhir/Patient/b").unwrap().0, 200);
    until("the index is without it", || (!is_in_tables(data)).then_some(()));
    until("the stream is without it", || (!is_in_files(&stream)).then_some(()));
    until("all is verified", || {
        let (code, table, errors) = on_store(data, &["verify"]);
        assert_eq!(code, 0, "{table}{errors}");
        (!table.contains("behind the log")).then_some(())
    });
    // What was recorded twice would show here: each resource is erased once.
    let once = "SELECT count(*) FROM anamnesis.event WHERE kind = 6";
    assert_eq!(number(data, once), Some(i64::try_from(BUNDLES * ENTRIES + 1).unwrap()));
    // The history of what is left is whole, also where a patient has come back.
    put(&next, "a", "Later");
    let (code, told, errors) = on_store(data, &["replay", "--compartment", "Patient/a"]);
    assert_eq!(code, 0, "{}{errors}", told.lines().last().unwrap_or_default());
    next.stop();
}
