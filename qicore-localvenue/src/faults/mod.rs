//! Faults that tests switch on while a venue runs.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::broadcast;

mod chaos;
mod http;
mod state;

pub use chaos::ChaosConfig;
pub use http::HttpFault;

use crate::market::Market;
use state::{Rule, State};

/// What connections are told.
#[derive(Debug, Clone)]
pub(crate) enum Command {
    /// All connections, or this WebSocket.
    Reset(Option<u64>),
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
        self.command(Command::Reset(None));
    }

    /// Closes one WebSocket with a TCP reset: by its number in the log.
    pub fn reset(&self, connection: u64) {
        self.command(Command::Reset(Some(connection)));
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
        self.command(Command::Reset(None));
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
            tokio::spawn(chaos::disconnect(self.clone(), mean, seed | 1));
        }
    }

    pub(crate) fn burst(&self, frames: u64) {
        self.command(Command::Burst(frames));
    }

    pub(crate) fn rate(&self, frames: u64) {
        self.command(Command::Rate(frames));
    }
}
