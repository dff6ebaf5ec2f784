//! An authority outside: a small real HTTP server with real keys, as an OpenID Connect provider has them.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use actix_web::{App, HttpResponse, HttpServer, web};
use anamnesis::access::assignment::{Holder, Roles};
use anamnesis::access::gate::Trusted;
use anamnesis::access::token::authority::{Authority as Known, Source};
use anamnesis::access::token::claims::{ClaimNames, Expected};
use anamnesis::access::token::issuer::Issuers;
use anamnesis::access::token::jwt::ALGORITHMS;
use anamnesis::access::token::keeper::{Keeper, KeeperOptions};
use anamnesis::access::{Gate, Role};
use anamnesis::clock;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

/// The audience that tokens of the tests are for.
pub(crate) const AUDIENCE: &str = "https://fhir.example";

/// What the authority says and how often it was asked.
#[derive(Default)]
struct State {
    keys: Vec<Value>,
    metadata: Option<Value>,
    status: Option<u16>,
    asked_for_metadata: usize,
    asked_for_keys: usize,
}

/// A running authority.
pub(crate) struct Authority {
    pub(crate) address: String,
    state: Arc<Mutex<State>>,
    handle: actix_web::dev::ServerHandle,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// A private key with its name.
#[derive(Clone)]
pub(crate) struct Key {
    pub(crate) id: String,
    algorithm: Algorithm,
    key: EncodingKey,
}

impl Key {
    /// A new key on P-256.
    pub(crate) fn new(id: &str) -> Self {
        let random = aws_lc_rs::rand::SystemRandom::new();
        let made = aws_lc_rs::signature::EcdsaKeyPair::generate_pkcs8(
            &aws_lc_rs::signature::ECDSA_P256_SHA256_FIXED_SIGNING,
            &random,
        );
        let key = EncodingKey::from_ec_der(made.unwrap().as_ref());
        Self { id: id.to_owned(), algorithm: Algorithm::ES256, key }
    }

    /// A key of RSA; making one takes long, so that it is the same for all tests.
    pub(crate) fn rsa(id: &str) -> Self {
        static MADE: OnceLock<Vec<u8>> = OnceLock::new();
        let der = MADE.get_or_init(|| {
            let pair = aws_lc_rs::rsa::KeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap();
            let der =
                aws_lc_rs::encoding::AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'_>>::as_der(&pair).unwrap();
            // Within PKCS #8 stands the RSAPrivateKey of RFC 8017, behind 26 bytes for a key of this size.
            der.as_ref()[26..].to_vec()
        });
        Self { id: id.to_owned(), algorithm: Algorithm::RS256, key: EncodingKey::from_rsa_der(der) }
    }

    /// The same key under another name.
    pub(crate) fn called(&self, id: &str) -> Self {
        Self { id: id.to_owned(), ..self.clone() }
    }

    /// The public key as it is published.
    pub(crate) fn public(&self) -> Value {
        let mut jwk = Jwk::from_encoding_key(&self.key, self.algorithm).unwrap();
        jwk.common.key_id = Some(self.id.clone());
        serde_json::to_value(jwk).unwrap()
    }

    /// Signs claims.
    pub(crate) fn sign(&self, claims: &Value) -> String {
        let mut header = Header::new(self.algorithm);
        header.kid = Some(self.id.clone());
        jsonwebtoken::encode(&header, claims, &self.key).unwrap()
    }
}

impl Authority {
    /// Starts one with these keys.
    pub(crate) fn start(keys: &[&Key]) -> Self {
        Self::start_at(keys, "127.0.0.1:0".parse().unwrap())
    }

