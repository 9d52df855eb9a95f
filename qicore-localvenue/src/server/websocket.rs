//! WebSocket connections: handshake, the loop, and the rules of the socket itself.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use hyper::{
    Response,
    body::Incoming,
    header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE},
};
use hyper_util::rt::TokioIo;
use tokio::{io::AsyncWriteExt, sync::broadcast};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Message,
        handshake::derive_accept_key,
        protocol::{CloseFrame, Role, frame::coding::CloseCode},
    },
};

use super::{
    Answer, Core, Outbox, Query, Session, Verdict,
    burst::{Burst, frames},
    connection::{Alive, ended, killed},
    http::{Body, plain},
    sender::Sender,
    session::Item,
    socket::ResetSwitch,
};
use crate::faults::{Command, Handshake};

const TICK: Duration = Duration::from_millis(10);
/// How often a connection with a rate of its own is sent what is due: clients are to see a flow, not bursts.
const PACE: Duration = Duration::from_millis(1);

pub(super) fn is_upgrade(request: &hyper::Request<Incoming>) -> bool {
    let upgrade = request.headers().get(UPGRADE).and_then(|value| value.to_str().ok());
    upgrade.is_some_and(|value| value.eq_ignore_ascii_case("websocket"))
}

/// Answers a handshake and starts the connection.
pub(super) async fn upgrade(
    core: Arc<Core>,
    mut request: hyper::Request<Incoming>,
    reset: ResetSwitch,
    alive: Alive,
) -> Response<Body> {
    let target = request
        .uri()
        .path_and_query()
        .map(ToString::to_string)
        .unwrap_or_default();
    match core.faults.handshake() {
        Handshake::Accept => {}
        Handshake::Hang => std::future::pending().await,
        Handshake::Refuse(status) => return plain(Answer::with(status, "")),
    }
    if !matches!(core.attempts.take(1, Instant::now()), Verdict::Granted(_)) {
        core.log.violation(None, "too many connection attempts in 5 minutes");
        return plain(Answer::with(429, ""));
    }
    let query = Query::parse(request.uri().query().unwrap_or_default());
    let Some(session) = core.session(request.uri().path(), &query) else {
        core.log.violation(None, format!("WebSocket to unknown path {target}"));
        return plain(Answer::with(404, ""));
    };
    let Some(key) = request
        .headers()
        .get(SEC_WEBSOCKET_KEY)
        .map(|key| derive_accept_key(key.as_bytes()))
    else {
        core.log.violation(None, "WebSocket handshake without a key");
        return plain(Answer::with(400, ""));
    };
    let upgraded = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        if let Ok(upgraded) = upgraded.await {
            let socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await;
            Connection::new(core, session, &target, reset).run(socket).await;
        }
        drop(alive);
    });
    let mut response = plain(Answer::with(101, ""));
    let headers = response.headers_mut();
    headers.clear();
    headers.insert(UPGRADE, hyper::header::HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, hyper::header::HeaderValue::from_static("Upgrade"));
    if let Ok(accept) = key.parse() {
        headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    }
    response
}

/// Why a connection ends.
#[derive(Debug)]
enum End {
    Frame(u16, String),
    Silent(&'static str),
}

struct Connection {
    core: Arc<Core>,
    id: u64,
    session: Box<dyn Session>,
    reset: ResetSwitch,
    sender: Sender,
    opened: Instant,
    /// Last traffic in either direction.
    traffic: Instant,
    burst: Burst,
    /// Until when the frames of `rate` are sent.
    paced: Instant,
    /// Times of the client's messages in the last second.
    recent: VecDeque<Instant>,
    next_ping: Option<Instant>,
    ping_sent: Option<(Instant, Bytes)>,
    subscribed_once: bool,
    announced: bool,
    /// Frames a second beyond the market's own, and the part of one that is due.
    rate: u64,
    owed: f64,
}

impl Connection {
    fn new(core: Arc<Core>, session: Box<dyn Session>, target: &str, reset: ResetSwitch) -> Self {
        let id = core.next_connection();
        core.log.opened(id, target);
        let now = Instant::now();
        Self {
            next_ping: core.limits.ping_interval.map(|every| now + every),
            rate: core.load.rate,
            core,
            id,
            session,
            reset,
            sender: Sender::default(),
            opened: now,
            traffic: now,
            burst: Burst::default(),
            paced: now,
            recent: VecDeque::new(),
            ping_sent: None,
            subscribed_once: false,
            announced: false,
            owed: 0.0,
        }
    }

