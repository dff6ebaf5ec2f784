//! What the tests share: a server on a port of its own, an app that asks it, and a host that remembers.

pub(crate) mod browser;
pub(crate) mod host;
pub(crate) mod html;
pub(crate) mod keys;

use std::future::Future;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use actix_web::{App, HttpServer, web};
use anamnesis_engines::testing::postgres;
use anamnesis_smart::{Approval, AuthMethod, Client, GrantType, LaunchContext, SmartOptions, SmartServer};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::header::HeaderMap;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::OnceCell;
use tokio_postgres::NoTls;
use uuid::Uuid;

pub(crate) use host::TestHost;

/// What a client of the tests says for its code challenge.
pub(crate) const VERIFIER: &str = "a-verifier-that-is-long-enough-for-the-rules-of-RFC-7636";
/// The secret of the clients with one.
pub(crate) const SECRET: &str = "a-secret-of-more-than-thirty-two-characters";
/// Where the apps of the tests want codes.
pub(crate) const REDIRECT: &str = "https://app.example/callback";

/// A server, and the one who asks it.
pub(crate) struct World {
    pub(crate) server: SmartServer,
    pub(crate) host: Arc<TestHost>,
    /// The service's base: the issuer.
    pub(crate) base: String,
    /// Where this process listens; the base of the first one.
    pub(crate) at: String,
    pub(crate) database: String,
    pub(crate) http: reqwest::Client,
    workspace: String,
    options: SmartOptions,
    handle: actix_web::dev::ServerHandle,
}

/// What came back.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

pub(crate) fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap())
}

/// Runs a test against a server with the usual clients.
pub(crate) fn test<F, T>(body: F)
where
    F: FnOnce(Arc<World>) -> T,
    T: Future<Output = ()>,
{
    test_with(|_| {}, body);
}

/// Runs a test against a server that is set up for it.
pub(crate) fn test_with<F, T>(setup: impl FnOnce(&mut SmartOptions), body: F)
where
    F: FnOnce(Arc<World>) -> T,
    T: Future<Output = ()>,
{
    runtime().block_on(async {
        let world = Arc::new(World::start(setup).await);
        body(world.clone()).await;
        world.stop().await;
    });
}

/// Waits until something is so, for twenty seconds at most.
pub(crate) async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    for _ in 0..2_000 {
        if is_so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never: {what}");
}

impl World {
    /// A server of a new workspace, in the database that the tests share.
    pub(crate) async fn start(setup: impl FnOnce(&mut SmartOptions)) -> Self {
        static SHARED: OnceCell<String> = OnceCell::const_new();
        let database = SHARED.get_or_init(async || postgres().await.fresh_database().await).await;
        Self::start_in((database, true), setup).await
    }

    /// A server with a database of its own, which a test may break.
    pub(crate) async fn alone() -> Self {
        let database = postgres().await.fresh_database().await;
        Self::start_in((&database, false), |_| {}).await
    }

    /// A server of a new workspace in this database.
    async fn start_in((database, is_shared): (&str, bool), setup: impl FnOnce(&mut SmartOptions)) -> Self {
        let workspace = Uuid::new_v4().to_string();
        let (listener, address) = listener();
        let base = format!("http://{address}/{workspace}/fhir");
        let mut options = SmartOptions::new(&workspace, "fhir", &base);
        options.clients = vec![public(), basic(), post()];
        setup(&mut options);
        let host = Arc::new(TestHost::default());
        if is_shared {
            give_key(database, &workspace).await;
        }
        Self::start_on(database.to_owned(), options, host, (listener, base)).await
    }

    /// Another process on the same tables, for the same service.
    pub(crate) async fn beside(&self) -> Self {
        self.beside_with(|_| {}).await
    }

    /// Another process on the same tables, set up otherwise.
    pub(crate) async fn beside_with(&self, setup: impl FnOnce(&mut SmartOptions)) -> Self {
        let (listener, address) = listener();
        let at = format!("http://{address}/{}/fhir", self.workspace);
        let mut options = self.options.clone();
        setup(&mut options);
        let host = Arc::new(self.host.beside());
        Self::start_on(self.database.clone(), options, host, (listener, at)).await
    }

