//! A wire that goes wrong.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

use super::Random;

/// What becomes of a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fate {
    /// Nothing happens to it.
    Sound,
    /// It is cut once so many bytes have gone to the server.
    CutUp(u64),
    /// It is cut once so many bytes have come from the server.
    CutDown(u64),
    /// After so many bytes to the server nothing passes any more in either direction, until the client goes.
    Stall(u64),
    /// It is cut in place of the server's answer to a statement: the server has done it.
    Unanswered(&'static str),
}

/// Fates of connections: cut after random numbers of bytes in one of the directions, small ones among them, until there
/// have been `most`.
pub(crate) fn cuts(seed: u64, most: u64) -> impl Fn(u64) -> Fate + Send + Sync {
    move |number| {
        let mut random = Random(1000 * seed + number);
        let bits = 4 + random.below(10);
        let bytes = 1 + random.below(1 << bits);
        match number {
            number if number >= most => Fate::Sound,
            number if number.is_multiple_of(2) => Fate::CutUp(8 * bytes),
            _ => Fate::CutDown(bytes),
        }
    }
}

/// Between a sink and its server, on loopback.
pub(crate) struct Proxy {
    port: u16,
    /// Connections that have met their fate.
    met: Arc<AtomicU64>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Proxy {
    /// `fate` is asked for each connection that the server takes, by its number from 0.
    pub(crate) async fn new(server: u16, fate: impl Fn(u64) -> Fate + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let met = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&met);
        let task = tokio::spawn(async move {
            let mut number = 0;
            while let Ok((client, _)) = listener.accept().await {
                // A server that is down ends the connection, as it would without this.
                let Ok(server) = TcpStream::connect(("127.0.0.1", server)).await else {
                    continue;
                };
                let (fate, met) = (fate(number), Arc::clone(&counted));
                number += 1;
                tokio::spawn(async move { carry(client, server, fate, &met).await });
            }
        });
        Self { port, met, task }
    }

    /// Where it listens.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// How many connections have met their fate.
    pub(crate) fn met(&self) -> u64 {
        self.met.load(Relaxed)
    }
}

async fn carry(client: TcpStream, server: TcpStream, fate: Fate, met: &AtomicU64) {
    for end in [&client, &server] {
        end.set_nodelay(true).unwrap();
    }
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    let asked = AtomicBool::new(false);
    let (up, statement) = match fate {
        Fate::CutUp(bytes) | Fate::Stall(bytes) => (Some(bytes), None),
        Fate::Unanswered(statement) => (None, Some(statement)),
        Fate::Sound | Fate::CutDown(_) => (None, None),
    };
    let down = match fate {
        Fate::CutDown(bytes) => Some(bytes),
        _ => None,
    };
    let stall = matches!(fate, Fate::Stall(_));
    let ended = tokio::select! {
        ended = upward(from_client, to_server, up, stall, statement, &asked) => ended,
        ended = downward(from_server, to_client, down, &asked) => ended,
    };
    if ended {
        met.fetch_add(1, Relaxed);
    }
}

/// Carries to the server. True where the fate was met.
async fn upward(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    most: Option<u64>,
    stall: bool,
    statement: Option<&str>,
    asked: &AtomicBool,
) -> bool {
    let (mut left, mut buffer) = (most, vec![0; 16 << 10]);
    loop {
        let Ok(read @ 1..) = from.read(&mut buffer).await else {
            return false;
        };
        let part = left.map_or(read, |left| read.min(left as usize));
        let sent = &buffer[..part];
        if statement.is_some_and(|statement| sent.windows(statement.len()).any(|part| part == statement.as_bytes())) {
            asked.store(true, Relaxed);
        }
        if to.write_all(sent).await.is_err() {
            return false;
        }
        left = left.map(|left| left - part as u64);
        if left == Some(0) {
            // What the client sends from here on is swallowed, until it gives up.
            while stall && matches!(from.read(&mut buffer).await, Ok(1..)) {}
            return true;
        }
    }
}

/// Carries to the client. True where the fate was met.
async fn downward(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, most: Option<u64>, asked: &AtomicBool) -> bool {
    let (mut left, mut buffer) = (most, vec![0; 16 << 10]);
    loop {
        let Ok(read @ 1..) = from.read(&mut buffer).await else {
            return false;
        };
        if asked.load(Relaxed) {
            return true;
        }
        let part = left.map_or(read, |left| read.min(left as usize));
        if to.write_all(&buffer[..part]).await.is_err() {
            return false;
        }
        left = left.map(|left| left - part as u64);
        if left == Some(0) {
            return true;
        }
    }
}
