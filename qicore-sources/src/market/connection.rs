//! One connection to a venue.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use qicore_data::{
    Data, Decoded, Decoder, Error, ErrorKind, Event, Frame, Result, RetryAdvice, RetryPolicy, Symbol, Timestamp,
};
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep_until, timeout};
use url::Url;

use super::capture::Tee;
use super::protocol::{Feed, Pending, Protocol};
use super::reports::{Place, Report, Reports};
use crate::net::ws::{Dialer, Received, Socket};
use crate::net::{Answer, Budget};
use crate::venue::{Stream, in_groups};

/// What the source asks of a connection.
#[derive(Debug)]
pub(super) enum Command {
    /// End a subscription and begin it anew: a book's first message is then a snapshot.
    Resubscribe(Stream),
}

/// What all connections of a source share.
pub(super) struct Shared {
    pub(super) protocol: Arc<dyn Protocol>,
    pub(super) feed: Feed,
    pub(super) url: Url,
    pub(super) dialer: Dialer,
    pub(super) tee: Tee,
    /// How many have been made.
    pub(super) made: AtomicU64,
    /// How many connections may be made.
    pub(super) connects: Arc<Budget>,
    pub(super) retry: RetryPolicy,
    /// How long an answer to a subscription is awaited.
    pub(super) answer_within: Duration,
    /// Answers that decoders need before anything else.
    pub(super) prelude: Vec<Answer>,
    pub(super) reports: Reports,
    /// How long the pipeline may be behind before the connection is given up.
    pub(super) behind_for: Duration,
}

/// The URL may hold what is secret.
impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("feed", &self.feed)
            .finish_non_exhaustive()
    }
}

/// Events that are kept until all subscriptions are answered, at most.
const KEPT: usize = 500_000;

/// A connection.
pub(super) struct Connection {
    shared: Arc<Shared>,
    slot: usize,
    name: Arc<str>,
    pub(super) socket: Socket,
    /// How the socket ended, while what came before is still to be decoded.
    ended: Option<Error>,
    decoder: Box<dyn Decoder>,
    pending: Pending,
    /// Messages to send, as fast as the venue allows, and one subscription after the other: so that it is known what an answer
    /// without an id is the answer to.
    to_send: VecDeque<Outgoing>,
    may_send: Arc<Budget>,
    next_request: u64,
    /// When the last thing came, and the last message.
    alive: Instant,
    pub(super) heard: Timestamp,
    /// When it was made, and when what was last given to the source came.
    pub(super) opened: Timestamp,
    pub(super) given: Timestamp,
    since: Instant,
    ping_at: Option<Instant>,
    answers_due: Instant,
    /// The bytes of the messages that what follows is made of.
    bytes: usize,
    /// What is decoded and not handed over.
    pub(super) events: Vec<Event>,
    rejected: VecDeque<(Frame, Error)>,
    pub(super) refused: Vec<(Stream, String)>,
    /// Told when the venue says that it is going to end the connection.
    pub(super) leaving: Arc<Notify>,
}

/// A message to be sent.
enum Outgoing {
    /// Of which nobody awaits an answer.
    Plain(String),
    /// A subscription.
    Subscription(Vec<Stream>),
    /// The end of one.
    End(Stream),
}

impl Connection {
    /// Connects and subscribes; done when the venue has answered for every stream. What comes meanwhile is kept.
    pub(super) async fn open(shared: Arc<Shared>, slot: usize, streams: &[Stream]) -> Result<Self> {
        let _permit = shared.connects.take(1).await;
        let socket = shared.dialer.connect(&shared.url).await?;
        let mut decoder = shared.protocol.decoder();
        for answer in &shared.prelude {
            decoder.decode(&super::client::frame(answer), &mut Vec::new())?;
        }
        let now = Instant::now();
        let mut connection = Self {
            name: shared.name(slot),
            may_send: Budget::new([shared.feed.messages]),
            ping_at: shared.feed.ping.map(|(every, _)| now + every),
            answers_due: now + shared.answer_within,
            shared,
            slot,
            socket,
            ended: None,
            decoder,
            pending: Pending::default(),
            to_send: VecDeque::new(),
            next_request: 1,
            alive: now,
            heard: Timestamp::now(),
            opened: Timestamp::now(),
            given: Timestamp::now(),
            since: now,
            bytes: 0,
            events: Vec::new(),
            rejected: VecDeque::new(),
            refused: Vec::new(),
            leaving: Arc::default(),
        };
        connection.shared.tee.connected(&connection.name);
        connection
            .to_send
            .extend(connection.shared.feed.hello.iter().cloned().map(Outgoing::Plain));
        connection.subscribe(streams);
        let (_none, mut commands) = mpsc::channel(1);
        while !connection.is_answered() {
            connection.turn(&mut commands).await?;
            connection.hand_over_rejected().await?;
            if connection.events.len() > KEPT {
                return Err(failed(
                    "the venue floods the connection before it answers the subscriptions",
                ));
            }
        }
        Ok(connection)
    }

