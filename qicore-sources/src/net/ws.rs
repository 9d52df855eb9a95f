//! WebSockets.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt, SinkExt, StreamExt};
use qicore_data::{Error, ErrorKind, Result, RetryAdvice, Timestamp};
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::error::{Error as WsError, TlsError};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
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
            .read_buffer_size(256 << 10)
            // A host that sends pings and does not take the answers.
            .max_write_buffer_size(TO_SEND_BYTES);
        let connector = Connector::Rustls(Arc::clone(&self.tls));
        let connecting = connect_async_tls_with_config(url.as_str(), Some(config), true, Some(connector));
        match timeout(self.within, connecting).await {
            Ok(Ok((stream, _))) => Ok(Socket::new(stream, self.within)),
            Ok(Err(error)) => Err(failed(error).with("url", place(url))),
            Err(_) => {
                let message = format!("no connection within {:?}", self.within);
                let error = Error::new(ErrorKind::Timeout, "net.ws", message).with_retry(RetryAdvice::Backoff);
                Err(error.with("url", place(url)))
            }
        }
    }
}

/// Messages that are handed on together, at most.
const TOGETHER: usize = 256;
/// Their bytes, at most, but for the last one's.
const TOGETHER_BYTES: usize = 64 << 10;
/// How much of that waits to be taken. Then no more is read, and the host is made to wait.
const WAITING: usize = 8;
/// Messages that wait to be sent.
const TO_SEND: usize = 16;
/// The most that waits to be taken by the host.
const TO_SEND_BYTES: usize = 1 << 20;
/// How long the other side is given to say goodbye.
const GOODBYE: Duration = Duration::from_secs(1);

/// What came at one time: messages, or a ping, answered already, or a pong, which are signs of life.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) at: Timestamp,
    /// The messages, one behind the other: of one piece, since pieces that tasks share cost more than copies of small messages.
    bytes: Bytes,
    /// Where each ends.
    ends: Vec<usize>,
    /// How the connection ended after that.
    pub(crate) ended: Option<Error>,
}

/// A WebSocket. A task of its own reads it, as long as there is room for what comes: messages are stamped, and pings answered,
/// while those before them are still being decoded, on another core.
#[derive(Debug)]
pub(crate) struct Socket {
    received: mpsc::Receiver<Received>,
    /// Nothing, of a connection that is to end.
    to_send: Option<mpsc::Sender<Utf8Bytes>>,
}

impl Socket {
    fn new(stream: Stream, send_within: Duration) -> Self {
        let (sender, received) = mpsc::channel(WAITING);
        let (to_send, texts) = mpsc::channel(TO_SEND);
        tokio::spawn(keep(stream, texts, sender, send_within));
        Self {
            received,
            to_send: Some(to_send),
        }
    }

    /// The next that comes. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Received {
        let end = || Received::new(Vec::new(), Vec::new(), Some(lost("the connection has ended")));
        self.received.recv().await.unwrap_or_else(end)
    }

    /// Sends a text. That it cannot be sent is told by [`next`](Self::next).
    pub(crate) async fn send(&self, text: impl Into<Utf8Bytes>) {
        if let Some(to_send) = &self.to_send {
            let _ = to_send.send(text.into()).await;
        }
    }

    /// Ends the connection. What has come already can still be had, until [`next`](Self::next) tells of the end.
    pub(crate) fn finish(&mut self) {
        self.to_send = None;
    }
}

