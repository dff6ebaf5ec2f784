//! A proxy before Postgres that cuts or holds connections at the worst moments, to the message.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_postgres::config::Host;

/// What the proxy does. Cuts and holds happen once, at the next place of their kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Passes everything on.
    Nothing,
    /// Accepts nothing.
    StayAway,
    /// Cuts the connection.
    Cut(Place, Side, Then),
    /// Passes nothing on in either direction, from before the place until it is released, and keeps the connection
    /// open: what a stopped process or a lost route looks like.
    Hold(Place),
}

/// A place in what clients send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// A COMMIT.
    Commit,
    /// A prepared statement whose text has this in it.
    Statement(&'static str),
    /// The message with this number of a transaction, its BEGIN being 0.
    Message(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// The message does not reach the server.
    Before,
    /// The server has done what the message asks for, and its answer does not get back.
    After,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    Nothing,
    StayAway,
}

impl Fault {
    pub(crate) const CUT_BEFORE_COMMIT: Fault = Fault::Cut(Place::Commit, Side::Before, Then::Nothing);
    pub(crate) const CUT_AFTER_COMMIT: Fault = Fault::Cut(Place::Commit, Side::After, Then::Nothing);
    pub(crate) const CUT_AFTER_COMMIT_AND_STAY_AWAY: Fault =
        Fault::Cut(Place::Commit, Side::After, Then::StayAway);

    fn place(self) -> Option<Place> {
        match self {
            Fault::Cut(place, ..) | Fault::Hold(place) => Some(place),
            Fault::Nothing | Fault::StayAway => None,
        }
    }
}

/// A message of a recorded transaction.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    /// Its type in the protocol: `Q`, `B`, `E`, `S`.
    pub(crate) kind: u8,
    /// The text of a query, or of the statement that is bound.
    pub(crate) text: String,
}

impl Sent {
    /// Whether the server answers to it: `Query` and `Sync`.
    pub(crate) fn is_answered(&self) -> bool {
        matches!(self.kind, b'Q' | b'S')
    }
}

#[derive(Default)]
struct State {
    fault: Option<Fault>,
    /// The connection whose transaction is counted, and how many of its messages were.
    counted: Option<(usize, usize)>,
    /// The messages of the last transaction that was counted to its end.
    recording: Option<Vec<Sent>>,
    recorded: Vec<Sent>,
    /// How often each statement was prepared, by connection and text.
    prepared: HashMap<(usize, String), usize>,
}

struct Shared {
    state: Mutex<State>,
    /// Whether a connection is held now.
    held: watch::Sender<bool>,
}

pub(crate) struct Proxy {
    shared: Arc<Shared>,
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
        let shared = Arc::new(Shared { state: Mutex::default(), held: watch::Sender::new(false) });
        let acceptor = tokio::spawn(accept(listener, socket, shared.clone()));
        Proxy { shared, address, acceptor }
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn set(&self, fault: Fault) {
        let mut state = self.shared.state.lock().unwrap();
        state.fault = Some(fault);
        state.counted = None;
    }

    pub(crate) fn fault(&self) -> Fault {
        self.shared.state.lock().unwrap().fault.unwrap_or(Fault::Nothing)
    }

    /// Records the messages of the next transaction.
    pub(crate) fn record(&self) {
        self.shared.state.lock().unwrap().recording = Some(vec![]);
    }

    /// The messages of the transaction that was recorded.
    pub(crate) fn recorded(&self) -> Vec<Sent> {
        self.shared.state.lock().unwrap().recorded.clone()
    }

    /// How often each statement was prepared so far, by connection and text.
    pub(crate) fn prepared(&self) -> HashMap<(usize, String), usize> {
        self.shared.state.lock().unwrap().prepared.clone()
    }

    /// Waits until a connection is held.
    pub(crate) async fn held(&self) {
        self.shared.held.subscribe().wait_for(|held| *held).await.unwrap();
    }

    /// Lets the held connection go on.
    pub(crate) fn release(&self) {
        self.shared.held.send_replace(false);
    }
}

async fn accept(listener: TcpListener, socket: PathBuf, shared: Arc<Shared>) {
    let mut connections = tokio::task::JoinSet::new();
    let mut number = 0;
    while let Ok((client, _)) = listener.accept().await {
        if shared.state.lock().unwrap().fault == Some(Fault::StayAway) {
            continue;
        }
        number += 1;
        let (socket, shared) = (socket.clone(), shared.clone());
        connections.spawn(async move {
            let server = UnixStream::connect(socket).await?;
            Connection::new(number, shared).pass(client, server).await
        });
    }
}

/// What is to be done with a message.
enum Verdict {
    Pass,
    CutBefore,
    CutAfter,
    Hold,
}

struct Connection {
    number: usize,
    shared: Arc<Shared>,
    asked: Messages,
    answered: Messages,
    statements: HashMap<Vec<u8>, String>,
    /// Requests that the server has not answered to the end; the start-up is one.
    open: usize,
}

impl Drop for Connection {
    fn drop(&mut self) {
        let mut state = self.shared.state.lock().unwrap();
        // A transaction that ended with its connection is counted no more.
        if state.counted.is_some_and(|(number, _)| number == self.number) {
            state.counted = None;
        }
    }
}

