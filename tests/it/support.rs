//! A server of its own for each test: fresh database, real log, real actors, a free port.

pub(crate) mod authority;
mod hold;

use std::future::Future;
use std::sync::OnceLock;

use actix_web::{App, HttpServer};
use anamnesis::access::Gate;
use anamnesis::actors::{ActorOptions, Compartments};
use anamnesis::api::{self, ApiOptions, Guard, GuardOptions, Service, Services};
use anamnesis::audit::{Audit, Mode, Networks};
use anamnesis::decide::Rules;
use anamnesis::exports::{ExportOptions, Exports};
use anamnesis::purges::Purges;
use anamnesis::search_parameters::{FullText, Keeper, StoredParameters};
use anamnesis::subscriptions::{Subscribing, SubscriptionOptions, Subscriptions};
use anamnesis_audit::{AuditLog, AuditOptions};
use anamnesis_engines::testing;
use anamnesis_events::{Log, LogOptions};
use anamnesis_projections::search::{SearchIndex, SearchProjection};
use anamnesis_projections::terminology::TerminologyIndex;
use anamnesis_projections::{Database, DatabaseOptions, RunnerOptions, Supervisor, SupervisorOptions};
use reqwest::header::HeaderMap;
use reqwest::{Method, StatusCode};
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};

pub(crate) use hold::{Hold, eventually, in_time};

/// How a test's server is set up.
#[derive(Default)]
pub(crate) struct Setup {
    pub(crate) rules: Rules,
    pub(crate) api: ApiOptions,
    pub(crate) actors: ActorOptions,
    pub(crate) log: LogOptions,
    /// Whether stored terminology is projected.
    pub(crate) terminology: bool,
    pub(crate) subscriptions: Option<SubscriptionOptions>,
    /// Whether the words of texts are indexed.
    pub(crate) full_text: FullText,
    /// Who is let in; everybody where nothing is said.
    pub(crate) gate: Option<std::sync::Arc<Gate>>,
    /// What stands before the service.
    pub(crate) guard: GuardOptions,
    /// How exports are done.
    pub(crate) exports: ExportOptions,
    /// Whether accesses are put on record, and what becomes of those that cannot be.
    pub(crate) audit: Option<(AuditOptions, Mode)>,
}

/// A running server.
pub(crate) struct Server {
    pub(crate) base: String,
    pub(crate) root: String,
    pub(crate) log: Log,
    /// The address of its database.
    pub(crate) database: String,
    pub(crate) compartments: Compartments,
    pub(crate) service: std::sync::Arc<Service>,
    pub(crate) client: reqwest::Client,
    pub(crate) projection: std::sync::Arc<Supervisor>,
    keeper: std::sync::Arc<Keeper>,
    purges: std::sync::Arc<Purges>,
    terminology: Option<std::sync::Arc<Supervisor>>,
    pub(crate) subscriptions: Option<Subscriptions>,
    pub(crate) exports: Exports,
    pub(crate) index: SearchIndex,
    pub(crate) audit: Option<AuditLog>,
    pub(crate) auditing: Option<Audit>,
    handle: actix_web::dev::ServerHandle,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// What came back.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) bytes: Vec<u8>,
}

pub(crate) fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap())
}

/// Runs a test against a server with default settings.
pub(crate) fn test<F, T>(body: F)
where
    F: FnOnce(std::sync::Arc<Server>) -> T,
    T: Future<Output = ()>,
{
    test_with(Setup::default(), body);
}

/// Runs a test against a server set up for it.
pub(crate) fn test_with<F, T>(setup: Setup, body: F)
where
    F: FnOnce(std::sync::Arc<Server>) -> T,
    T: Future<Output = ()>,
{
    runtime().block_on(async {
        let server = std::sync::Arc::new(Server::start(setup).await);
        body(server.clone()).await;
        server.stop().await;
    });
}