    async fn run<S>(mut self, mut socket: WebSocketStream<S>)
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    {
        let (mut kill, mut stopped) = (self.core.faults.subscribe(), self.core.stopped());
        let reset = self.reset.clone();
        let (core, id) = (self.core.clone(), self.id);
        let reason = tokio::select! {
            end = self.talk(&mut socket) => match end {
                End::Silent(reason) => reason.to_owned(),
                End::Frame(code, reason) => {
                    let frame = CloseFrame { code: CloseCode::from(code), reason: reason.clone().into() };
                    goodbye(&mut socket, frame).await;
                    reason
                }
            },
            command = killed(&mut kill, Some(id)) => {
                if matches!(command, Command::Reset(_)) {
                    reset.on();
                }
                "fault".to_owned()
            }
            () = ended(&mut stopped) => {
                let frame = CloseFrame { code: CloseCode::Away, reason: "".into() };
                let _ = tokio::time::timeout(Duration::from_millis(100), socket.close(Some(frame))).await;
                "venue stopped".to_owned()
            }
        };
        core.log.closed(id, &reason);
    }

    async fn talk<S>(&mut self, socket: &mut WebSocketStream<S>) -> End
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    {
        let mut commands = self.core.faults.subscribe();
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut pace = tokio::time::interval(PACE);
        pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut out = Outbox::default();
        self.session.opened(self.core.market.now(), &mut out);
        loop {
            if let Some(end) = self.send(&mut out, socket).await {
                return end;
            }
            if self.burst.take(Instant::now()) && self.burst(socket).await.is_err() {
                return End::Silent("client vanished");
            }
            while self.core.faults.is_half_open() {
                tokio::time::sleep(TICK).await;
            }
            tokio::select! {
                message = socket.next() => match message {
                    Some(Ok(message)) => if let Some(end) = self.received(message, &mut out) {
                        return end;
                    },
                    Some(Err(_)) | None => return End::Silent("client vanished"),
                },
                command = commands.recv() => if let Some(end) = self.command(command, &mut out) {
                    return end;
                },
                _ = pace.tick(), if self.rate > 0 => self.pace(&mut out),
                _ = ticks.tick() => if let Some(end) = self.tick(&mut out) {
                    return end;
                },
            }
        }
    }

    /// Sends what is due, everything in one flush.
    async fn send<S>(&mut self, out: &mut Outbox, socket: &mut WebSocketStream<S>) -> Option<End>
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    {
        let now = Instant::now();
        let mut end = None;
        for item in out.items.drain(..) {
            match item {
                Item::Violation(what) => self.core.log.violation(Some(self.id), what),
                Item::Close(code, reason) => end = Some(End::Frame(code, reason)),
                text => self.sender.push(text, &self.core.faults, now),
            }
        }
        let mut any = false;
        while let Some(message) = self.sender.due(now) {
            any = true;
            if socket.feed(message).await.is_err() {
                return Some(End::Silent("client vanished"));
            }
        }
        if any {
            self.traffic = now;
            let sent = self.sender.sent;
            self.core.log.connection(self.id, |connection| connection.sent = sent);
            if socket.flush().await.is_err() {
                return Some(End::Silent("client vanished"));
            }
        }
        end
    }

    fn received(&mut self, message: Message, out: &mut Outbox) -> Option<End> {
        let now = Instant::now();
        self.traffic = now;
        while self
            .recent
            .front()
            .is_some_and(|at| now.duration_since(*at) >= Duration::from_secs(1))
        {
            self.recent.pop_front();
        }
        self.recent.push_back(now);
        if self.recent.len() > self.core.limits.messages_per_second as usize {
            let count = self.recent.len();
            self.core
                .log
                .violation(Some(self.id), format!("{count} client messages in a second"));
            return Some(End::Frame(1008, "Too many requests".to_owned()));
        }
        match message {
            Message::Text(text) => {
                self.core.log.message(self.id, &text);
                self.session.message(&text, self.core.market.now(), out);
                self.burst.said(self.session.streams(), now);
            }
            Message::Pong(payload) => match self.ping_sent.take() {
                Some((_, sent)) if sent == payload => {}
                // Pongs nobody asked for are allowed, but do not count.
                other => self.ping_sent = other,
            },
            Message::Close(_) => return Some(End::Silent("client closed")),
            Message::Binary(_) => self.core.log.violation(Some(self.id), "binary message"),
            Message::Ping(_) | Message::Frame(_) => {}
        }
        None
    }

