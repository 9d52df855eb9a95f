//! WebSockets.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use qicore_data::{Error, ErrorKind, Result, RetryAdvice};
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::error::{Error as WsError, TlsError};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream, connect_async_tls_with_config};
use url::Url;

use super::answer::{Refusal, retry_after};
use super::config::NetConfig;
use super::tls;
use super::url::place;

/// Makes WebSockets.
#[derive(Debug, Clone)]
pub(crate) struct Dialer {
    tls: Arc<ClientConfig>,
    within: Duration,
    longest: usize,
}

impl Dialer {
    pub(crate) fn new(config: &NetConfig) -> Result<Self> {
        Ok(Self {
            tls: tls::config(config.tls_ca.as_slice())?,
            within: config.connect_timeout,
            longest: config.max_bytes,
        })
    }

    /// Connects, with TLS where the URL asks for it.
    pub(crate) async fn connect(&self, url: &Url) -> Result<Socket> {
        let config = WebSocketConfig::default()
            .max_message_size(Some(self.longest))
            .max_frame_size(Some(self.longest))
            // Small messages come in bursts: fewer reads of the socket.
            .read_buffer_size(256 << 10);
        let connector = Connector::Rustls(Arc::clone(&self.tls));
        let connecting = connect_async_tls_with_config(url.as_str(), Some(config), true, Some(connector));
        match timeout(self.within, connecting).await {
            Ok(Ok((stream, _))) => Ok(Socket(stream)),
            Ok(Err(error)) => Err(failed(error).with("url", place(url))),
            Err(_) => {
                let message = format!("no connection within {:?}", self.within);
                let error = Error::new(ErrorKind::Timeout, "net.ws", message).with_retry(RetryAdvice::Backoff);
                Err(error.with("url", place(url)))
            }
        }
    }
}

/// What comes in.
#[derive(Debug)]
pub(crate) enum Incoming {
    /// A message.
    Message(Bytes),
    /// A ping, answered already, or a pong: a sign of life.
    Alive,
}

/// A WebSocket.
#[derive(Debug)]
pub(crate) struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Socket {
    /// The next thing that comes. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Result<Incoming> {
        match self.0.next().await {
            Some(Ok(Message::Text(text))) => Ok(Incoming::Message(text.into())),
            Some(Ok(Message::Binary(bytes))) => Ok(Incoming::Message(bytes)),
            Some(Ok(Message::Close(frame))) => {
                let told = frame.map_or_else(String::new, |frame| {
                    let reason: String = frame.reason.chars().take(200).collect();
                    format!(" (code {}, {reason:?})", u16::from(frame.code))
                });
                Err(lost(format!("the host has closed the connection{told}")))
            }
            Some(Ok(_)) => Ok(Incoming::Alive),
            Some(Err(error)) => Err(failed(error)),
            None => Err(lost("the connection has ended")),
        }
    }

    /// What has come already, without waiting.
    pub(crate) fn ready(&mut self) -> Option<Result<Incoming>> {
        use futures_util::FutureExt;
        self.next().now_or_never()
    }

    /// Sends a text.
    pub(crate) async fn send(&mut self, text: impl Into<Utf8Bytes>) -> Result<()> {
        self.0.send(Message::Text(text.into())).await.map_err(failed)
    }

    /// Says goodbye, as far as the other side still listens.
    pub(crate) async fn close(mut self) {
        let _ = timeout(Duration::from_secs(1), self.0.close(None)).await;
    }
}

fn lost(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Unavailable, "net.ws", message).with_retry(RetryAdvice::Backoff)
}

fn failed(error: WsError) -> Error {
    match error {
        WsError::Http(response) => {
            let header = response
                .headers()
                .get("retry-after")
                .and_then(|value| value.to_str().ok());
            let refusal = Refusal {
                status: response.status().as_u16(),
                retry_after: retry_after(header),
                body: response.body().as_deref().unwrap_or_default(),
            };
            refusal.error(|_| None)
        }
        WsError::Tls(TlsError::Rustls(error)) => untrusted(&error.to_string()).with_source(error),
        WsError::Io(error) if error.to_string().contains("certificate") => {
            untrusted(&error.to_string()).with_source(error)
        }
        WsError::Capacity(error) => Error::decode("net.ws", error.to_string()).with_retry(RetryAdvice::Backoff),
        WsError::Io(error) => lost(format!("the connection failed: {error}")).with_source(error),
        other => lost(format!("the connection failed: {other}")),
    }
}

fn untrusted(why: &str) -> Error {
    let message = format!("the host's certificate is not trusted ({why}): name its authority in net.tls_ca");
    Error::new(ErrorKind::Unauthorized, "net.ws", message)
}
