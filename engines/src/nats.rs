//! The private nats-server: JetStream on disk, on a loopback port that is free, the same one at every start.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::process::Signal;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::EngineError;
use crate::account::Account;
use crate::leftovers;
use crate::place::Places;
use crate::process::Launch;
use crate::supervisor::Engine;

/// The ports that are tried. They lie below the range from which the kernel gives ports to clients: a client
/// that knocks at a dead server's port in that range can be given that very port and so keep it taken.
const PORTS: std::ops::RangeInclusive<u16> = 14_222..=24_221;
/// How long a server may take to greet.
const GREETING_WITHIN: Duration = Duration::from_secs(2);
/// On INT the server closes its connections and writes out its streams.
const STOP: &[(Signal, Duration)] =
    &[(Signal::INT, Duration::from_secs(20)), (Signal::TERM, Duration::from_secs(5))];
/// The same for one that an earlier server left behind.
const CLEAN_UP: &[(Signal, Duration)] = &[
    (Signal::INT, Duration::from_secs(20)),
    (Signal::TERM, Duration::from_secs(5)),
    (Signal::KILL, Duration::from_secs(5)),
];
/// The file in the store folder that remembers the port.
const PORT_FILE: &str = "port";

/// A private nats-server on one folder.
#[derive(Debug)]
pub(crate) struct Nats {
    program: PathBuf,
    folder: PathBuf,
    log: PathBuf,
    account: Option<Account>,
    /// Distinguishes this server from any other that may answer on the port.
    name: String,
    port: u16,
    /// Whether the port was used successfully, after which clients know it and it stays.
    settled: bool,
}

impl Nats {
    /// Takes the folder for it. `first_port` is where the search for a free port begins.
    pub(crate) fn new(places: &Places, program: PathBuf, first_port: u16) -> Result<Self, EngineError> {
        let folder = places.folder("nats")?;
        let remembered = std::fs::read_to_string(folder.join(PORT_FILE)).ok();
        let remembered = remembered.and_then(|text| text.trim().parse().ok());
        Ok(Nats {
            program,
            log: places.logs.join("nats.log"),
            account: places.account.clone(),
            name: unique_name(),
            port: remembered.unwrap_or(first_port),
            folder,
            settled: false,
        })
    }

    /// The folder of JetStream's files.
    pub(crate) fn store(&self) -> PathBuf {
        self.folder.join("store")
    }

    /// The first port at or after the wanted one that nobody listens on.
    fn free_port(&self) -> Result<u16, EngineError> {
        let wanted = if PORTS.contains(&self.port) { self.port } else { *PORTS.start() };
        (wanted..=*PORTS.end())
            .chain(*PORTS.start()..wanted)
            .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
            .ok_or_else(|| {
                let error = std::io::ErrorKind::AddrInUse.into();
                EngineError::io("could not find a free port for", &self.program)(error)
            })
    }

    fn configure(&self) -> Result<PathBuf, EngineError> {
        let path = self.folder.join("nats.conf");
        let text = format!(
            "# Written by Anamnesis at every start.
server_name: {name}
host: 127.0.0.1
port: {port}
jetstream {{
  store_dir: {store}
}}
",
            name = quoted(&self.name),
            port = self.port,
            store = quoted(&self.store().display().to_string()),
        );
        std::fs::write(&path, text).map_err(EngineError::io("could not write", &path))?;
        if let Some(account) = &self.account {
            std::os::unix::fs::chown(&path, Some(account.uid), Some(account.gid))
                .map_err(EngineError::io("could not change the owner of", &path))?;
        }
        Ok(path)
    }

    /// The first line that the server says to every client.
    async fn greeting(&self) -> std::io::Result<String> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        let mut line = String::new();
        BufReader::new(TcpStream::connect(address).await?).read_line(&mut line).await?;
        Ok(line)
    }
}

impl Engine for Nats {
    const NAME: &'static str = "nats-server";
    const STOP: &'static [(Signal, Duration)] = STOP;

    async fn prepare(&mut self) -> Result<Launch, EngineError> {
        leftovers::stop("nats-server", &self.folder, CLEAN_UP, || false).await?;
        if !self.settled {
            self.port = self.free_port()?;
        }
        let settings = self.configure()?;
        Ok(Launch {
            program: self.program.clone(),
            arguments: vec!["--config".into(), settings.into()],
            folder: self.folder.clone(),
            account: self.account.clone(),
            log: self.log.clone(),
            orphan_signal: "INT",
        })
    }

    async fn abandon(&mut self) {}

    /// It listens only when JetStream has read its files again, and says so in its greeting.
    async fn is_ready(&mut self) -> bool {
        let Ok(Ok(line)) = timeout(GREETING_WITHIN, self.greeting()).await else { return false };
        line.starts_with("INFO ")
            && line.contains(&format!("\"server_name\":\"{}\"", self.name))
            && line.contains("\"jetstream\":true")
    }

    async fn settle(&mut self) -> Result<(), EngineError> {
        self.settled = true;
        let path = self.folder.join(PORT_FILE);
        std::fs::write(&path, format!("{}\n", self.port)).map_err(EngineError::io("could not write", &path))
    }

    fn try_otherwise(&mut self, log_tail: &str) -> bool {
        let taken = log_tail.contains("address already in use");
        self.port = self.port.saturating_add(u16::from(taken));
        taken
    }

    fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }
}

/// A name that no other server has at the same time, not even one of this process.
fn unique_name() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    format!("anamnesis-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// A text as the server's configuration language quotes it.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nats(data: &std::path::Path) -> Nats {
        let places = Places::prepare(data, data, None).unwrap();
        Nats::new(&places, "/bin/false".into(), 14_222).unwrap()
    }

    #[tokio::test]
    async fn the_port_that_worked_is_taken_again() {
        let folder = tempfile::tempdir().unwrap();
        let mut first = nats(folder.path());
        first.port = 23_456;
        first.settle().await.unwrap();
        assert_eq!(nats(folder.path()).url(), "nats://127.0.0.1:23456");
    }

    #[tokio::test]
    async fn another_server_on_the_port_is_not_taken_for_this_one() {
        let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (mut this, other) = (nats(here.path()), nats(there.path()));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        this.port = listener.local_addr().unwrap().port();
        for (name, mine) in [(other.name, false), (this.name.clone(), true)] {
            let listener = listener.try_clone().unwrap();
            let greeter = std::thread::spawn(move || {
                let (mut client, _) = listener.accept().unwrap();
                let greeting = format!("INFO {{\"server_name\":\"{name}\",\"jetstream\":true}}\r\n");
                std::io::Write::write_all(&mut client, greeting.as_bytes()).unwrap();
            });
            assert_eq!(this.is_ready().await, mine);
            greeter.join().unwrap();
        }
    }

    #[test]
    fn a_port_in_use_is_passed_by_and_one_outside_the_range_is_not_tried() {
        let folder = tempfile::tempdir().unwrap();
        let mut server = nats(folder.path());
        let taken = (20_000..).find_map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok()).unwrap();
        server.port = taken.local_addr().unwrap().port();
        assert_ne!(server.free_port().unwrap(), server.port);
        server.port = 60_000;
        assert!(PORTS.contains(&server.free_port().unwrap()));
        assert!(server.try_otherwise("listen tcp 127.0.0.1:60000: bind: address already in use"));
        assert!(!server.try_otherwise("no space left on device"));
    }

    #[test]
    fn folders_with_quotes_survive_the_configuration() {
        assert_eq!(quoted("/a \"b\"\\c"), "\"/a \\\"b\\\"\\\\c\"");
    }
}