/// Serves HTTP on a thread of its own until the handle stops it.
fn serve(
    services: Services,
    guard: Guard,
) -> (std::net::SocketAddr, actix_web::dev::ServerHandle, std::thread::JoinHandle<()>) {
    let (sender, receiver) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        actix_web::rt::System::new().block_on(async move {
            let server = HttpServer::new(move || {
                App::new()
                    .app_data(actix_web::web::Data::new(guard.clone()))
                    .wrap(actix_web::middleware::Compress::default())
                    .wrap(actix_web::middleware::from_fn(api::tell))
                    .wrap(actix_web::middleware::from_fn(api::guard))
                    .wrap(actix_web::middleware::from_fn(anamnesis::telemetry::observe))
                    .configure(api::configure(services.clone()))
                    .default_service(actix_web::web::to(api::not_found))
            })
            .workers(2)
            // The one that asks closes first. By a timer, a server that is held up for as long, which a busy machine can do
            // to it, closes connections on which the next request has arrived already.
            .keep_alive(actix_web::http::KeepAlive::Os)
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
    (address, handle, thread)
}

impl Server {
    /// A server on a database of its own; whoever asks for it stops it.
    pub(crate) async fn start(setup: Setup) -> Server {
        let url = testing::postgres().await.fresh_database().await;
        Self::start_on(url, setup).await
    }

    /// Another server on the database of this one; whoever asks for it stops it.
    pub(crate) async fn beside(&self) -> Server {
        self.beside_with(Setup::default()).await
    }

    /// The same, set up otherwise.
    pub(crate) async fn beside_with(&self, setup: Setup) -> Server {
        Self::start_on(self.database.clone(), setup).await
    }

    /// Stops the server in the order of the data's way.
    pub(crate) async fn stop(&self) {
        self.handle.stop(false).await;
        if let Some(subscriptions) = &self.subscriptions {
            subscriptions.stop().await;
        }
        self.exports.stop().await;
        self.purges.stop().await;
        self.compartments.stop();
        self.keeper.stop().await;
        self.projection.stop().await;
        if let Some(terminology) = &self.terminology {
            terminology.stop().await;
        }
        self.log.close().await;
        if let Some(audit) = &self.auditing {
            audit.close().await;
        }
    }

    async fn start_on(url: String, mut setup: Setup) -> Server {
        let log = Log::open(&url, "default", setup.log).await.unwrap();
        let parameters = std::sync::Arc::new(StoredParameters::new(log.clone()));
        let database = Database::new(&url, &DatabaseOptions::default()).unwrap();
        let (projection, index) = search(&database, &log, setup.full_text).await;
        let beside = (index.clone(), projection.clone());
        let keeper = Keeper::start(&url, &log, parameters.clone(), beside, setup.full_text).await.unwrap();
        let audit = audit(setup.audit.take(), &url).await;
        let auditing = audit.as_ref().map(|(_, audit)| audit.clone());
        let subscribing = setup.subscriptions.take();
        let subscribing = subscribing.map(|options| {
            let subscribing = Subscribing::new(log.number(), "http://here/fhir", options).unwrap();
            subscribing.with_parameters(keeper.clone()).with_audit(auditing.clone(), "fhir")
        });
        setup.rules.checks.extend(subscribing.as_ref().map(Subscribing::check));
        setup.rules.checks.push(parameters.check());
        let exports = exports(&url, (&log, &index), setup.rules.bases.clone(), setup.exports).await;
        let compartments = Compartments::start(log.clone(), setup.rules, setup.actors).unwrap();
        let purges = Purges::start(&log, vec![compartments.clone()], Some(exports.clone()));
        let (terminology, definitions) = terminology(setup.terminology, &database, &log).await;
        let service = Service::new("default", "fhir", log.clone(), compartments.clone(), setup.api);
        let service = service.with_search(index.clone()).with_projection(projection.clone());
        let mut service =
            service.with_terminology(definitions).with_parameters(parameters).with_keeper(keeper.clone());
        service = service.with_purges(purges.clone());
        if let Some(terminology) = &terminology {
            service = service.with_projection(terminology.clone());
        }
        let subscriptions = subscribing
            .map(|subscribing| Subscriptions::start(&url, &log, &compartments, subscribing).unwrap());
        if let Some(subscriptions) = &subscriptions {
            service = service.with_subscriptions(subscriptions.clone());
        }
        service = service.with_exports(exports.clone());
        if let Some(gate) = setup.gate {
            service = service.with_gate(gate);
        }
        let mut services = Services::new(vec![service]);
        if let Some((_, audit)) = &audit {
            services = services.with_audits([("default".to_owned(), audit.clone())].into());
        }
        let service = services.find("default", "fhir").unwrap().clone();
        let (address, handle, thread) = serve(services, Guard::new(setup.guard));
        let root = format!("http://{address}");
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let base = format!("{root}/default/fhir");
        Server {
            base,
            root,
            database: url,
            log,
            compartments,
            service,
            client,
            projection,
            keeper,
            purges,
            terminology,
            subscriptions,
            exports,
            index,
            auditing,
            audit: audit.map(|(log, _)| log),
            handle,
            thread: Some(thread),
        }
    }

    /// Sends a request; `path` is below the service's base.
    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<reqwest::Body>,
    ) -> Answer {
        self.exchange(method, &format!("{}{path}", self.base), headers, body).await
    }

    /// Sends a request; `path` is below the workspace.
    pub(crate) async fn workspace(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<reqwest::Body>,
    ) -> Answer {
        self.exchange(method, &format!("{}/default{path}", self.root), headers, body).await
    }

    async fn exchange(
        &self,
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
        body: impl Into<reqwest::Body>,
    ) -> Answer {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = self.client.request(method, url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.body(body).send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        Answer { status, headers, bytes: response.bytes().await.unwrap().to_vec() }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], "").await
    }

    pub(crate) async fn post(&self, path: &str, body: impl Into<reqwest::Body>) -> Answer {
        self.send("POST", path, &[FHIR], body).await
    }

    pub(crate) async fn put(&self, path: &str, body: impl Into<reqwest::Body>) -> Answer {
        self.send("PUT", path, &[FHIR], body).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send("DELETE", path, &[], "").await
    }

    /// How many events the log has: what was written.
    pub(crate) async fn events(&self) -> u64 {
        self.log.head().await.unwrap().get()
    }
}