type Stream = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Reads and writes until the connection ends, or nobody wants it any more.
async fn keep(
    mut stream: Stream,
    mut texts: mpsc::Receiver<Utf8Bytes>,
    received: mpsc::Sender<Received>,
    send_within: Duration,
) {
    loop {
        let reading = async {
            let room = received.reserve().await.ok()?;
            Some((room, stream.next().await))
        };
        let (room, first) = tokio::select! {
            biased;
            text = texts.recv() => {
                let Some(text) = text else { break };
                match timeout(send_within, stream.send(Message::Text(text))).await {
                    Ok(Ok(())) => {}
                    // What is read next tells better why the connection has ended.
                    Ok(Err(error)) => tracing::debug!(%error, "a message could not be sent"),
                    Err(_) => {
                        let error = lost(format!("the host takes no message, for {send_within:?}"));
                        let _ = received.send(Received::new(Vec::new(), Vec::new(), Some(error))).await;
                        return;
                    }
                }
                continue;
            }
            read = reading => match read {
                Some(read) => read,
                None => break,
            },
        };
        let together = Received::gather(&mut stream, first);
        let ended = together.ended.is_some();
        room.send(together);
        if ended {
            drop(received);
            return goodbye(stream).await;
        }
    }
    // What has come already is still told, if somebody listens.
    let began = Instant::now();
    while began.elapsed() < GOODBYE
        && let Some(next) = stream.next().now_or_never()
    {
        let together = Received::gather(&mut stream, next);
        let ended = together.ended.is_some();
        if received.send(together).await.is_err() || ended {
            break;
        }
    }
    drop(received);
    goodbye(stream).await;
}

/// Says goodbye, or answers it, as far as the other side still listens.
async fn goodbye(mut stream: Stream) {
    let _ = timeout(GOODBYE, stream.close(None)).await;
}

impl Received {
    fn new(bytes: Vec<u8>, ends: Vec<usize>, ended: Option<Error>) -> Self {
        Self {
            at: Timestamp::now(),
            bytes: bytes.into(),
            ends,
            ended,
        }
    }

    /// Takes a first message, and what has come with it: all of that was received at one time.
    fn gather(stream: &mut Stream, first: Option<std::result::Result<Message, WsError>>) -> Self {
        let (mut bytes, mut ends, mut ended) = (Vec::new(), Vec::new(), None);
        let mut next = Some(first);
        let mut count = 0;
        while let Some(came) = next {
            count += 1;
            match came {
                Some(Ok(message @ (Message::Text(_) | Message::Binary(_)))) => {
                    bytes.extend_from_slice(&message.into_data());
                    ends.push(bytes.len());
                }
                Some(Ok(Message::Close(frame))) => ended = Some(closed(frame)),
                Some(Ok(_)) => {}
                Some(Err(error)) => ended = Some(failed(error)),
                None => ended = Some(lost("the connection has ended")),
            }
            let over = ended.is_some() || count == TOGETHER || bytes.len() >= TOGETHER_BYTES;
            next = if over { None } else { stream.next().now_or_never() };
        }
        Self::new(bytes, ends, ended)
    }

    /// The messages.
    pub(crate) fn messages(&self) -> impl ExactSizeIterator<Item = Bytes> {
        let mut from = 0;
        self.ends
            .iter()
            .map(move |end| self.bytes.slice(std::mem::replace(&mut from, *end)..*end))
    }
}