    async fn start_on(
        database: String,
        options: SmartOptions,
        host: Arc<TestHost>,
        (listener, at): (TcpListener, String),
    ) -> Self {
        let server = SmartServer::open(&database, options.clone(), host.clone()).await.unwrap();
        let mounted = server.clone();
        let path = format!("/{}/fhir", options.workspace);
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                let running = HttpServer::new(move || {
                    let mounted = mounted.clone();
                    App::new().service(web::scope(&path).configure(|routes| mounted.configure(routes)))
                })
                .workers(2)
                .disable_signals()
                .listen(listener)
                .unwrap()
                .run();
                sender.send(running.handle()).unwrap();
                running.await.unwrap();
            });
        });
        let handle = receiver.recv().unwrap();
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
        Self {
            server,
            host,
            base: options.base.clone(),
            at,
            database,
            http: http.timeout(Duration::from_secs(20)).build().unwrap(),
            workspace: options.workspace.clone(),
            options,
            handle,
        }
    }

    pub(crate) async fn stop(&self) {
        self.handle.stop(false).await;
        self.server.close().await;
    }

    /// The tables.
    pub(crate) async fn tables(&self) -> tokio_postgres::Client {
        let (client, connection) = tokio_postgres::connect(&self.database, NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    }

    /// The number of the workspace in the tables.
    pub(crate) async fn realm(&self) -> i16 {
        let query = "SELECT realm FROM anamnesis.smart_realm WHERE workspace = $1";
        self.tables().await.query_one(query, &[&self.workspace]).await.unwrap().get(0)
    }

    /// Somebody who may sign in.
    pub(crate) async fn user(&self) -> Uuid {
        let id = Uuid::new_v4();
        let statement =
            "INSERT INTO anamnesis.smart_user (realm, id, name, display, fhir_user, made_at, changed_at)
             VALUES ($1, $2, $3, 'A User', 'Practitioner/1', now(), now())";
        let realm = self.realm().await;
        self.tables().await.execute(statement, &[&realm, &id, &id.to_string()]).await.unwrap();
        id
    }

    /// What somebody has let a client do.
    pub(crate) async fn approval(&self, client: &str, scope: &str) -> Approval {
        approval(client, scope, self.user().await)
    }

    /// A code for what somebody has let a client do.
    pub(crate) async fn code(&self, client: &str, scope: &str) -> String {
        self.server.approve(&self.approval(client, scope).await).await.unwrap()
    }

    /// Asks the token endpoint.
    pub(crate) async fn token(&self, form: &[(&str, &str)]) -> Answer {
        self.post("/auth/token", form, &[]).await
    }

    /// Posts a form below the base.
    pub(crate) async fn post(&self, path: &str, form: &[(&str, &str)], headers: &[(&str, &str)]) -> Answer {
        let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let mut request = self.http.post(format!("{}{path}", self.at)).body(form);
        request = request.header("content-type", "application/x-www-form-urlencoded");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        answer(request).await
    }

    /// Gets what is below the base.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        answer(self.http.get(format!("{}{path}", self.at))).await
    }

    /// Redeems a code of the public client.
    pub(crate) async fn redeem(&self, code: &str) -> Answer {
        self.token(&redeeming("public", code)).await
    }
}

impl Answer {
    /// The text of a member of the body.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.body[name].as_str().unwrap_or_else(|| panic!("no `{name}` in {:?}", self.body))
    }

    /// Checks that it is an error of OAuth.
    #[track_caller]
    pub(crate) fn is_refused(&self, status: u16, error: &str) -> &Self {
        assert_eq!((self.status, self.body["error"].as_str()), (status, Some(error)), "{:?}", self.body);
        assert!(self.body["error_description"].is_string());
        assert_eq!(self.headers["cache-control"], "no-store");
        self
    }

    /// Checks that it is a success.
    #[track_caller]
    pub(crate) fn is_given(&self) -> &Self {
        assert_eq!(self.status, 200, "{:?}", self.body);
        self
    }
}

