//! Faults that tests switch on while a venue runs.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::broadcast;

use crate::market::Market;

/// What happens to a REST request instead of its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HttpFault {
    /// A status, headers and a body, as they are.
    Answer {
        /// HTTP status.
        status: u16,
        /// Headers.
        headers: Vec<(String, String)>,
        /// Body.
        body: String,
    },
    /// The right answer, `bytes` at a time with a pause of `every`.
    Slow {
        /// Bytes in each piece.
        bytes: usize,
        /// Pause before each piece.
        every: Duration,
    },
    /// The right answer, after a wait.
    Hang(Duration),
    /// Half the right answer, then the connection is closed: the content length promised more.
    CloseMidBody,
    /// The right answer as gzip, cut short, with a content length that agrees.
    TruncatedGzip,
    /// Status 200 and a body that is no JSON.
    Garbage,
    /// Rows before the range that was asked for come first.
    OutsideRows,
    /// The answer given last on this path, whatever is asked: an endless loop of pages.
    SamePage,
    /// The right envelope, but no rows.
    EmptyPage,
    /// No answer: the connection is closed after the request was read.
    Lost,
}

impl HttpFault {
    /// A status with a body and no headers.
    pub fn status(status: u16, body: impl Into<String>) -> Self {
        Self::Answer {
            status,
            headers: Vec::new(),
            body: body.into(),
        }
    }

    /// 429 with `Retry-After` and a body.
    pub fn too_many_requests(retry_after: u64, body: impl Into<String>) -> Self {
        Self::retry_after(429, retry_after, body)
    }

    /// Any status with `Retry-After` seconds.
    pub fn retry_after(status: u16, seconds: u64, body: impl Into<String>) -> Self {
        let headers = vec![("Retry-After".to_owned(), seconds.to_string())];
        Self::Answer {
            status,
            headers,
            body: body.into(),
        }
    }

    /// An HTML page, as proxies and firewalls answer (403, 451, 502).
    pub fn html(status: u16) -> Self {
        let body = format!("<html><head><title>{status}</title></head><body><h1>{status}</h1></body></html>\r\n");
        Self::Answer {
            status,
            headers: vec![("Content-Type".to_owned(), "text/html".to_owned())],
            body,
        }
    }
}

/// Random trouble of a soak test. Probabilities are in 0..=1 and for one message or request.
#[derive(Debug, Clone, PartialEq)]
pub struct ChaosConfig {
    /// Mean time between disconnections of all connections, if any.
    pub disconnect_every: Option<Duration>,
    /// A message is sent twice.
    pub duplicate: f64,
    /// A message changes places with the next.
    pub reorder: f64,
    /// A message is not sent.
    pub drop: f64,
    /// A message, and all behind it, waits.
    pub delay: f64,
    /// How long at most.
    pub max_delay: Duration,
    /// A request is answered 500 or not at all.
    pub http_error: f64,
}

impl Default for ChaosConfig {
    fn default() -> Self {
        Self {
            disconnect_every: Some(Duration::from_secs(10)),
            duplicate: 0.01,
            reorder: 0.01,
            drop: 0.005,
            delay: 0.002,
            max_delay: Duration::from_millis(300),
            http_error: 0.02,
        }
    }
}

/// What connections are told.
#[derive(Debug, Clone)]
pub(crate) enum Command {
    Reset,
    Fin,
    Close(u16, String),
    Text(String),
    Binary(Vec<u8>),
    Foreign(String),
    /// A bar that was revised: symbol, timeframe, open time.
    Revised(String, String, i64),
    Burst(u64),
    Rate(u64),
}

/// How a WebSocket handshake is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Handshake {
    #[default]
    Accept,
    Hang,
    Refuse(u16),
}

/// What happens to one data message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Fate {
    pub(crate) dropped: bool,
    pub(crate) twice: bool,
    pub(crate) swapped: bool,
    pub(crate) delay: Duration,
}

