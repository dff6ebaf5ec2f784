//! A receiver of notifications: takes them, refuses them, or does not answer, as a test wants.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// How a receiver answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    Takes,
    Refuses,
    Hangs,
    /// Takes what has come when it is let go.
    Waits,
}

/// What was received.
#[derive(Debug, Clone)]
pub(crate) struct Hook {
    /// Method and path.
    pub(crate) line: String,
    pub(crate) headers: String,
    pub(crate) body: Vec<u8>,
    /// How it was answered.
    pub(crate) mood: Mood,
}

impl Hook {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// `id/version` of a resource that came whole.
    pub(crate) fn version(&self) -> String {
        let json = self.json();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        format!("{}/{}", text(&json["id"]), text(&json["meta"]["versionId"]))
    }
}

pub(crate) struct Receiver {
    pub(crate) url: String,
    mood: Arc<Mutex<Mood>>,
    hooks: Arc<Mutex<Vec<Hook>>>,
    go: Arc<Notify>,
    task: tokio::task::JoinHandle<()>,
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let (mood, hooks) = (Arc::new(Mutex::new(Mood::Takes)), Arc::new(Mutex::new(Vec::new())));
        let go = Arc::new(Notify::new());
        let of_task = (Arc::clone(&mood), Arc::clone(&hooks), Arc::clone(&go));
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, of_task.clone()));
            }
        });
        Self { url, mood, hooks, go, task }
    }

    pub(crate) fn is_now(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    /// Lets one go that waits.
    pub(crate) fn go_on(&self) {
        self.go.notify_one();
    }

    /// All that was asked, however it was answered.
    pub(crate) fn asked(&self) -> Vec<Hook> {
        self.hooks.lock().unwrap().clone()
    }

    /// All that was taken.
    pub(crate) fn taken(&self) -> Vec<Hook> {
        self.asked().into_iter().filter(|hook| hook.mood == Mood::Takes).collect()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

type Shared = (Arc<Mutex<Mood>>, Arc<Mutex<Vec<Hook>>>, Arc<Notify>);

async fn serve(mut stream: TcpStream, (mood, hooks, go): Shared) {
    let mut bytes = Vec::new();
    loop {
        let end = loop {
            if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                return;
            }
        };
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().unwrap())
        });
        let length = length.unwrap_or(0);
        while bytes.len() < end + length {
            if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                return;
            }
        }
        let body = bytes[end..end + length].to_vec();
        bytes.drain(..end + length);
        let mood = *mood.lock().unwrap();
        let line = head.lines().next().unwrap().trim_end_matches(" HTTP/1.1").to_owned();
        hooks.lock().unwrap().push(Hook { line, headers: head, body, mood });
        if mood == Mood::Waits {
            go.notified().await;
        }
        let answer: &[u8] = match mood {
            Mood::Takes | Mood::Waits => b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
            Mood::Refuses => b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
            Mood::Hangs => {
                // Until the other side has had enough.
                let _closed = tokio::time::timeout(Duration::from_secs(60), stream.read_u8()).await;
                return;
            }
        };
        if stream.write_all(answer).await.is_err() {
            return;
        }
    }
}
