//! Encrypted connections: to whom, and as whom. The server here has no HTTPS of its own: what stands before it has.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use qicore_data::{ErrorKind, RetryAdvice, Sink, WriterId};
use qicore_stores::clickhouse::Connection;
use rcgen::{CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::servers::{self, Clickhouse};
use crate::{assert_done, delivery, held, market, same};

/// An authority, its certificates as files, and a server for `localhost` that asks for a client's certificate or does not.
struct Front {
    port: u16,
    folder: tempfile::TempDir,
}

impl Front {
    async fn new(place: &Clickhouse, asks: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        std::fs::write(folder.path().join("ca.pem"), authority.pem()).unwrap();
        let issue = |usage| {
            let key = KeyPair::generate().unwrap();
            let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
            params.extended_key_usages = vec![usage];
            (params.signed_by(&key, &authority).unwrap(), key)
        };
        let (client, client_key) = issue(ExtendedKeyUsagePurpose::ClientAuth);
        std::fs::write(folder.path().join("client.pem"), client.pem()).unwrap();
        std::fs::write(folder.path().join("client.key"), client_key.serialize_pem()).unwrap();
        let (server, server_key) = issue(ExtendedKeyUsagePurpose::ServerAuth);
        let mut roots = rustls::RootCertStore::empty();
        roots.add(authority.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        let builder = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = match asks {
            true => builder.with_client_cert_verifier(verifier.build().unwrap()),
            false => builder.with_no_client_auth(),
        };
        let key = PrivateKeyDer::try_from(server_key.serialize_der()).unwrap();
        let config = builder.with_single_cert(vec![server.der().clone()], key).unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (port, behind) = (listener.local_addr().unwrap().port(), place.port());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let Ok(mut client) = acceptor.accept(client).await else {
                        return;
                    };
                    let Ok(mut server) = TcpStream::connect(("127.0.0.1", behind)).await else {
                        return;
                    };
                    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                });
            }
        });
        Self { port, folder }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn connection(&self) -> Connection {
        Connection::url(format!("https://localhost:{}", self.port)).tls_ca(self.file("ca.pem"))
    }
}

async fn writes(place: &Clickhouse, connection: Connection) {
    let sink = qicore_sinks::Clickhouse::new(connection).tables(place.tables());
    sink.open(&WriterId::new("p", "s")).await.unwrap();
    assert_eq!(held(&sink, "l").await, 0);
    let (_, events) = market(1, 1000);
    assert_done(&sink.write(&delivery("l", 0, events.clone())).await.unwrap());
    same(&place.all().await, &events);
}

async fn refused(connection: Connection) {
    let error = qicore_sinks::Clickhouse::new(connection)
        .open(&WriterId::new("p", "s"))
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.retry()),
        (ErrorKind::Unauthorized, RetryAdvice::Never),
        "{error}"
    );
    assert!(error.to_string().to_lowercase().contains("certificate"), "{error}");
}

#[tokio::test]
async fn a_server_that_shows_a_certificate_of_a_known_authority() {
    let place = servers::clickhouse();
    let front = Front::new(&place, false).await;
    writes(&place, front.connection()).await;
    // Of an authority that is not known, and for another name.
    refused(Connection::url(format!("https://localhost:{}", front.port))).await;
    refused(Connection::url(format!("https://127.0.0.1:{}", front.port)).tls_ca(front.file("ca.pem"))).await;
}

#[tokio::test]
async fn a_client_that_shows_a_certificate() {
    let place = servers::clickhouse();
    let front = Front::new(&place, true).await;
    refused(front.connection()).await;
    let shown = front
        .connection()
        .certificate(front.file("client.pem"), front.file("client.key"));
    writes(&place, shown.compression(qicore_stores::clickhouse::Compression::Lz4)).await;
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let there = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    let of = |connection: Connection| qicore_stores::clickhouse::Store::new(&connection, &Default::default());
    for (connection, named) in [
        (Connection::url("https://h").tls_ca("/none.pem"), "tls_ca: /none.pem"),
        (Connection::url("https://h").tls_ca(&there), "no certificate"),
        (
            Connection::url("https://h").certificate(&there, "/none.key"),
            "tls_cert",
        ),
    ] {
        let error = of(connection).unwrap_err();
        assert!(
            error.kind() == ErrorKind::Config && error.to_string().contains(named),
            "{error}"
        );
    }
}
