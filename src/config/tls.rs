//! Settings of TLS.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::checks::Findings;

/// TLS of the listener. The files are read again when they change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TlsSettings {
    /// The file with the server's certificate and those that lead to its authority, as PEM.
    pub certificate: PathBuf,
    /// The file with its private key, as PEM.
    pub key: PathBuf,
    /// A file with the authorities that sign the certificates of clients, as PEM; without it clients are not asked for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_ca: Option<PathBuf>,
    /// Whether a client without a certificate is refused, where `client_ca` is set.
    #[serde(default)]
    pub client_certificate: ClientCertificate,
    /// For how long browsers come by TLS only (`Strict-Transport-Security`), in seconds; 0: nothing is said.
    #[serde(default = "a_year")]
    pub strict_transport_s: u64,
}

/// Whether a client without a certificate is refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ClientCertificate {
    /// It is.
    #[default]
    Required,
    /// It is not; one that sends a certificate has to send a good one.
    Optional,
}

fn a_year() -> u64 {
    31_536_000
}

impl TlsSettings {
    pub(super) fn check(&self, findings: &mut Findings) {
        let files = [("certificate", Some(&self.certificate)), ("key", Some(&self.key))];
        for (name, path) in files.into_iter().chain([("client_ca", self.client_ca.as_ref())]) {
            if path.is_some_and(|path| !path.is_file()) {
                findings.add(format!("http.tls.{name}"), "there is no such file");
            }
        }
        if self.client_ca.is_none() && self.client_certificate != ClientCertificate::default() {
            findings.add("http.tls.client_certificate", "means nothing without client_ca");
        }
        if super::secret::others_can_read(&self.key) {
            findings.warn(
                "http.tls.key",
                "everybody on this machine can read it; take the right away: chmod o-r",
            );
        }
    }
}
