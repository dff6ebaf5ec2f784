//! A server of its own for a test: the real program with its private engines, and clients for all that it offers.

use std::collections::BTreeMap;
use std::future::Future;

use async_nats::jetstream::stream::Stream;
use reqwest::{Method, RequestBuilder, Response};
use rustix::process::Signal;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::json::Json;
use crate::process;

/// A running server.
pub(crate) struct Server {
    /// Its address without a path.
    pub(crate) root: String,
    /// The address of its FHIR service.
    pub(crate) base: String,
    client: reqwest::Client,
    database: String,
    nats: String,
    process: Option<process::Server>,
    _data: TempDir,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Headers by their names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

/// Runs a test against a server of its own, and sees that the server stops in order.
pub(crate) fn test<T: Future<Output = ()>>(body: impl FnOnce(std::rc::Rc<Server>) -> T) {
    test_with(&[], body);
}

/// The same with settings, by the names of their variables.
pub(crate) fn test_with<T: Future<Output = ()>>(
    settings: &[(&str, &str)],
    body: impl FnOnce(std::rc::Rc<Server>) -> T,
) {
    let runtime = Runtime::new().unwrap();
    let server = std::rc::Rc::new(Server::start(settings));
    runtime.block_on(body(server.clone()));
    let mut server = std::rc::Rc::into_inner(server).expect("the test has ended");
    server.process.take().unwrap().stop();
}

impl Server {
    fn start(settings: &[(&str, &str)]) -> Server {
        let data = process::folder();
        let mut command = process::serve(data.path());
        command.envs(settings.iter().copied());
        let mut process = process::Server::start_with(command, data.path());
        let mut address = |name: &str| {
            let line = process.wait_for_output(name);
            line.trim().strip_prefix(name.trim()).unwrap().trim().to_owned()
        };
        let (nats, database) = (address("  NATS"), address("  Postgres"));
        process.wait_until_ready();
        let root = format!("http://{}", process.address);
        let base = format!("{root}/default/fhir");
        Server {
            root,
            base,
            client: reqwest::Client::new(),
            database,
            nats,
            process: Some(process),
            _data: data,
        }
    }

    /// A request to an address below the FHIR service, or to any other when it is absolute.
    pub(crate) fn request(&self, method: Method, address: &str) -> RequestBuilder {
        let absolute = address.starts_with("http://");
        let address = if absolute { address.to_owned() } else { format!("{}/{address}", self.base) };
        self.client.request(method, address)
    }

    /// The answer to a GET. It asks for a resource by name: without, a Binary comes as its content.
    pub(crate) async fn get(&self, address: &str) -> Answer {
        let request = self.request(Method::GET, address).header("accept", "application/fhir+json");
        Answer::of(request.send().await.unwrap()).await
    }

    /// The answer to a resource that is sent.
    pub(crate) async fn send(&self, method: Method, address: &str, body: &str) -> Answer {
        let request = self.request(method, address).header("content-type", "application/fhir+json");
        Answer::of(request.body(body.to_owned()).send().await.unwrap()).await
    }

    /// A connection to its database.
    pub(crate) async fn database(&self) -> tokio_postgres::Client {
        let (client, connection) =
            tokio_postgres::connect(&self.database, tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    }

    /// The stream of its workspace.
    pub(crate) async fn stream(&self) -> Stream {
        let client = async_nats::connect(&self.nats).await.unwrap();
        let name = anamnesis_events::stream::stream_name("default");
        async_nats::jetstream::new(client).get_stream(name).await.unwrap()
    }
}

impl Answer {
    pub(crate) async fn of(response: Response) -> Answer {
        let headers = response.headers().iter();
        let headers =
            headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
        Answer { status: response.status().as_u16(), headers, body: response.text().await.unwrap() }
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// The body, after the status was found to be this.
    pub(crate) fn json(&self, status: u16) -> Json {
        assert_eq!(self.status, status, "{}", self.body);
        Json::parse(&self.body)
    }
}

impl Drop for Server {
    /// What a failed test leaves: the server is told to stop, so that its engines end with it.
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.signal(Signal::TERM);
            process.wait();
            eprintln!("the server said:\n{}", process.rest_of_output());
        }
    }
}

/// The address behind a link of a bundle.
pub(crate) fn link(bundle: &Json, relation: &str) -> Option<String> {
    let links = bundle.all("link");
    let link = links.into_iter().find(|link| link.text("relation") == Some(relation));
    link.map(|link| link.text("url").unwrap().to_owned())
}
