//! Sends one request until it is answered for good.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use reqwest::StatusCode;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap};
use tokio_util::sync::CancellationToken;
use url::{Host, Url};

use super::answer::{Failure, judge};
use super::documents::Request;
use super::{LoadError, Options, retry};

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an answer may take: a bundle of thousands of entries on a busy server takes minutes.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(300);
/// What the server is asked to speak.
const FHIR_JSON: &str = "application/fhir+json";

/// A connection pool to one server.
#[derive(Clone)]
pub(super) struct Client {
    http: reqwest::Client,
    server: Url,
    retries: u32,
    verify: bool,
    /// Numbers the requests, so that their pauses differ.
    requests: Arc<AtomicU64>,
}

/// What became of one request.
#[derive(Debug, Default)]
pub(super) struct Delivery {
    /// Entries that the server has accepted.
    pub(super) accepted: usize,
    /// Resources that were read back and are the same.
    pub(super) verified: usize,
    /// What was refused, or not delivered.
    pub(super) failures: Vec<Failure>,
    /// How often it was repeated.
    pub(super) retries: usize,
    /// How often it was repeated although it may have been carried out.
    pub(super) repeated_after_break: usize,
    /// In the end no server could be reached.
    pub(super) unreachable: bool,
}

/// One attempt.
enum Attempt {
    Answered(StatusCode, HeaderMap, Bytes),
    /// The connection did not come about, or broke when the request was on its way.
    Broken {
        sent: bool,
        reason: String,
    },
}

impl Client {
    /// A client for the server of `options`.
    pub(super) fn new(options: &Options) -> Result<Self, LoadError> {
        let mut builder = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(ANSWER_TIMEOUT)
            .pool_max_idle_per_host(options.concurrency)
            .default_headers(options.headers.clone())
            .user_agent(concat!("anamnesis-load/", env!("CARGO_PKG_VERSION")));
        if is_loopback(&options.server) {
            // No proxy reaches this machine's own addresses.
            builder = builder.no_proxy();
        }
        let http = builder.build().map_err(|error| LoadError::Client(reason(&error)))?;
        let server = without_trailing_slash(options.server.clone());
        Ok(Self { http, server, retries: options.retries, verify: options.verify, requests: Arc::default() })
    }

    /// Waits until something answers at the server's address, whatever it says.
    pub(super) async fn reach(&self, stop: &CancellationToken) -> Result<(), LoadError> {
        let address = format!("{}/metadata", self.server);
        for repetition in 0.. {
            let answer = self.http.get(&address).header(ACCEPT, FHIR_JSON).send().await;
            let Err(error) = answer else { return Ok(()) };
            let give_up = repetition >= self.retries || stop.is_cancelled();
            if give_up || !wait(retry::pause(repetition, 0, None), stop).await {
                return Err(LoadError::NoServer { server: self.server.clone(), reason: reason(&error) });
            }
        }
        Ok(())
    }