impl Connection {
    fn new(number: usize, shared: Arc<Shared>) -> Connection {
        Connection {
            number,
            shared,
            asked: Messages { bytes: vec![], typed: false },
            answered: Messages { bytes: vec![], typed: true },
            statements: HashMap::new(),
            open: 1,
        }
    }

    async fn pass(mut self, mut client: TcpStream, mut server: UnixStream) -> std::io::Result<()> {
        let (mut asked, mut answered) = (vec![0; 1 << 16], vec![0; 1 << 16]);
        loop {
            tokio::select! {
                count = client.read(&mut asked) => {
                    let count = count?;
                    if count == 0 {
                        return Ok(());
                    }
                    self.asked.bytes.extend_from_slice(&asked[..count]);
                    while let Some(message) = self.asked.next() {
                        match self.judge(&message) {
                            Verdict::Pass => {}
                            Verdict::CutBefore => return Ok(()),
                            Verdict::CutAfter => {
                                server.write_all(&message).await?;
                                return self.drain(&mut server).await;
                            }
                            Verdict::Hold => {
                                self.shared.held.send_replace(true);
                                self.shared.held.subscribe().wait_for(|held| !held).await.unwrap();
                            }
                        }
                        server.write_all(&message).await?;
                    }
                }
                count = server.read(&mut answered) => {
                    let count = count?;
                    if count == 0 {
                        return Ok(());
                    }
                    self.note_answers(&answered[..count]);
                    client.write_all(&answered[..count]).await?;
                }
            }
        }
    }

    /// Waits until the server has answered everything.
    async fn drain(&mut self, server: &mut UnixStream) -> std::io::Result<()> {
        let mut answered = vec![0; 1 << 16];
        while self.open > 0 {
            let count = server.read(&mut answered).await?;
            assert_ne!(count, 0, "the server went away before it answered");
            self.note_answers(&answered[..count]);
        }
        Ok(())
    }

    fn note_answers(&mut self, bytes: &[u8]) {
        self.answered.bytes.extend_from_slice(bytes);
        while let Some(message) = self.answered.next() {
            self.open -= usize::from(message[0] == b'Z');
        }
    }

    fn judge(&mut self, message: &[u8]) -> Verdict {
        if !self.asked.typed {
            self.asked.typed = true;
            return Verdict::Pass;
        }
        let sent = self.read(message);
        self.open += usize::from(sent.is_answered());
        let mut state = self.shared.state.lock().unwrap();
        if sent.kind == b'P' {
            *state.prepared.entry((self.number, sent.text.clone())).or_default() += 1;
        }
        let fault = state.fault.unwrap_or(Fault::Nothing);
        let is_query = |text| sent.kind == b'Q' && sent.text == text;
        if state.counted.is_none() && is_query("BEGIN") {
            state.counted = Some((self.number, 0));
        }
        let counts = state.counted.filter(|(number, _)| *number == self.number).map(|(_, count)| count);
        if let Some(count) = counts {
            state.counted = Some((self.number, count + 1));
            if let Some(recording) = &mut state.recording {
                recording.push(sent.clone());
            }
            if is_query("COMMIT") || is_query("ROLLBACK") {
                state.counted = None;
                state.recorded = state.recording.take().unwrap_or_default();
            }
        }
        let is_there = fault.place().is_some_and(|place| match place {
            Place::Commit => is_query("COMMIT"),
            Place::Statement(text) => sent.kind == b'B' && sent.text.contains(text),
            Place::Message(number) => counts == Some(number),
        });
        if !is_there {
            return Verdict::Pass;
        }
        state.counted = None;
        state.fault = Some(match fault {
            Fault::Cut(_, _, Then::StayAway) => Fault::StayAway,
            _ => Fault::Nothing,
        });
        match fault {
            Fault::Cut(_, Side::Before, _) => Verdict::CutBefore,
            Fault::Cut(_, Side::After, _) => Verdict::CutAfter,
            _ => Verdict::Hold,
        }
    }

    /// What a message says; remembers the statements that are prepared.
    fn read(&mut self, message: &[u8]) -> Sent {
        let kind = message[0];
        let mut texts = message[5..].split(|byte| *byte == 0);
        let mut text = || texts.next().unwrap_or_default().to_vec();
        let text = match kind {
            b'Q' => String::from_utf8_lossy(&text()).into_owned(),
            b'P' => {
                let (name, statement) = (text(), String::from_utf8_lossy(&text()).into_owned());
                self.statements.insert(name, statement.clone());
                statement
            }
            b'B' => {
                let (_portal, name) = (text(), text());
                self.statements.get(&name).cloned().unwrap_or_default()
            }
            _ => String::new(),
        };
        Sent { kind, text }
    }
}

/// Cuts the bytes of one direction into messages.
struct Messages {
    bytes: Vec<u8>,
    /// Whether messages begin with their type: all but the first of a client.
    typed: bool,
}

impl Messages {
    fn next(&mut self) -> Option<Vec<u8>> {
        let before = usize::from(self.typed);
        let length: [u8; 4] = self.bytes.get(before..before + 4)?.try_into().unwrap();
        let length = before + u32::from_be_bytes(length) as usize;
        (self.bytes.len() >= length).then(|| self.bytes.drain(..length).collect())
    }
}