    /// Goes on until the connection ends; tells why.
    pub(super) async fn run(&mut self, commands: &mut mpsc::Receiver<Command>) -> Error {
        loop {
            if let Err(error) = self.hand_over().await {
                return error;
            }
            if let Err(error) = self.turn(commands).await {
                return error;
            }
        }
    }

    /// Waits for something to do, and does it.
    async fn turn(&mut self, commands: &mut mpsc::Receiver<Command>) -> Result<()> {
        if let Some(error) = self.ended.take() {
            return Err(error);
        }
        let silent_at = self.alive + self.shared.feed.silence;
        let ping_at = self.ping_at.unwrap_or(silent_at);
        let unanswered = !self.pending.is_done();
        let sends = match self.to_send.front() {
            Some(Outgoing::Subscription(_)) => !unanswered,
            Some(_) => true,
            None => false,
        };
        let may_send = Arc::clone(&self.may_send);
        tokio::select! {
            // What is sent comes first: it is little, and a flood of messages must not keep a broken book from being asked for.
            biased;
            permit = may_send.take(1), if sends => {
                drop(permit);
                self.send_next().await;
            }
            Some(Command::Resubscribe(stream)) = commands.recv() => {
                self.to_send.push_back(Outgoing::End(stream));
                self.subscribe(&[stream]);
            }
            () = sleep_until(ping_at), if self.ping_at.is_some() => {
                if let Some((every, text)) = self.shared.feed.ping {
                    self.ping_at = Some(Instant::now() + every);
                    self.to_send.push_back(Outgoing::Plain(text.to_owned()));
                }
            }
            received = self.socket.next() => self.take(received),
            () = sleep_until(silent_at) => {
                let message = format!("the venue has said nothing for {:?}, though it should", self.shared.feed.silence);
                return Err(failed(message));
            }
            () = sleep_until(self.answers_due), if unanswered => {
                let some: Vec<_> = self.pending.streams().take(5).map(|stream| stream.to_string()).collect();
                return Err(failed(format!("the venue does not answer the subscription to {}", some.join(", "))));
            }
        }
        Ok(())
    }

    fn subscribe(&mut self, streams: &[Stream]) {
        let together = self.shared.protocol.together(streams);
        let messages = together
            .iter()
            .flat_map(|streams| in_groups(streams, self.shared.feed.per_message));
        self.to_send.extend(messages.map(Outgoing::Subscription));
    }

    /// Whether all subscriptions have been sent, and answered.
    fn is_answered(&self) -> bool {
        let waiting = self
            .to_send
            .iter()
            .any(|message| matches!(message, Outgoing::Subscription(_)));
        self.pending.is_done() && !waiting
    }

    async fn send_next(&mut self) {
        let id = self.next_request;
        let protocol = &self.shared.protocol;
        let text = match self.to_send.pop_front() {
            None => return,
            Some(Outgoing::Plain(text)) => text,
            Some(Outgoing::End(stream)) => {
                self.next_request += 1;
                protocol.subscription(id, &[stream], false)
            }
            Some(Outgoing::Subscription(streams)) => {
                self.next_request += 1;
                self.pending.asked(id, &streams);
                self.answers_due = Instant::now() + self.shared.answer_within;
                protocol.subscription(id, &streams, true)
            }
        };
        self.shared.tee.sent(&self.name, &text);
        self.socket.send(text).await;
    }

    /// What the venue has refused. Of several streams in one request it does not say which: they are asked for one by one.
    fn sort_out_refused(&mut self) {
        let refused = self.pending.take_refused();
        if refused.len() > 1 && self.pending.is_done() && !self.shared.feed.names_refused {
            for (stream, _) in refused {
                self.subscribe(&[stream]);
            }
        } else {
            self.refused.extend(refused);
        }
    }

    /// Takes and decodes what came.
    fn take(&mut self, received: Received) {
        let (at, messages) = (received.at, received.messages());
        self.alive = Instant::now();
        if messages.len() > 0 {
            self.heard = at;
        }
        self.events.reserve(messages.len());
        for payload in messages {
            self.shared.tee.received(&self.name, at, &payload);
            self.bytes += payload.len();
            self.decode(Frame::new(0, payload).received(at));
        }
        self.ended = received.ended;
        self.sort_out_refused();
        if self.pending.take_leaving() {
            self.leaving.notify_one();
        }
    }