    /// Starts one at an address.
    pub(crate) fn start_at(keys: &[&Key], at: SocketAddr) -> Self {
        let keys = keys.iter().map(|key| key.public()).collect();
        let state = Arc::new(Mutex::new(State { keys, ..State::default() }));
        let (sender, receiver) = std::sync::mpsc::channel();
        let shared = web::Data::from(state.clone());
        let thread = std::thread::spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                let server = HttpServer::new(move || {
                    App::new()
                        .app_data(shared.clone())
                        .route("/{realm}/.well-known/openid-configuration", web::get().to(metadata))
                        .route("/{realm}/keys", web::get().to(keys_of))
                });
                let server = server.workers(1).disable_signals().bind(at).unwrap();
                let address = *server.addrs().first().unwrap();
                let running = server.run();
                sender.send((address, running.handle())).unwrap();
                running.await.unwrap();
            });
        });
        let (address, handle) = receiver.recv().unwrap();
        let address = format!("http://{address}/clinic");
        Self { address, state, handle, thread: Some(thread) }
    }

    /// Publishes these keys from now on.
    pub(crate) fn publish(&self, keys: &[&Key]) {
        self.publish_json(keys.iter().map(|key| key.public()).collect());
    }

    /// The same with anything as keys.
    pub(crate) fn publish_json(&self, keys: Vec<Value>) {
        self.state.lock().unwrap().keys = keys;
    }

    /// Has other metadata than the usual.
    pub(crate) fn say(&self, metadata: Value) {
        self.state.lock().unwrap().metadata = Some(metadata);
    }

    /// Answers everything with this status; `None`: as usual.
    pub(crate) fn fail(&self, status: Option<u16>) {
        self.state.lock().unwrap().status = status;
    }

    /// How often it was asked for its keys.
    pub(crate) fn asked(&self) -> usize {
        self.state.lock().unwrap().asked_for_keys
    }

    /// How often it was asked for its metadata.
    pub(crate) fn asked_for_metadata(&self) -> usize {
        self.state.lock().unwrap().asked_for_metadata
    }

    /// Claims of this authority for a subject, good for ten minutes.
    pub(crate) fn claims(&self, subject: &str) -> Value {
        let now = clock::now().timestamp();
        json!({
            "iss": self.address, "aud": AUDIENCE, "sub": subject, "oid": subject,
            "exp": now + 600, "nbf": now, "iat": now, "azp": "an-app",
        })
    }

    /// What a service trusts of it.
    pub(crate) fn trusted(&self, options: KeeperOptions, roles: Roles) -> Trusted {
        let address: url::Url = self.address.parse().unwrap();
        let issuers = Issuers::of_authority(&address, &[]);
        let keeper = Keeper::start(address, (issuers, false), options).unwrap();
        let expected =
            Expected { audiences: vec![AUDIENCE.to_owned()], clock_skew_s: 60, names: ClaimNames::default() };
        let authority = Known {
            source: Source::Asked(Arc::new(keeper)),
            algorithms: ALGORITHMS.map(|(_, algorithm)| algorithm).into(),
            expected: Arc::new(expected),
        };
        Trusted { authority, roles, is_bounded_by_scopes: false, own: None, bases: Vec::new() }
    }

    /// A gate for which every role is assigned to the user of the same name.
    pub(crate) fn gate(&self) -> Arc<Gate> {
        self.gate_with(KeeperOptions::default())
    }

    /// The same, the authority being asked in another way.
    pub(crate) fn gate_with(&self, options: KeeperOptions) -> Arc<Gate> {
        Gate::guarded(vec![self.trusted(options, every_role())])
    }
}

/// Each role is assigned to the user who is called like it.
pub(crate) fn every_role() -> Roles {
    let mut roles = Roles::default();
    for role in Role::all() {
        roles.assign(role, Holder::User, role.name());
    }
    roles
}

/// An authority that is asked without delay.
pub(crate) fn quick() -> KeeperOptions {
    KeeperOptions { unknown_key_every: Duration::ZERO, ..KeeperOptions::default() }
}

/// The header of a request with a token.
pub(crate) fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

impl Drop for Authority {
    fn drop(&mut self) {
        drop(self.handle.stop(false));
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

async fn metadata(request: actix_web::HttpRequest, state: web::Data<Mutex<State>>) -> HttpResponse {
    let mut state = state.lock().unwrap();
    state.asked_for_metadata += 1;
    if let Some(answer) = failure(&state) {
        return answer;
    }
    let own = format!("http://{}/clinic", request.connection_info().host());
    let usual = json!({"issuer": own, "jwks_uri": format!("{own}/keys")});
    HttpResponse::Ok().json(state.metadata.as_ref().unwrap_or(&usual))
}

async fn keys_of(state: web::Data<Mutex<State>>) -> HttpResponse {
    let mut state = state.lock().unwrap();
    state.asked_for_keys += 1;
    failure(&state).unwrap_or_else(|| HttpResponse::Ok().json(json!({ "keys": state.keys })))
}

fn failure(state: &State) -> Option<HttpResponse> {
    let status = actix_web::http::StatusCode::from_u16(state.status?).unwrap();
    Some(HttpResponse::build(status).body("a secret"))
}
