//! Keys that a client publishes at an address of its own.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use actix_web::{App, HttpResponse, HttpServer, web};
use serde_json::{Value, json};

use super::{ask, client};
use crate::support::keys::{AppKey, assertion, es384};
use crate::support::{World, runtime};

/// An address that answers with what it is told to, and counts.
struct Publisher {
    address: String,
    answer: Arc<Mutex<(u16, String)>>,
    asked: Arc<AtomicUsize>,
    handle: actix_web::dev::ServerHandle,
}

impl Publisher {
    fn start(keys: &[&AppKey]) -> Self {
        let answer = Arc::new(Mutex::new((200, text(keys))));
        let asked = Arc::new(AtomicUsize::new(0));
        let (shared, count) = (answer.clone(), asked.clone());
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                let server = HttpServer::new(move || {
                    let (shared, count) = (shared.clone(), count.clone());
                    App::new().default_service(web::to(move || {
                        count.fetch_add(1, Ordering::SeqCst);
                        let (status, body) = shared.lock().unwrap().clone();
                        let status = actix_web::http::StatusCode::from_u16(status).unwrap();
                        let answer =
                            HttpResponse::build(status).insert_header(("location", "/moved")).body(body);
                        async { answer }
                    }))
                });
                let server = server.workers(1).disable_signals().bind(("127.0.0.1", 0)).unwrap();
                let address = server.addrs()[0];
                let running = server.run();
                sender.send((address, running.handle())).unwrap();
                running.await.unwrap();
            });
        });
        let (address, handle) = receiver.recv().unwrap();
        Self { address: format!("http://{address}/keys"), answer, asked, handle }
    }

    fn answers(&self, status: u16, body: String) {
        *self.answer.lock().unwrap() = (status, body);
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

fn text(keys: &[&AppKey]) -> String {
    json!({"keys": keys.iter().map(|key| &key.jwk).collect::<Vec<_>>()}).to_string()
}

/// Runs a test with a client whose keys are published.
fn test<T: Future<Output = ()>>(publisher: &Publisher, body: impl FnOnce(Arc<World>) -> T) {
    let published = publisher.address.parse().unwrap();
    runtime().block_on(async {
        let world = World::start(|options| {
            let client = client(Value::Null);
            options.clients.push(anamnesis_smart::Client { jwks: None, jwks_uri: Some(published), ..client });
        });
        let world = Arc::new(world.await);
        body(world.clone()).await;
        world.stop().await;
        publisher.handle.stop(false).await;
    });
}

#[test]
fn keys_are_fetched_once_for_many_and_again_for_one_that_is_unknown() {
    let (old, new) = (es384(), es384());
    let publisher = Publisher::start(&[&old]);
    test(&publisher, async |world| {
        let claims = || assertion("backend", &world.base);
        let said: Vec<String> = (0..10).map(|_| old.sign(&claims())).collect();
        for given in futures::future::join_all(said.iter().map(|said| ask(&world, said))).await {
            given.is_given();
        }
        assert_eq!(publisher.asked(), 1);
        // Unknown keys are no reason to ask again at once: anybody can send them.
        publisher.answers(200, text(&[&new]));
        for _ in 0..5 {
            ask(&world, &new.sign(&claims())).await.is_refused(401, "invalid_client");
        }
        assert_eq!(publisher.asked(), 1);
        // Another process has not asked yet.
        let other = world.beside().await;
        ask(&other, &old.sign(&claims())).await.is_refused(401, "invalid_client");
        ask(&other, &new.sign(&claims())).await.is_given();
        assert_eq!(publisher.asked(), 2);
        other.stop().await;
        // After ten seconds the change is seen, and what was withdrawn is good no more.
        let begun = std::time::Instant::now();
        loop {
            let answer = ask(&world, &new.sign(&claims())).await;
            if answer.status == 200 {
                break;
            }
            assert!(begun.elapsed().as_secs() < 12);
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
        assert!(publisher.asked() <= 4);
        ask(&world, &old.sign(&claims())).await.is_refused(401, "invalid_client");
    });
}

#[test]
fn what_is_no_key_set_is_refused() {
    let key = es384();
    let answers = [
        (500, text(&[&key])),
        (404, text(&[&key])),
        (302, text(&[&key])),
        (200, "no JSON".into()),
        (200, "[]".into()),
        (200, json!({"keys": []}).to_string()),
        (200, format!("{}{}", text(&[&key]), " ".repeat(300_000))),
        (200, json!({"keys": [{"kty": "oct", "k": "c2VjcmV0", "kid": key.kid}]}).to_string()),
    ];
    for (status, body) in answers {
        let publisher = Publisher::start(&[]);
        publisher.answers(status, body);
        test(&publisher, async |world| {
            let said = key.sign(&assertion("backend", &world.base));
            ask(&world, &said).await.is_refused(401, "invalid_client");
            assert_eq!(publisher.asked(), 1, "redirects are not followed");
        });
    }
}
