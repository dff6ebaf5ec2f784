//! A real HTTP server that answers by a script and remembers what it was sent.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use futures::stream;
use serde_json::{Value, json};
use tokio::sync::watch;

/// What the server answers to one bundle. When the script is at its end, everything is accepted.
pub(super) enum Answer {
    /// This status with this many seconds in `Retry-After`.
    Busy(u16, u32),
    /// This status with this body.
    Refuse(u16, String),
    /// Status 200 with this body.
    Accept(String),
    /// Everything is accepted, once so many bundles have come in.
    Together(usize),
    /// Everything was accepted before, under the request's key.
    Replay,
    /// The connection breaks in the middle of the answer.
    Break,
    /// The server answers nothing and is gone.
    StopServing,
}

/// The server.
pub(super) struct Peer {
    pub(super) address: String,
    script: web::Data<Script>,
    handle: ServerHandle,
}

struct Script {
    answers: Mutex<VecDeque<Answer>>,
    received: Mutex<Vec<Value>>,
    keys: Mutex<Vec<String>>,
    count: watch::Sender<usize>,
    under_way: AtomicUsize,
    most_at_once: AtomicUsize,
    handle: Mutex<Option<ServerHandle>>,
}

impl Peer {
    /// Starts a server on a free port.
    pub(super) async fn start(answers: Vec<Answer>) -> Self {
        let script = web::Data::from(Arc::new(Script {
            answers: Mutex::new(answers.into()),
            received: Mutex::default(),
            keys: Mutex::default(),
            count: watch::Sender::new(0),
            under_way: AtomicUsize::new(0),
            most_at_once: AtomicUsize::new(0),
            handle: Mutex::default(),
        }));
        let shared = script.clone();
        let server = HttpServer::new(move || {
            App::new()
                .app_data(shared.clone())
                .route("/fhir/metadata", web::get().to(HttpResponse::Ok))
                .route("/fhir", web::post().to(answer))
                .route("/fhir/Patient/{id}", web::get().to(read))
        });
        let server = server.workers(1).disable_signals().shutdown_timeout(1).bind(("127.0.0.1", 0)).unwrap();
        let address = format!("http://{}/fhir/", server.addrs()[0]);
        let server = server.run();
        let handle = server.handle();
        *script.handle.lock().unwrap() = Some(handle.clone());
        actix_web::rt::spawn(server);
        Self { address, script, handle }
    }

    /// The bundles that have come in, in their order.
    pub(super) fn received(&self) -> Vec<Value> {
        self.script.received.lock().unwrap().clone()
    }

    /// The idempotency keys of the bundles; empty where there was none.
    pub(super) fn keys(&self) -> Vec<String> {
        self.script.keys.lock().unwrap().clone()
    }

    /// Waits until so many bundles have come in.
    pub(super) async fn until_received(&self, count: usize) {
        let mut watched = self.script.count.subscribe();
        watched.wait_for(|received| *received >= count).await.unwrap();
    }

    /// How many requests were under way at once at most.
    pub(super) fn most_at_once(&self) -> usize {
        self.script.most_at_once.load(Ordering::SeqCst)
    }

    /// Ends the server.
    pub(super) async fn stop(self) {
        self.handle.stop(false).await;
    }
}

/// Gives the resource as the server of the test `verification…` would have stored it.
async fn read(id: web::Path<String>) -> HttpResponse {
    match id.as_str() {
        "right" => {
            HttpResponse::Ok().body(r#"{"resourceType":"Patient","id":"right","multipleBirthInteger":1}"#)
        }
        "wrong" => {
            HttpResponse::Ok().body(r#"{"resourceType":"Patient","id":"wrong","multipleBirthInteger":2}"#)
        }
        _ => HttpResponse::Gone().finish(),
    }
}

async fn answer(script: web::Data<Script>, request: HttpRequest, body: web::Bytes) -> HttpResponse {
    let key = request.headers().get("idempotency-key").map(|key| key.to_str().unwrap());
    script.keys.lock().unwrap().push(key.unwrap_or_default().to_owned());
    let bundle: Value = serde_json::from_slice(&body).unwrap();
    let entries = bundle["entry"].as_array().unwrap().len();
    script.received.lock().unwrap().push(bundle);
    script.count.send_modify(|count| *count += 1);
    let at_once = script.under_way.fetch_add(1, Ordering::SeqCst) + 1;
    script.most_at_once.fetch_max(at_once, Ordering::SeqCst);
    let answer = script.answers.lock().unwrap().pop_front();
    if let Some(Answer::Together(count)) = answer {
        script.count.subscribe().wait_for(|received| *received >= count).await.unwrap();
    }
    script.under_way.fetch_sub(1, Ordering::SeqCst);
    let with_status = |status| HttpResponse::build(actix_web::http::StatusCode::from_u16(status).unwrap());
    match answer {
        None | Some(Answer::Together(_) | Answer::Replay) => {
            let entry = json!({"response": {"status": "201 Created"}});
            let accepted: Vec<_> = (0..entries).map(|_| entry.clone()).collect();
            let mut response = HttpResponse::Ok();
            if let Some(Answer::Replay) = answer {
                response.insert_header(("Idempotent-Replayed", "true"));
            }
            response.json(json!({"resourceType": "Bundle", "entry": accepted}))
        }
        Some(Answer::Busy(status, seconds)) => {
            with_status(status).insert_header(("Retry-After", seconds.to_string())).finish()
        }
        Some(Answer::Refuse(status, body)) => with_status(status).body(body),
        Some(Answer::Accept(body)) => HttpResponse::Ok().body(body),
        Some(Answer::Break) => broken(),
        Some(Answer::StopServing) => {
            let handle = script.handle.lock().unwrap().clone();
            actix_web::rt::spawn(handle.unwrap().stop(false));
            broken()
        }
    }
}

/// An answer that begins and then breaks off.
fn broken() -> HttpResponse {
    let error = std::io::Error::other("broken off by the script");
    let parts = [Ok(web::Bytes::from_static(b"{\"resourceType\"")), Err(error)];
    HttpResponse::Ok().streaming(stream::iter(parts))
}