    fn command(&mut self, command: Result<Command, broadcast::error::RecvError>, out: &mut Outbox) -> Option<End> {
        let now = Instant::now();
        let clock = self.core.market.now();
        match command.ok()? {
            Command::Close(code, reason) => return Some(End::Frame(code, reason)),
            Command::Text(text) => self.sender.raw(Message::text(text), now),
            Command::Binary(bytes) => self.sender.raw(Message::binary(bytes), now),
            Command::Foreign(symbol) => self.session.foreign(&symbol, clock, out),
            Command::Revised(symbol, timeframe, open) => {
                self.session.revised(&symbol, &timeframe, open, clock, out);
            }
            Command::Burst(frames) => out.ahead(self.session.ahead(frames)),
            Command::Rate(frames) => (self.rate, self.paced) = (frames, now),
            Command::Reset(_) | Command::Fin => {}
        }
        None
    }

    fn tick(&mut self, out: &mut Outbox) -> Option<End> {
        let (now, clock) = (Instant::now(), self.core.market.now());
        self.session.tick(clock, out);
        self.rules(now, clock, out)
    }

    /// Sends what the rate asks for.
    fn pace(&mut self, out: &mut Outbox) {
        let now = Instant::now();
        self.owed += self.rate as f64 * now.duration_since(self.paced).as_secs_f64();
        self.paced = now;
        out.ahead(self.session.ahead(self.owed as u64));
        self.owed = self.owed.fract();
    }

    /// Sends the burst. Everything before it has been flushed: its bytes go straight to the stream below.
    async fn burst<S>(&mut self, socket: &mut WebSocketStream<S>) -> std::io::Result<()>
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    {
        let texts = self.session.ahead(self.core.load.burst);
        if texts.is_empty() {
            return Ok(());
        }
        self.sender.sent += texts.len() as u64;
        let bytes = frames(&texts);
        drop(texts);
        socket.get_mut().write_all(&bytes).await?;
        self.traffic = Instant::now();
        let sent = self.sender.sent;
        self.core.log.connection(self.id, |connection| connection.sent = sent);
        Ok(())
    }

    /// Pings, ages and idleness.
    fn rules(&mut self, now: Instant, clock: i64, out: &mut Outbox) -> Option<End> {
        let limits = &self.core.limits;
        if let Some((sent, _)) = &self.ping_sent
            && now.duration_since(*sent) > limits.pong_timeout
        {
            self.core.log.violation(Some(self.id), "no pong in time");
            return Some(End::Frame(1008, "Pong timeout".to_owned()));
        }
        if self.next_ping.is_some_and(|next| next <= now) {
            self.next_ping = limits.ping_interval.map(|every| now + every);
            let payload = Bytes::from((clock / 1_000_000).to_string());
            self.sender.raw(Message::Ping(payload.clone()), now);
            // The oldest ping without a pong counts.
            if self.ping_sent.is_none() {
                self.ping_sent = Some((now, payload));
            }
        }
        let age = now.duration_since(self.opened);
        if age >= limits.max_age {
            return Some(End::Frame(1001, "connection too old".to_owned()));
        }
        if !self.announced && age >= limits.max_age.saturating_sub(limits.shutdown_notice) {
            self.announced = true;
            if let Some(notice) = self.session.shutdown_notice(clock) {
                out.control(notice);
            }
        }
        self.subscribed_once |= self.session.streams() > 0;
        if !self.subscribed_once && limits.subscribe_timeout.is_some_and(|limit| age > limit) {
            self.core.log.violation(Some(self.id), "no subscription in time");
            return Some(End::Frame(1008, "subscribe timeout".to_owned()));
        }
        if limits
            .idle_timeout
            .is_some_and(|limit| now.duration_since(self.traffic) > limit)
        {
            return Some(End::Frame(1001, "idle".to_owned()));
        }
        None
    }
}

/// Sends a close frame and reads until the client's, for a moment: closing at once would reset the connection under it.
async fn goodbye<S>(socket: &mut WebSocketStream<S>, frame: CloseFrame)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let farewell = async {
        if socket.close(Some(frame)).await.is_ok() {
            while let Some(Ok(_)) = socket.next().await {}
        }
    };
    let _ = tokio::time::timeout(Duration::from_millis(500), farewell).await;
}
