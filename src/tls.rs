//! TLS: the server's certificate and the certificates of its clients, from files that may change while it runs.

mod clients;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use arc_swap::ArcSwap;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, ServerConfig};

use clients::Clients;

/// Where certificates are, and what is wanted of clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The server's certificate and those that lead to its authority, as PEM.
    pub certificate: PathBuf,
    /// Its private key, as PEM.
    pub key: PathBuf,
    /// The authorities that sign the certificates of clients, as PEM; without it clients are not asked.
    pub client_ca: Option<PathBuf>,
    /// Whether a client without a certificate is refused.
    pub client_required: bool,
}

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read or is no PEM.
    #[error("cannot read {what} in {}: {reason}", path.display())]
    File {
        /// What should be in it.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it cannot be read. Never its content.
        reason: String,
    },
    /// The files do not belong together.
    #[error("the certificate and the key cannot be used: {0}")]
    Unusable(#[from] rustls::Error),
    /// The authorities of clients cannot be used.
    #[error("the authorities of clients cannot be used: {0}")]
    Authorities(String),
}

/// The server's side of TLS. What it has of the files is taken over by [`Tls::reload`].
#[derive(Debug)]
pub struct Tls {
    files: TlsFiles,
    provider: Arc<CryptoProvider>,
    own: Arc<Own>,
    clients: Option<Arc<Clients>>,
    stamps: Mutex<Vec<Stamp>>,
}

/// When a file was last changed, and its size.
type Stamp = Option<(SystemTime, u64)>;

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// A file is not there or not what it should be, or the key is that of another certificate.
    pub fn open(files: TlsFiles) -> Result<Tls, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let stamps = Mutex::new(stamps_of(&files));
        let own = Arc::new(Own(ArcSwap::from_pointee(own_of(&files, &provider)?)));
        let clients = match &files.client_ca {
            None => None,
            Some(authorities) => {
                let verifier = verifier_of(authorities, files.client_required, &provider)?;
                Some(Arc::new(Clients::new(verifier, files.client_required)))
            }
        };
        Ok(Tls { files, provider, own, clients, stamps })
    }

    /// What a listener needs: TLS 1.2 and 1.3, nothing older.
    ///
    /// # Errors
    /// The provider of cryptography knows none of the versions.
    pub fn config(&self) -> Result<ServerConfig, TlsError> {
        let builder = ServerConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(&[&TLS13, &TLS12])?;
        let builder = match &self.clients {
            None => builder.with_no_client_auth(),
            Some(clients) => builder.with_client_cert_verifier(clients.clone()),
        };
        Ok(builder.with_cert_resolver(self.own.clone()))
    }

    /// Takes over the files where one was changed since they were last read, for connections from now on. Whether one was.
    ///
    /// # Errors
    /// As [`Tls::open`]; what was read before stays in use then, and the same files are not tried again.
    pub fn reload(&self) -> Result<bool, TlsError> {
        let stamps = stamps_of(&self.files);
        {
            let mut known = self.stamps.lock().unwrap_or_else(PoisonError::into_inner);
            if *known == stamps {
                return Ok(false);
            }
            *known = stamps;
        }
        // Both are read before one is put to use.
        let own = own_of(&self.files, &self.provider)?;
        if let (Some(clients), Some(authorities)) = (&self.clients, &self.files.client_ca) {
            clients.set(verifier_of(authorities, self.files.client_required, &self.provider)?);
        }
        self.own.0.store(Arc::new(own));
        Ok(true)
    }
}

fn stamps_of(files: &TlsFiles) -> Vec<Stamp> {
    let all = [Some(&files.certificate), Some(&files.key), files.client_ca.as_ref()];
    let stamp = |path: &PathBuf| {
        let about = std::fs::metadata(path).ok()?;
        Some((about.modified().ok()?, about.len()))
    };
    all.into_iter().flatten().map(stamp).collect()
}

fn own_of(files: &TlsFiles, provider: &CryptoProvider) -> Result<CertifiedKey, TlsError> {
    let chain = certificates(&files.certificate, "certificates")?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| TlsError::File {
        what: "a private key",
        path: files.key.clone(),
        reason: error.to_string(),
    })?;
    Ok(CertifiedKey::from_der(chain, key, provider)?)
}

fn certificates(path: &Path, what: &'static str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let refuse = |reason: String| TlsError::File { what, path: path.to_owned(), reason };
    let found = CertificateDer::pem_file_iter(path).map_err(|error| refuse(error.to_string()))?;
    let found: Vec<_> = found.collect::<Result<_, _>>().map_err(|error| refuse(error.to_string()))?;
    if found.is_empty() { Err(refuse("there is none".to_owned())) } else { Ok(found) }
}

fn verifier_of(
    authorities: &Path,
    required: bool,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn rustls::server::danger::ClientCertVerifier>, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(authorities, "certificates of authorities")? {
        roots.add(certificate)?;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    let builder = if required { builder } else { builder.allow_unauthenticated() };
    builder.build().map_err(|error| TlsError::Authorities(error.to_string()))
}

/// The certificate and key that connections get from now on.
#[derive(Debug)]
struct Own(ArcSwap<CertifiedKey>);

impl ResolvesServerCert for Own {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}