/// The audit log of a server that keeps one. It trusts proxies on its own machine.
async fn audit(options: Option<(AuditOptions, Mode)>, url: &str) -> Option<(AuditLog, Audit)> {
    let (options, mode) = options?;
    let log = AuditLog::open(url, "default", options).await.unwrap();
    let proxies = Networks::parse(&["127.0.0.1".to_owned()]).unwrap();
    Some((log.clone(), Audit::new(log, mode, proxies)))
}

/// The search projection and its index.
async fn search(
    database: &Database,
    log: &Log,
    full_text: FullText,
) -> (std::sync::Arc<Supervisor>, SearchIndex) {
    let number = log.number();
    let grace = std::time::Duration::from_millis(200);
    let options =
        SupervisorOptions { grace, first: full_text.first().unwrap(), ..SupervisorOptions::default() };
    let make = SearchProjection::maker(number);
    let projection = Supervisor::start(database, make, log.clone(), number, options).await.unwrap();
    let index = SearchIndex::new(database.clone(), number, projection.active());
    let index = index.with_building(projection.building());
    (std::sync::Arc::new(projection), index)
}

async fn exports(
    url: &str,
    (log, index): (&Log, &SearchIndex),
    bases: Vec<String>,
    options: ExportOptions,
) -> Exports {
    Exports::start(url, (log, "fhir"), index, bases, options).await.unwrap()
}

/// The projection of stored terminology, where it is wanted.
async fn terminology(
    is_on: bool,
    database: &Database,
    log: &Log,
) -> (Option<std::sync::Arc<Supervisor>>, TerminologyIndex) {
    if !is_on {
        return (None, TerminologyIndex::default());
    }
    let runner = RunnerOptions::default();
    let (supervisor, index) = TerminologyIndex::start(database, log, runner).await.unwrap();
    (Some(std::sync::Arc::new(supervisor)), index)
}

impl Drop for Server {
    fn drop(&mut self) {
        // The order is given by the call; a test that has failed has not stopped its server yet.
        drop(self.handle.stop(false));
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

/// The media type of an operator's order.
pub(crate) const JSON: (&str, &str) = ("Content-Type", "application/json");
/// The usual media type of a body.
pub(crate) const FHIR: (&str, &str) = ("Content-Type", "application/fhir+json");

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_else(|error| {
            panic!("no JSON ({error}): {}", String::from_utf8_lossy(&self.bytes));
        })
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.bytes.clone()).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Checks that this is an OperationOutcome as every error has it, and gives its first issue's code.
    pub(crate) fn outcome(&self) -> String {
        let json = self.json();
        assert_eq!(json["resourceType"], "OperationOutcome", "{json}");
        assert_eq!(json["id"], self.header("x-correlation-id"), "{json}");
        assert_eq!(self.header("content-type"), "application/fhir+json; charset=utf-8");
        let issues = json["issue"].as_array().unwrap();
        assert!(!issues.is_empty());
        for issue in issues {
            assert!(issue["severity"].is_string() && issue["diagnostics"].is_string(), "{json}");
        }
        issues[0]["code"].as_str().unwrap().to_owned()
    }
}