/// The handle with which tests inject faults. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Faults {
    state: Arc<Mutex<State>>,
    commands: broadcast::Sender<Command>,
    market: Market,
}

#[derive(Debug, Default)]
struct State {
    http: Vec<Rule>,
    last_pages: HashMap<String, String>,
    handshake: Handshake,
    down_until: Option<Instant>,
    muted: Vec<(Option<String>, Option<String>)>,
    half_open: bool,
    drop_next: u64,
    duplicate: f64,
    reorder: f64,
    reorder_next: u64,
    drop: f64,
    delay: Duration,
    delay_probability: f64,
    max_delay: Duration,
    http_error: f64,
    refused: BTreeSet<String>,
    never_acknowledge: bool,
    skip_book: u64,
    corrupt_checksum: u64,
    dice: u64,
}

#[derive(Debug)]
struct Rule {
    contains: String,
    left: Option<u64>,
    fault: HttpFault,
}

impl Faults {
    pub(crate) fn new(market: Market) -> Self {
        Self {
            state: Arc::default(),
            commands: broadcast::channel(4_096).0,
            market,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn command(&self, command: Command) {
        // Without connections nobody listens, and nobody has to.
        let _ = self.commands.send(command);
    }

    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Command> {
        self.commands.subscribe()
    }

    /// The next `times` requests whose path and query contain `part` meet `fault`; an empty `part` matches all. Rules are tried
    /// in the order they were given.
    pub fn http(&self, part: &str, times: u64, fault: HttpFault) {
        self.state().http.push(Rule {
            contains: part.to_owned(),
            left: Some(times),
            fault,
        });
    }

    /// All requests whose path and query contain `part` meet `fault`, until [`Faults::clear`].
    pub fn http_always(&self, part: &str, fault: HttpFault) {
        self.state().http.push(Rule {
            contains: part.to_owned(),
            left: None,
            fault,
        });
    }

    /// Ends all faults that go on, chaos too. Connections stay as they are, and the listener comes back.
    pub fn clear(&self) {
        *self.state() = State::default();
    }

    /// Closes all connections with a TCP reset.
    pub fn reset_all(&self) {
        self.command(Command::Reset);
    }

    /// Closes all connections with a TCP FIN and no close frame.
    pub fn drop_all(&self) {
        self.command(Command::Fin);
    }

    /// Closes all connections with a close frame.
    pub fn close_all(&self, code: u16, reason: &str) {
        self.command(Command::Close(code, reason.to_owned()));
    }

    /// Accepts TCP, but never answers a WebSocket handshake.
    pub fn hang_handshakes(&self, on: bool) {
        self.state().handshake = if on { Handshake::Hang } else { Handshake::Accept };
    }

    /// Answers WebSocket handshakes with an HTTP status; `None` accepts them again.
    pub fn refuse_upgrades(&self, status: Option<u16>) {
        self.state().handshake = status.map_or(Handshake::Accept, Handshake::Refuse);
    }

    /// Resets all connections and closes the listener; it comes back on the same port after `duration`.
    pub fn down(&self, duration: Duration) {
        self.state().down_until = Some(Instant::now() + duration);
        self.command(Command::Reset);
    }

    /// Keeps connections alive (pings are answered) but sends no data of `symbol` (canonical; `None` is every one) on `channel` (the
    /// venue's name of it, `trade`, `kline_1m`, `market_trades`; `None` is every one).
    pub fn mute(&self, symbol: Option<&str>, channel: Option<&str>) {
        self.state()
            .muted
            .push((symbol.map(str::to_owned), channel.map(str::to_owned)));
    }

    /// Ends all [`Faults::mute`]. What was not sent is lost.
    pub fn unmute(&self) {
        self.state().muted.clear();
    }

    /// Connections neither read nor write, but stay open.
    pub fn half_open(&self, on: bool) {
        self.state().half_open = on;
    }

    /// Does not send the next `messages` data messages.
    pub fn drop_next(&self, messages: u64) {
        self.state().drop_next = messages;
    }

    /// Sends each data message twice with this probability.
    pub fn duplicate(&self, probability: f64) {
        self.state().duplicate = probability;
    }

    /// Swaps a data message with the next with this probability.
    pub fn reorder(&self, probability: f64) {
        self.state().reorder = probability;
    }

    /// Swaps the next `times` pairs of neighbouring data messages.
    pub fn reorder_next(&self, times: u64) {
        self.state().reorder_next = times;
    }

    /// Holds data messages back for this long.
    pub fn delay(&self, delay: Duration) {
        self.state().delay = delay;
    }

    /// Sends a text frame to all connections.
    pub fn send_text(&self, text: &str) {
        self.command(Command::Text(text.to_owned()));
    }

    /// Sends a binary frame to all connections.
    pub fn send_binary(&self, bytes: &[u8]) {
        self.command(Command::Binary(bytes.to_vec()));
    }

    /// Sends all connections a trade of a symbol, subscribed or not.
    pub fn foreign_trade(&self, symbol: &str) {
        self.command(Command::Foreign(symbol.to_owned()));
    }

    /// Refuses subscriptions of a symbol as if the venue did not know it; REST goes on.
    pub fn refuse_symbol(&self, symbol: &str) {
        self.state().refused.insert(symbol.to_owned());
    }

    /// Takes back [`Faults::refuse_symbol`].
    pub fn accept_symbol(&self, symbol: &str) {
        self.state().refused.remove(symbol);
    }

    /// Subscribes without acknowledging.
    pub fn never_acknowledge(&self, on: bool) {
        self.state().never_acknowledge = on;
    }

    /// Leaves out the next `updates` book updates: sequence and checksum break.
    pub fn skip_book_updates(&self, updates: u64) {
        self.state().skip_book = updates;
    }

    /// Sends a wrong checksum with the next `updates` Kraken book updates.
    pub fn corrupt_checksums(&self, updates: u64) {
        self.state().corrupt_checksum = updates;
    }

    /// Revises a bar: its high and close move up by `ticks`, its volume by one unit. From now on this is the market's truth; REST gives
    /// it, and Binance sends it again to those who are subscribed. `false` if there is no such bar.
    pub fn revise_candle(&self, symbol: &str, timeframe: &str, open_time: i64, ticks: i64) -> bool {
        let Some(at) = self.market.timeframe(timeframe) else {
            return false;
        };
        let revised = self.market.revise(symbol, at, open_time, ticks).is_some();
        if revised {
            self.command(Command::Revised(symbol.to_owned(), timeframe.to_owned(), open_time));
        }
        revised
    }

    /// Random trouble until [`Faults::clear`]: the same seed gives the same sequence of decisions. Must be called in a tokio runtime
    /// when `disconnect_every` is set.
    pub fn chaos(&self, seed: u64, config: &ChaosConfig) {
        {
            let mut state = self.state();
            state.dice = seed | 1;
            state.duplicate = config.duplicate;
            state.reorder = config.reorder;
            state.drop = config.drop;
            state.delay_probability = config.delay;
            state.max_delay = config.max_delay;
            state.http_error = config.http_error;
        }
        if let Some(mean) = config.disconnect_every {
            tokio::spawn(disconnect(self.clone(), mean, seed | 1));
        }
    }

    pub(crate) fn burst(&self, frames: u64) {
        self.command(Command::Burst(frames));
    }

    pub(crate) fn rate(&self, frames: u64) {
        self.command(Command::Rate(frames));
    }

    pub(crate) fn take_http(&self, target: &str) -> Option<HttpFault> {
        let mut state = self.state();
        let found = state
            .http
            .iter()
            .position(|rule| rule.left != Some(0) && target.contains(&rule.contains));
        let Some(index) = found else {
            let chance = state.http_error;
            let (hit, lost) = (state.roll(chance), state.roll(0.5));
            let fault = if lost {
                HttpFault::Lost
            } else {
                HttpFault::status(500, "Internal Server Error")
            };
            return hit.then_some(fault);
        };
        let rule = &mut state.http[index];
        rule.left = rule.left.map(|left| left - 1);
        let fault = rule.fault.clone();
        state.http.retain(|rule| rule.left != Some(0));
        Some(fault)
    }

    /// Remembers the page of a path, and gives the one before.
    pub(crate) fn page(&self, path: &str, body: &str, same: bool) -> Option<String> {
        let mut state = self.state();
        if same {
            return Some(
                state
                    .last_pages
                    .entry(path.to_owned())
                    .or_insert_with(|| body.to_owned())
                    .clone(),
            );
        }
        state.last_pages.insert(path.to_owned(), body.to_owned());
        None
    }

    pub(crate) fn handshake(&self) -> Handshake {
        self.state().handshake
    }

    pub(crate) fn down_for(&self) -> Option<Duration> {
        self.state()
            .down_until
            .map(|until| until.saturating_duration_since(Instant::now()))
            .filter(|left| !left.is_zero())
    }

    pub(crate) fn is_half_open(&self) -> bool {
        self.state().half_open
    }

    pub(crate) fn refuses(&self, symbol: &str) -> bool {
        self.state().refused.contains(symbol)
    }

    pub(crate) fn acknowledges(&self) -> bool {
        !self.state().never_acknowledge
    }

    pub(crate) fn takes_book_update(&self) -> bool {
        take(&mut self.state().skip_book)
    }

    pub(crate) fn takes_checksum(&self) -> bool {
        take(&mut self.state().corrupt_checksum)
    }

    pub(crate) fn fate(&self, symbol: &str, channel: &str) -> Fate {
        let mut state = self.state();
        let matches = |wanted: &Option<String>, is: &str| wanted.as_deref().is_none_or(|wanted| wanted == is);
        let muted = state
            .muted
            .iter()
            .any(|(s, c)| matches(s, symbol) && matches(c, channel));
        let (drop, duplicate, reorder, slow) = (state.drop, state.duplicate, state.reorder, state.delay_probability);
        let dropped = muted || take(&mut state.drop_next) || state.roll(drop);
        let mut delay = state.delay;
        if state.roll(slow) {
            delay += state.max_delay.mul_f64(state.draw());
        }
        Fate {
            dropped,
            twice: state.roll(duplicate),
            swapped: take(&mut state.reorder_next) || state.roll(reorder),
            delay,
        }
    }
}

fn take(left: &mut u64) -> bool {
    let taken = *left > 0;
    *left = left.saturating_sub(1);
    taken
}

impl State {
    fn draw(&mut self) -> f64 {
        self.dice = self
            .dice
            .wrapping_mul(0x5851_f42d_4c95_7f2d)
            .wrapping_add(0x1405_7b7e_f767_814f);
        (self.dice >> 11) as f64 / (1u64 << 53) as f64
    }

    fn roll(&mut self, probability: f64) -> bool {
        probability > 0.0 && self.draw() < probability
    }
}

/// Closes all connections again and again, in turn by reset, FIN and close frame, until chaos ends or another one begins.
async fn disconnect(faults: Faults, mean: Duration, seed: u64) {
    let mut own = State {
        dice: seed.rotate_left(17) | 1,
        ..State::default()
    };
    for turn in 0u64.. {
        let wait = mean.mul_f64(0.2 + 1.6 * own.draw());
        tokio::time::sleep(wait).await;
        // Chaos always sets the dice, and clearing takes them away.
        if faults.state().dice == 0 || Arc::strong_count(&faults.state) == 1 {
            return;
        }
        match turn % 3 {
            0 => faults.reset_all(),
            1 => faults.drop_all(),
            _ => faults.close_all(1001, "going away"),
        }
    }
}
