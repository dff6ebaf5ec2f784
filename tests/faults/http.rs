//! Requests to the server, wherever it listens at the moment, and what became of them.

use std::sync::{Arc, RwLock};
use std::time::Duration;

use bytes::Bytes;
use reqwest::{Client, Method};

/// How long an answer may take: longer than the server's own patience with its database.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);
const FHIR_JSON: &str = "application/fhir+json";

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) location: Option<String>,
    pub(crate) etag: Option<String>,
    pub(crate) position: Option<u64>,
    pub(crate) body: Bytes,
}

/// Why there is none.
#[derive(Debug)]
pub(crate) enum Broken {
    /// Nobody took the connection: the request was not sent.
    NotSent,
    /// It may have arrived.
    Lost,
}

/// Clones share connections and the address.
#[derive(Clone)]
pub(crate) struct Http {
    address: Arc<RwLock<String>>,
    kept_alive: Client,
    one_by_one: Client,
}

impl Http {
    pub(crate) fn new() -> Http {
        let builder = || Client::builder().no_proxy().timeout(ANSWER_WITHIN);
        Http {
            address: Arc::default(),
            kept_alive: builder().build().unwrap(),
            one_by_one: builder().pool_max_idle_per_host(0).build().unwrap(),
        }
    }

    /// The server listens here from now on.
    pub(crate) fn moves_to(&self, address: &str) {
        address.clone_into(&mut self.address.write().unwrap());
    }

    /// Sends a request to the FHIR service; on a connection of its own if it is to be `alone`.
    pub(crate) async fn send(
        &self,
        alone: bool,
        method: Method,
        path: &str,
        headers: &[(&'static str, String)],
        body: Option<String>,
    ) -> Result<Reply, Broken> {
        self.send_to(alone, method, &format!("/default/fhir{path}"), headers, body).await
    }

    /// Has the search index built again; the status of the answer.
    pub(crate) async fn rebuild(&self) -> Option<u16> {
        let headers = [("Content-Type", "application/json".to_owned())];
        let body = Some(r#"{"projection":"search"}"#.to_owned());
        let sent = self.send_to(true, Method::POST, "/default/$rebuild", &headers, body).await;
        Some(sent.ok()?.status)
    }

    async fn send_to(
        &self,
        alone: bool,
        method: Method,
        path: &str,
        headers: &[(&'static str, String)],
        body: Option<String>,
    ) -> Result<Reply, Broken> {
        let address = self.address.read().unwrap().clone();
        let client = if alone { &self.one_by_one } else { &self.kept_alive };
        let mut request = client.request(method, format!("http://{address}{path}"));
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        if body.is_some() && !headers.iter().any(|(name, _)| *name == "Content-Type") {
            request = request.header("Content-Type", FHIR_JSON);
        }
        if let Some(body) = body {
            request = request.body(body);
        }
        let lost = |error: reqwest::Error| match error.is_connect() {
            true => Broken::NotSent,
            false => Broken::Lost,
        };
        let response = request.send().await.map_err(lost)?;
        let header = |name| Some(response.headers().get(name)?.to_str().ok()?.to_owned());
        let (location, etag) = (header("location"), header("etag"));
        let position = header("x-anamnesis-position").and_then(|text| text.parse().ok());
        let status = response.status().as_u16();
        let body = response.bytes().await.map_err(|_| Broken::Lost)?;
        Ok(Reply { status, location, etag, position, body })
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Reply, Broken> {
        self.send(false, Method::GET, path, &[], None).await
    }
}

/// The version of `W/"7"`.
pub(crate) fn version_of(etag: &str) -> Option<u32> {
    etag.strip_prefix("W/\"")?.strip_suffix('"')?.parse().ok()
}

/// The id of `…/Patient/1/_history/7`.
pub(crate) fn id_of(location: &str) -> Option<String> {
    location.split("/_history/").next()?.rsplit('/').next().map(str::to_owned)
}