    /// Sends `request` until it is answered for good, the repetitions are used up, or `stop` is cancelled.
    pub(super) async fn deliver(&self, mut request: Request, stop: &CancellationToken) -> Delivery {
        let salt = self.requests.fetch_add(1, Ordering::Relaxed);
        let mut delivery = Delivery::default();
        for repetition in 0..=self.retries {
            let attempt = self.send(&request).await;
            let last = repetition == self.retries || stop.is_cancelled();
            let (asked, status, why) = match attempt {
                Attempt::Answered(status, headers, _) if retry::is_busy(status) => {
                    (retry::asked(&headers), Some(status), "the server was too busy".to_owned())
                }
                Attempt::Answered(status, headers, body) => {
                    if headers.contains_key("idempotent-replayed") {
                        // It had been carried out, and was not again.
                        delivery.repeated_after_break = 0;
                    }
                    let judgement = judge(&request, status, &body);
                    delivery.accepted += judgement.accepted.len();
                    delivery.failures.extend(judgement.failures);
                    if self.verify {
                        let verdict = self.verify(&request, &judgement.accepted, stop).await;
                        delivery.verified += verdict.verified;
                        delivery.failures.extend(verdict.failures);
                    }
                    let Some(rest) = Some(judgement.busy).filter(|busy| !busy.is_empty()) else {
                        return delivery;
                    };
                    let Some(part) = request.part(&rest) else { return delivery };
                    request = part;
                    let busy = StatusCode::SERVICE_UNAVAILABLE;
                    (
                        retry::asked(&headers),
                        Some(busy),
                        "the server was too busy for these entries".to_owned(),
                    )
                }
                Attempt::Broken { sent, reason } => {
                    delivery.unreachable = last;
                    delivery.repeated_after_break += usize::from(sent && !last);
                    (None, None, reason)
                }
            };
            if last || !wait(retry::pause(repetition, salt, asked), stop).await {
                delivery.failures.push(request.failure(status, &why));
                return delivery;
            }
            delivery.retries += 1;
        }
        delivery
    }

    /// Reads the resource at `address` (`Type/id`), again and again while the server is busy.
    pub(super) async fn read(
        &self,
        address: &str,
        stop: &CancellationToken,
    ) -> Result<Bytes, (Option<StatusCode>, String)> {
        let mut failure = (None, String::new());
        for repetition in 0..=self.retries {
            let request = self.http.get(format!("{}/{address}", self.server)).header(ACCEPT, FHIR_JSON);
            let mut asked = None;
            match request.send().await {
                Ok(response) if response.status() == StatusCode::OK => {
                    return response.bytes().await.map_err(|error| (Some(StatusCode::OK), reason(&error)));
                }
                Ok(response) => {
                    failure = (Some(response.status()), format!("{address} cannot be read back"));
                    if !retry::is_busy(response.status()) {
                        break;
                    }
                    asked = retry::asked(response.headers());
                }
                Err(error) => failure = (None, format!("{address} cannot be read back: {}", reason(&error))),
            }
            if !wait(retry::pause(repetition, 0, asked), stop).await {
                break;
            }
        }
        Err(failure)
    }

    async fn send(&self, request: &Request) -> Attempt {
        let mut post = self
            .http
            .post(self.server.clone())
            .header(CONTENT_TYPE, FHIR_JSON)
            .header(ACCEPT, FHIR_JSON)
            .header("Prefer", "return=minimal")
            // The entries of our own batches are independent of each other, and transactions do not care.
            .header("x-bundle-processing-logic", "parallel")
            .body(request.body.clone());
        if let Some(key) = &request.key {
            post = post.header("Idempotency-Key", format!("\"{key}\""));
        }
        let answer = post.send().await;
        let broken =
            |error: reqwest::Error| Attempt::Broken { sent: !error.is_connect(), reason: reason(&error) };
        match answer {
            Ok(response) => {
                let (status, headers) = (response.status(), response.headers().clone());
                match response.bytes().await {
                    Ok(body) => Attempt::Answered(status, headers, body),
                    Err(error) => broken(error),
                }
            }
            Err(error) => broken(error),
        }
    }
}

/// Waits for `pause`; false when `stop` was cancelled meanwhile.
async fn wait(pause: Duration, stop: &CancellationToken) -> bool {
    stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_some()
}

/// The innermost reason of an error, which says more than its wrappings, without the address.
fn reason(error: &reqwest::Error) -> String {
    let mut inner: &dyn std::error::Error = error;
    // A chain of errors has no loop, but no walk is without a bound.
    for _ in 0..16 {
        match inner.source() {
            Some(source) => inner = source,
            None => break,
        }
    }
    inner.to_string()
}

fn is_loopback(server: &Url) -> bool {
    match server.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

fn without_trailing_slash(mut server: Url) -> Url {
    let path = server.path().trim_end_matches('/').to_owned();
    server.set_path(&path);
    server
}
