//! A proxy before Postgres that cuts connections at the worst moments.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::task::JoinHandle;
use tokio_postgres::config::Host;

/// What the proxy does. The cuts happen once, at the next COMMIT that a client sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Passes everything on.
    Nothing,
    /// Cuts the connection instead of passing a COMMIT on.
    CutBeforeCommit,
    /// Passes a COMMIT on, waits until it has happened, and cuts before the answer gets back.
    CutAfterCommit,
    /// The same, and then accepts nothing any more.
    CutAfterCommitAndStayAway,
    /// Accepts nothing.
    StayAway,
}

pub(crate) struct Proxy {
    fault: Arc<Mutex<Fault>>,
    address: String,
    acceptor: JoinHandle<()>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.acceptor.abort();
    }
}

impl Proxy {
    /// A proxy before the database at this address.
    pub(crate) async fn start(database: &str) -> Proxy {
        let config: tokio_postgres::Config = database.parse().unwrap();
        let Some(Host::Unix(folder)) = config.get_hosts().first() else { panic!("no socket in {database}") };
        let port = config.get_ports().first().copied().unwrap_or(5432);
        let socket = folder.join(format!(".s.PGSQL.{port}"));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!(
            "host=127.0.0.1 port={} user={} dbname={}",
            listener.local_addr().unwrap().port(),
            config.get_user().unwrap(),
            config.get_dbname().unwrap()
        );
        let fault = Arc::new(Mutex::new(Fault::Nothing));
        let acceptor = tokio::spawn(accept(listener, socket, fault.clone()));
        Proxy { fault, address, acceptor }
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn set(&self, fault: Fault) {
        *self.fault.lock().unwrap() = fault;
    }

    pub(crate) fn fault(&self) -> Fault {
        *self.fault.lock().unwrap()
    }
}

async fn accept(listener: TcpListener, socket: PathBuf, fault: Arc<Mutex<Fault>>) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        if *fault.lock().unwrap() != Fault::StayAway {
            connections.spawn(pass(client, socket.clone(), fault.clone()));
        }
    }
}

async fn pass(mut client: TcpStream, socket: PathBuf, fault: Arc<Mutex<Fault>>) -> std::io::Result<()> {
    let mut server = UnixStream::connect(socket).await?;
    let (mut asked, mut answered) = (vec![0; 1 << 20], vec![0; 1 << 20]);
    loop {
        tokio::select! {
            count = client.read(&mut asked) => {
                let bytes = &asked[..count?];
                if bytes.is_empty() {
                    return Ok(());
                }
                match at_commit(bytes, &fault) {
                    Fault::CutBeforeCommit => return Ok(()),
                    Fault::Nothing | Fault::StayAway => server.write_all(bytes).await?,
                    Fault::CutAfterCommit | Fault::CutAfterCommitAndStayAway => {
                        server.write_all(bytes).await?;
                        return await_commit(&mut server).await;
                    }
                }
            }
            count = server.read(&mut answered) => {
                let bytes = &answered[..count?];
                if bytes.is_empty() {
                    return Ok(());
                }
                client.write_all(bytes).await?;
            }
        }
    }
}

/// What is to be done with these bytes of a client.
fn at_commit(bytes: &[u8], fault: &Mutex<Fault>) -> Fault {
    let mut fault = fault.lock().unwrap();
    if *fault == Fault::Nothing || !bytes.windows(7).any(|window| window == b"COMMIT\0") {
        return Fault::Nothing;
    }
    let now = *fault;
    *fault = match now {
        Fault::CutAfterCommitAndStayAway | Fault::StayAway => Fault::StayAway,
        _ => Fault::Nothing,
    };
    now
}

async fn await_commit(server: &mut UnixStream) -> std::io::Result<()> {
    let mut all = Vec::new();
    while !all.windows(8).any(|window| window == b"COMMIT\0Z") {
        assert_ne!(server.read_buf(&mut all).await?, 0, "the server went away before it committed");
    }
    Ok(())
}