fn closed(frame: Option<CloseFrame>) -> Error {
    let told = frame.map_or_else(String::new, |frame| {
        let reason: String = frame.reason.chars().take(200).collect();
        format!(" (code {}, {reason:?})", u16::from(frame.code))
    });
    lost(format!("the host has closed the connection{told}"))
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

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;
    use tokio_tungstenite::accept_async;
    use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    /// Both ends of a connection.
    async fn connected(connect_timeout: Duration) -> (WebSocketStream<TcpStream>, Socket) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}", listener.local_addr().unwrap());
        let config = NetConfig {
            connect_timeout,
            ..NetConfig::default()
        };
        let dialer = Dialer::new(&config).unwrap();
        let accepting = async { accept_async(listener.accept().await.unwrap().0).await.unwrap() };
        let url = Url::parse(&url).unwrap();
        let (host, socket) = tokio::join!(accepting, dialer.connect(&url));
        (host, socket.unwrap())
    }

    /// All that comes, and how it ends.
    async fn rest(socket: &mut Socket) -> (Vec<Bytes>, Error) {
        let mut messages = Vec::new();
        loop {
            let received = timeout(PATIENCE, socket.next()).await.unwrap();
            messages.extend(received.messages());
            if let Some(error) = received.ended {
                return (messages, error);
            }
        }
    }

    #[tokio::test]
    async fn all_that_a_host_has_sent_comes_before_how_it_ended() {
        let (mut host, mut socket) = connected(PATIENCE).await;
        let sending = async {
            // More than is kept.
            for number in 0..3 * (WAITING * TOGETHER) {
                host.feed(Message::text(number.to_string())).await.unwrap();
            }
            let frame = CloseFrame {
                code: CloseCode::Restart,
                reason: "maintenance".into(),
            };
            host.close(Some(frame)).await.unwrap();
        };
        let ((), (messages, error)) = tokio::join!(sending, rest(&mut socket));
        let expected: Vec<_> = (0..3 * (WAITING * TOGETHER)).map(|n| n.to_string()).collect();
        assert!(messages.iter().eq(&expected), "{} messages", messages.len());
        let told = error.to_string();
        assert!(told.contains("1012") && told.contains("maintenance"), "{told}");
    }

    #[tokio::test]
    async fn a_ping_is_answered_while_nobody_takes_what_came() {
        let (mut host, _socket) = connected(PATIENCE).await;
        host.send(Message::text("1")).await.unwrap();
        host.send(Message::Ping("are you there".into())).await.unwrap();
        let answer = timeout(PATIENCE, host.next()).await.unwrap().unwrap().unwrap();
        assert_eq!(answer, Message::Pong("are you there".into()));
    }

    #[tokio::test]
    async fn a_host_that_floods_is_made_to_wait_and_nothing_is_lost() {
        let (mut host, mut socket) = connected(PATIENCE).await;
        let large = Message::text("x".repeat(1 << 20));
        let mut sent = 0;
        // What the system keeps for a connection is a few of these.
        while timeout(Duration::from_millis(500), host.send(large.clone()))
            .await
            .is_ok()
        {
            sent += 1;
            assert!(sent < 200, "what nobody takes is kept");
        }
        let closing = async {
            host.close(None).await.unwrap();
            drop(host);
        };
        let ((), (messages, _)) = tokio::join!(closing, rest(&mut socket));
        // The one that had to wait was begun.
        assert!(messages.len() >= sent && messages.iter().all(|message| message.len() == 1 << 20));
    }

    #[tokio::test]
    async fn what_has_come_is_there_after_the_end_of_the_connection() {
        let (mut host, mut socket) = connected(PATIENCE).await;
        for number in 0..TOGETHER {
            host.send(Message::text(number.to_string())).await.unwrap();
        }
        host.send(Message::Ping("".into())).await.unwrap();
        // All has come when this is answered.
        host.next().await.unwrap().unwrap();
        socket.finish();
        let (messages, _) = rest(&mut socket).await;
        assert_eq!(messages.len(), TOGETHER);
        assert!(matches!(host.next().await.unwrap().unwrap(), Message::Close(_)));
    }

    #[tokio::test]
    async fn a_flood_of_pings_whose_answers_are_not_taken_keeps_no_message_away() {
        let (mut host, mut socket) = connected(PATIENCE).await;
        let flooding = async {
            // More than the system keeps of the answers.
            let ping = Message::Ping(vec![b'x'; 125].into());
            for _ in 0..100_000 {
                host.feed(ping.clone()).await.unwrap();
            }
            host.send(Message::text("here")).await.unwrap();
        };
        let message = async {
            loop {
                if let Some(message) = socket.next().await.messages().next() {
                    return message;
                }
            }
        };
        let ((), message) = timeout(PATIENCE, async { tokio::join!(flooding, message) })
            .await
            .unwrap();
        assert_eq!(message, "here");
    }

    #[tokio::test]
    async fn a_host_that_takes_nothing_is_given_up() {
        let (_host, mut socket) = connected(Duration::from_secs(1)).await;
        let text = "x".repeat(1 << 18);
        let sending = async {
            for _ in 0..100 {
                socket.send(text.clone()).await;
            }
        };
        let _ = timeout(Duration::from_secs(2), sending).await;
        let (_, error) = rest(&mut socket).await;
        assert!(error.to_string().contains("takes no message"), "{error}");
        assert!(matches!(error.retry(), RetryAdvice::Backoff));
    }
}
