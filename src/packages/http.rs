//! A service that is reached over HTTP, as the command line reaches it.

use std::collections::BTreeSet;
use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap};
use serde_json::Value;
use url::Url;

use super::install::{Stored, Target};

/// How long connecting may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// How long one answer may take: a write waits for the index, as its condition is a search.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);
/// How often a resource is sent again to a server that is too busy.
const TRIES_MAX: u32 = 6;
/// The first pause before that; each next one is twice as long.
const PAUSE: Duration = Duration::from_millis(250);
/// What the server speaks.
const FHIR_JSON: &str = "application/fhir+json";

/// A FHIR service by its address.
#[derive(Debug)]
pub struct HttpTarget {
    client: reqwest::Client,
    server: String,
}

impl HttpTarget {
    /// The service at an address; the headers, such as an access token, are those of every request.
    ///
    /// # Errors
    /// No HTTP can be spoken here at all.
    pub fn new(server: &Url, headers: HeaderMap) -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder().connect_timeout(CONNECT_WITHIN).timeout(ANSWER_WITHIN);
        let client = client.default_headers(headers).build()?;
        Ok(Self { client, server: server.as_str().trim_end_matches('/').to_owned() })
    }

    /// The names of the packages that are installed, as far as they brought an ImplementationGuide.
    pub async fn installed(&self) -> Result<BTreeSet<String>, reqwest::Error> {
        let address = format!("{}/ImplementationGuide?_count=1000", self.server);
        let bundle: Value = self.client.get(address).header(ACCEPT, FHIR_JSON).send().await?.json().await?;
        let entries = bundle.pointer("/entry").and_then(Value::as_array).into_iter().flatten();
        let name = |entry: &Value| Some(entry.pointer("/resource/packageId")?.as_str()?.to_owned());
        Ok(entries.filter_map(name).collect())
    }
}

impl Target for HttpTarget {
    async fn put(&self, query: &str, body: &[u8]) -> Result<Stored, String> {
        let address = format!("{}/{query}", self.server);
        let mut pause = PAUSE;
        for attempt in 1.. {
            let request =
                self.client.put(&address).header(CONTENT_TYPE, FHIR_JSON).header("prefer", "return=minimal");
            let response = request.body(body.to_vec()).send().await.map_err(|error| error.to_string())?;
            match response.status() {
                StatusCode::CREATED => return Ok(Stored::Created),
                StatusCode::OK => return Ok(Stored::Kept),
                StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE if attempt < TRIES_MAX => {
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                }
                status => {
                    let outcome: Value = response.json().await.unwrap_or_default();
                    let said =
                        outcome.pointer("/issue/0/diagnostics").and_then(Value::as_str).unwrap_or_default();
                    return Err(format!("the server answered {status} {said}"));
                }
            }
        }
        Err("the server is too busy".to_owned())
    }
}
