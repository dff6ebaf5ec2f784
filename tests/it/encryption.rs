//! A service that holds the master keys: a real HTTP server that speaks the documented protocol.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use anamnesis::encryption::KeyService;
use anamnesis_engines::testing;
use anamnesis_events::keys::{
    Encryption, LocalMasterKeys, MasterKeyError, MasterKeys, Wrapped, parse_master_keys,
};
use anamnesis_events::{Log, LogError, LogOptions};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::support::runtime;

const PATIENCE: Duration = Duration::from_secs(30);
const SECRET: &str = "a-shared-secret";
const OLD: &str = "old:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
const NEW: &str = "new:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";

/// What the service holds, and what it was asked.
struct Held {
    keys: LocalMasterKeys,
    asked: Mutex<Vec<String>>,
}

async fn answer(held: web::Data<Held>, request: HttpRequest, body: web::Json<Value>) -> HttpResponse {
    let bearer = request.headers().get("authorization").and_then(|value| value.to_str().ok());
    if bearer != Some(&format!("Bearer {SECRET}")) {
        return HttpResponse::Unauthorized().finish();
    }
    held.asked.lock().unwrap().push(request.path().to_owned());
    let bytes = |name: &str| STANDARD.decode(body[name].as_str().unwrap()).unwrap();
    match request.path() {
        "/keys/current" => HttpResponse::Ok().json(json!({"key": held.keys.first()})),
        "/keys/wrap" => {
            let wrapped = held.keys.wrap(&bytes("context"), &bytes("plaintext")).await.unwrap();
            let encoded = STANDARD.encode(wrapped.bytes);
            HttpResponse::Ok().json(json!({"key": wrapped.master_key, "wrapped": encoded}))
        }
        "/keys/unwrap" => {
            let master_key = body["key"].as_str().unwrap().to_owned();
            let wrapped = Wrapped { master_key, bytes: bytes("wrapped") };
            match held.keys.unwrap(&bytes("context"), &wrapped).await {
                Ok(key) => HttpResponse::Ok().json(json!({"plaintext": STANDARD.encode(&key[..])})),
                Err(MasterKeyError::Unknown(_)) => HttpResponse::NotFound().finish(),
                Err(_) => HttpResponse::UnprocessableEntity().finish(),
            }
        }
        "/odd/current" => HttpResponse::Ok().json(json!({"key": "a name"})),
        "/long/current" => HttpResponse::Ok().body(vec![b' '; 100_000]),
        _ => HttpResponse::InternalServerError().body("a stack trace with secrets"),
    }
}

/// Its address without a path; it ends when the handle is stopped.
async fn start(keys: &str) -> (String, web::Data<Held>, actix_web::dev::ServerHandle) {
    let held = web::Data::new(Held { keys: parse_master_keys(keys).unwrap(), asked: Mutex::default() });
    let (sender, receiver) = std::sync::mpsc::channel();
    let of_server = held.clone();
    std::thread::spawn(move || {
        actix_web::rt::System::new().block_on(async move {
            let server = HttpServer::new(move || {
                App::new().app_data(of_server.clone()).default_service(web::to(answer))
            })
            .workers(1)
            .disable_signals()
            .bind(("127.0.0.1", 0))
            .unwrap();
            let address = *server.addrs().first().unwrap();
            let running = server.run();
            sender.send((address, running.handle())).unwrap();
            running.await.unwrap();
        });
    });
    let (address, handle) = receiver.recv().unwrap();
    (format!("http://{address}"), held, handle)
}

fn service(url: &str, path: &str) -> KeyService {
    KeyService::new(&format!("{url}{path}"), SECRET, PATIENCE).unwrap()
}

#[test]
fn a_log_is_sealed_with_keys_that_a_service_wraps() {
    runtime().block_on(async {
        let (url, held, handle) = start(OLD).await;
        let database = testing::postgres().await.fresh_database().await;
        let options = |secret: &str| {
            let service = KeyService::new(&format!("{url}/keys"), secret, PATIENCE).unwrap();
            LogOptions { encryption: Some(Encryption::new(Arc::new(service))), ..LogOptions::default() }
        };
        let refused = Log::open(&database, "default", options("another")).await.unwrap_err();
        assert!(matches!(&refused, LogError::MasterKey(MasterKeyError::Unavailable(_))), "{refused}");
        assert!(refused.to_string().contains("status 401"), "{refused}");
        let log = Log::open(&database, "default", options(SECRET)).await.unwrap();
        log.close().await;
        assert!(Log::open(&database, "default", options(SECRET)).await.is_ok());
        assert!(held.asked.lock().unwrap().contains(&"/keys/wrap".to_owned()));
        handle.stop(false).await;
        let refused = Log::open(&database, "default", options(SECRET)).await.unwrap_err();
        assert!(matches!(&refused, LogError::MasterKey(MasterKeyError::Unavailable(_))), "{refused}");
    });
}

#[test]
fn the_service_answers_for_one_context_and_its_errors_tell_nothing() {
    runtime().block_on(async {
        let (url, _held, handle) = start(&format!("{NEW}\n{OLD}")).await;
        let keys = service(&url, "/keys/");
        assert_eq!(keys.current().await.unwrap(), "new");
        let wrapped = keys.wrap(b"here", &[7; 32]).await.unwrap();
        assert_eq!(wrapped.master_key, "new");
        assert_eq!(&keys.unwrap(b"here", &wrapped).await.unwrap()[..], &[7; 32]);
        assert_eq!(keys.unwrap(b"there", &wrapped).await, Err(MasterKeyError::Wrong("new".into())));
        let unknown = Wrapped { master_key: "gone".into(), ..wrapped };
        assert_eq!(keys.unwrap(b"here", &unknown).await, Err(MasterKeyError::Unknown("gone".into())));
        for (path, fault) in [("/odd", "cannot be named"), ("/long", "too long"), ("/broken", "status 500")] {
            let told = service(&url, path).current().await.unwrap_err().to_string();
            assert!(told.contains(fault), "{told}");
            assert!(!told.contains("secrets") && !told.contains(SECRET) && !told.contains(&url), "{told}");
        }
        handle.stop(false).await;
    });
}

#[test]
fn keys_are_sent_over_https_unless_they_stay_on_this_machine() {
    let made = |url: &str, secret: &str| {
        KeyService::new(url, secret, PATIENCE).map(|_| ()).map_err(|e| e.to_string())
    };
    assert_eq!(made("https://kms.example/v1", "s"), Ok(()));
    assert_eq!(made("http://localhost:8200/v1", "s"), Ok(()));
    assert_eq!(made("http://[::1]:8200", "s"), Ok(()));
    for url in ["http://kms.example/v1", "http://10.0.0.1", "ftp://localhost", "kms"] {
        assert!(made(url, "s").is_err(), "{url}");
    }
    let told = made("https://kms.example", "a\nb").unwrap_err();
    assert!(!told.contains('\n') && told.contains("header"), "{told}");
}
