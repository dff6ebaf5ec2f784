//! The certificates of clients, by authorities that may change.

use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};

/// Asks the verifier of the authorities that hold now.
#[derive(Debug)]
pub(super) struct Clients {
    now: ArcSwap<Arc<dyn ClientCertVerifier>>,
    required: bool,
}

impl Clients {
    pub(super) fn new(verifier: Arc<dyn ClientCertVerifier>, required: bool) -> Clients {
        Clients { now: ArcSwap::from_pointee(verifier), required }
    }

    pub(super) fn set(&self, verifier: Arc<dyn ClientCertVerifier>) {
        self.now.store(Arc::new(verifier));
    }
}

impl ClientCertVerifier for Clients {
    fn client_auth_mandatory(&self) -> bool {
        self.required
    }

    /// None: they would have to stay as long as this. A client with several certificates has to know which one to send.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.now.load().verify_client_cert(end_entity, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.now.load().verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.now.load().verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.now.load().supported_verify_schemes()
    }
}
