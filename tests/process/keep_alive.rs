//! Connections between requests: who asks closes first.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::support::{Server, folder, serve};

/// Longer than what HTTP servers in Rust take by themselves, which is five seconds.
const SILENCE: Duration = Duration::from_secs(6);

/// Asks on a connection and reads the answer, which is short enough for one piece.
fn ask(stream: &mut TcpStream) -> String {
    stream.write_all(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"}") {
        let mut piece = [0; 4096];
        let read = stream.read(&mut piece).unwrap();
        assert_ne!(read, 0, "closed within {}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&piece[..read]);
    }
    String::from_utf8(answer).unwrap()
}

#[test]
fn a_silent_connection_is_kept_as_long_as_it_was_set() {
    let data = folder();
    let mut server = Server::start(data.path());
    let mut stream = TcpStream::connect(&server.address).unwrap();
    assert!(ask(&mut stream).starts_with("HTTP/1.1 200"));
    stream.set_read_timeout(Some(SILENCE)).unwrap();
    let closed = stream.read(&mut [0; 1]);
    assert!(matches!(&closed, Err(error) if error.kind() == ErrorKind::WouldBlock), "{closed:?}");
    assert!(ask(&mut stream).starts_with("HTTP/1.1 200"));
    drop(stream);
    server.stop_in_order();

    let mut command = serve(data.path());
    command.env("ANAMNESIS_HTTP_KEEP_ALIVE_S", "1");
    let mut server = Server::start_with(command, data.path());
    let mut stream = TcpStream::connect(&server.address).unwrap();
    assert!(ask(&mut stream).starts_with("HTTP/1.1 200"));
    stream.set_read_timeout(Some(SILENCE)).unwrap();
    assert_eq!(stream.read(&mut [0; 1]).unwrap(), 0, "the server closes it");
    server.stop_in_order();
}