    fn decode(&mut self, frame: Frame) {
        let before = self.events.len();
        match self.decoder.decode(&frame, &mut self.events) {
            // An answer to a subscription may also show that a message before it was lost.
            Ok(decoded) => {
                let gaps = || {
                    self.events[before..]
                        .iter()
                        .all(|event| matches!(event.data, Data::Gap(_)))
                };
                if (decoded == Decoded::Control || gaps())
                    && let Ok(text) = std::str::from_utf8(&frame.payload)
                {
                    self.shared.protocol.control(text, &mut self.pending);
                }
            }
            Err(error) => {
                self.events.truncate(before);
                self.rejected.push_back((frame, error));
            }
        }
    }

    /// Hands what is decoded to the source. A pipeline that is too far behind ends the connection: what it misses is then
    /// known, and asked for later. Cancel-safe: nothing is taken out before there is room for it.
    pub(super) async fn hand_over(&mut self) -> Result<()> {
        self.hand_over_rejected().await?;
        while !(self.events.is_empty() && self.refused.is_empty()) {
            let place = self.shared.room(self.bytes).await?;
            let report = if self.refused.is_empty() {
                self.bytes = 0;
                Report::Events {
                    slot: self.slot,
                    events: std::mem::take(&mut self.events),
                }
            } else {
                let streams = std::mem::take(&mut self.refused);
                Report::Refused { streams }
            };
            place.send(report);
        }
        self.bytes = 0;
        self.given = self.heard;
        Ok(())
    }

    /// Hands over what cannot be decoded, which waits for nothing else.
    async fn hand_over_rejected(&mut self) -> Result<()> {
        while let Some((frame, _)) = self.rejected.front() {
            let place = self.shared.room(frame.payload.len()).await?;
            if let Some((frame, error)) = self.rejected.pop_front() {
                place.send(Report::Rejected { frame, error });
            }
        }
        Ok(())
    }

    /// Keeps what comes for so long.
    pub(super) async fn listen(&mut self, length: Duration) -> Result<()> {
        let until = Instant::now() + length;
        let (_none, mut commands) = mpsc::channel(1);
        while Instant::now() < until {
            tokio::select! {
                turned = self.turn(&mut commands) => turned?,
                () = sleep_until(until) => {}
            }
            self.hand_over_rejected().await?;
            if self.events.len() > KEPT {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Takes what has come already, and ends, since another connection takes the place of this one.
    pub(super) async fn finish(&mut self) {
        self.socket.finish();
        while self.ended.is_none() {
            let received = self.socket.next().await;
            self.take(received);
        }
    }

    /// The books of which changes wait to be handed over.
    pub(super) fn books(&self) -> Vec<Symbol> {
        let books = self.events.iter().filter(|event| matches!(event.data, Data::Book(_)));
        let mut symbols: Vec<_> = books.map(|event| event.symbol).collect();
        symbols.sort_unstable();
        symbols.dedup();
        symbols
    }

    /// When another connection is to take its place, if the venue ends it after a time.
    pub(super) fn hand_over_at(&self) -> Option<Instant> {
        // Early enough for a few attempts.
        self.shared.feed.lasts.map(|lasts| self.since + lasts - lasts / 20)
    }
}

impl Shared {
    /// What a connection is called in captures: two that overlap are not one.
    fn name(&self, slot: usize) -> Arc<str> {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        format!("{}/{slot}.{number}", self.protocol.context().exchange).into()
    }

    /// Room for a report of so many bytes.
    async fn room(&self, bytes: usize) -> Result<Place<'_>> {
        match timeout(self.behind_for, self.reports.reserve(bytes)).await {
            Ok(Some(place)) => Ok(place),
            Ok(None) => Err(Error::new(
                ErrorKind::Internal,
                "market.connection",
                "the source is gone",
            )),
            Err(_) => {
                let message = format!(
                    "the pipeline is behind by more than its buffers hold, for {:?}",
                    self.behind_for
                );
                Err(Error::new(ErrorKind::Unavailable, OVERFLOW, message))
            }
        }
    }
}

/// The operation of the error that says that the pipeline was too slow.
pub(super) const OVERFLOW: &str = "market.overflow";

/// A failure of the connection, to be made again.
pub(super) fn failed(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Unavailable, "market.connection", message).with_retry(RetryAdvice::Backoff)
}
