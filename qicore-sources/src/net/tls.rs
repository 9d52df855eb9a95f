//! One TLS configuration for HTTP and WebSockets.
//!
//! It is made with the ring provider by name and handed to both clients: a library must not install a provider for the
//! whole process, and without one both would look for it there, and panic.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use qicore_data::{Error, Result};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// Trusts Mozilla's roots, and the certificates of the files.
pub(crate) fn config(files: &[PathBuf]) -> Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    for file in files {
        for certificate in certificates(file)? {
            roots.add(certificate).map_err(|error| unusable(file, error))?;
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::config("net.tls", error.to_string()).with_source(error))?;
    Ok(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()))
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let pem = std::fs::read(file).map_err(|error| Error::io("net.tls", file, error))?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let certificates = certificates.map_err(|error| unusable(file, error))?;
    if certificates.is_empty() {
        return Err(unusable(file, "it holds no certificate"));
    }
    Ok(certificates)
}

fn unusable(file: &Path, why: impl std::fmt::Display) -> Error {
    Error::config("net.tls", format!("the certificates cannot be used: {why}")).with("path", file.display())
}