/// Gives a new workspace the key of the first one, since making one takes seconds where cryptography is not optimised.
async fn give_key(database: &str, workspace: &str) {
    const FIRST: &str = "first";
    static MADE: OnceCell<()> = OnceCell::const_new();
    let make = async || {
        let options = SmartOptions::new(FIRST, "fhir", "https://ehr.example/fhir");
        SmartServer::open(database, options, Arc::new(TestHost::default())).await.unwrap().close().await;
    };
    MADE.get_or_init(make).await;
    let (client, connection) = tokio_postgres::connect(database, NoTls).await.unwrap();
    tokio::spawn(connection);
    let insert = "INSERT INTO anamnesis.smart_realm (workspace) VALUES ($1)";
    client.execute(insert, &[&workspace]).await.unwrap();
    let query =
        "SELECT k.kid, k.private FROM anamnesis.smart_key k JOIN anamnesis.smart_realm r USING (realm)
         WHERE r.workspace = $1";
    let row = client.query_one(query, &[&FIRST]).await.unwrap();
    let (kid, sealed): (String, Vec<u8>) = (row.get(0), row.get(1));
    let sealed = host::sealed_for(
        &format!("smart-key/{FIRST}/{kid}"),
        &format!("smart-key/{workspace}/{kid}"),
        &sealed,
    );
    let copy = "INSERT INTO anamnesis.smart_key (realm, kid, algorithm, public, private, made_at, signs_from)
         SELECT n.realm, k.kid, k.algorithm, k.public, $3, k.made_at, k.signs_from
         FROM anamnesis.smart_key k JOIN anamnesis.smart_realm r USING (realm), anamnesis.smart_realm n
         WHERE r.workspace = $1 AND n.workspace = $2";
    assert_eq!(client.execute(copy, &[&FIRST, &workspace, &sealed]).await.unwrap(), 1);
}

/// Sends a request.
pub(crate) async fn answer(request: reqwest::RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let bytes = response.bytes().await.unwrap();
    Answer { status, headers, body: serde_json::from_slice(&bytes).unwrap_or(Value::Null) }
}

/// The form that redeems a code of a client that does not show who it is.
pub(crate) fn redeeming<'a>(client: &'a str, code: &'a str) -> [(&'static str, &'a str); 5] {
    [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", REDIRECT),
        ("client_id", client),
        ("code_verifier", VERIFIER),
    ]
}

/// What somebody has let a client do.
pub(crate) fn approval(client: &str, scope: &str, user: Uuid) -> Approval {
    Approval {
        service: "fhir".into(),
        client: client.into(),
        user,
        fhir_user: Some("Practitioner/1".into()),
        display: "A User".into(),
        scope: scope.into(),
        context: LaunchContext { patient: Some("p1".into()), ..LaunchContext::default() },
        redirect_uri: REDIRECT.into(),
        code_challenge: URL_SAFE_NO_PAD.encode(Sha256::digest(VERIFIER)),
        nonce: Some("n-0".into()),
        signed_in_at: chrono::Utc::now(),
        session_digest: None,
        emergency_reason: None,
    }
}

/// A claim set without looking at its signature.
pub(crate) fn claims(token: &str) -> Value {
    part(token, 1)
}

/// A part of a JWT.
pub(crate) fn part(token: &str, index: usize) -> Value {
    let part = token.split('.').nth(index).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

/// An app in a browser.
pub(crate) fn public() -> Client {
    Client {
        id: "public".into(),
        name: "A Public App".into(),
        auth_method: AuthMethod::None,
        grant_types: vec![GrantType::AuthorizationCode, GrantType::RefreshToken],
        redirect_uris: vec![REDIRECT.into()],
        scope: "launch launch/patient openid fhirUser profile offline_access online_access \
                patient/*.rs user/*.rs break-glass"
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" "),
        secret_digest: None,
        jwks: None,
        jwks_uri: None,
        client_uri: None,
        initiate_login_uri: None,
        is_trusted: false,
        may_introspect: false,
    }
}

/// An app on a server, with a secret in the header.
pub(crate) fn basic() -> Client {
    let digest = Sha256::digest(SECRET).iter().map(|byte| format!("{byte:02x}")).collect();
    let scope = format!("{} system/*.rs", public().scope);
    Client {
        id: "basic".into(),
        name: "A Confidential App".into(),
        auth_method: AuthMethod::ClientSecretBasic,
        grant_types: vec![
            GrantType::AuthorizationCode,
            GrantType::RefreshToken,
            GrantType::ClientCredentials,
        ],
        scope,
        secret_digest: Some(digest),
        ..public()
    }
}

/// The same, with its secret in the form.
pub(crate) fn post() -> Client {
    Client { id: "post".into(), auth_method: AuthMethod::ClientSecretPost, ..basic() }
}

/// The header of a client with a secret.
pub(crate) fn basic_header(id: &str, secret: &str) -> String {
    let pair = format!("{id}:{secret}");
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))
}

fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}
