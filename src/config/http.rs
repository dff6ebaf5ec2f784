//! Settings of HTTP.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::tls::TlsSettings;

/// Limits of HTTP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HttpSettings {
    /// Threads that answer requests.
    #[schemars(range(min = 1))]
    pub workers: usize,
    /// The largest body of a request, in bytes, after decompression.
    #[schemars(range(min = 1))]
    pub body_bytes_max: usize,
    /// The bytes of all bodies that are arriving or worked on at the same time; beyond it the answer is 503.
    #[schemars(range(min = 1))]
    pub bodies_bytes_max: usize,
    /// Connections of all workers together; the next one waits.
    #[schemars(range(min = 1))]
    pub connections_max: usize,
    /// How long a connection on which nothing is asked stays open, in seconds; 0: until the client closes it.
    pub keep_alive_s: u64,
    /// How long the head of a request may take to arrive, in seconds; the connection is closed then.
    #[schemars(range(min = 1))]
    pub header_timeout_s: u64,
    /// How long a request may take until its answer begins, in seconds; then it is 504. 0: as long as it takes.
    pub request_timeout_s: u64,
    /// The longest address with its query, in bytes; beyond it 414. Longer searches are sent as forms.
    #[schemars(range(min = 1))]
    pub url_bytes_max: usize,
    /// Lines of headers; beyond it 431. The library refuses more than 96 by itself, with a bare 431.
    #[schemars(range(min = 1))]
    pub headers_max: usize,
    /// Bytes of all headers; beyond it 431.
    #[schemars(range(min = 1))]
    pub header_bytes_max: usize,
    /// TLS; plain HTTP where not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsSettings>,
    /// How long requests under way may go on when the server stops, in seconds.
    pub shutdown_grace_s: u64,
}

impl Default for HttpSettings {
    fn default() -> Self {
        HttpSettings {
            workers: std::thread::available_parallelism().map_or(2, |cores| cores.get().clamp(2, 16)),
            // A transaction of 500 sizeable resources, with room; far from what hurts a small machine.
            body_bytes_max: 32 << 20,
            // Eight of the largest at a time.
            bodies_bytes_max: 256 << 20,
            connections_max: 4096,
            // Longer than clients and proxies keep one that they may use again, most of them up to a minute: who closes
            // first must be the one who asks, or a request gets lost on its way to a connection that has just been closed.
            keep_alive_s: 75,
            // Heads are small: whoever needs longer holds a connection and says nothing.
            header_timeout_s: 10,
            // Ten minutes are given to a body, and one to what is done with it.
            request_timeout_s: 660,
            // Twice what proxies usually take.
            url_bytes_max: 16 << 10,
            // Browsers send about twenty; a large token and the provenance of a write take half of these bytes.
            headers_max: 80,
            header_bytes_max: 32 << 10,
            tls: None,
            shutdown_grace_s: 20,
        }
    }
}
