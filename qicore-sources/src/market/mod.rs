//! A venue as a source: live, its history, or both joined.
//!
//! One machinery serves all venues: each of them is a [`Protocol`], which says what to ask and how to read the answer.
//!
//! - **Live** (`live`, `keeper`, `connection`, `books`): connections that are made again, subscriptions that are answered one by
//!   one, order books that are never told while they are broken.
//! - **History** (`history`, `pages`): ranges, page by page, under the venue's budget.
//! - **The seam** (`seam`): joins the two, at the start and after each lost connection.
//! - **Capture** (`capture`): a copy of everything received, for `replay`.

mod books;
mod capture;
mod catch_up;
mod client;
mod clock;
mod config;
mod connection;
mod fetch;
mod history;
mod keeper;
mod live;
mod merged;
mod pages;
pub(crate) mod protocol;
mod reports;
mod routes;
mod seam;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use async_trait::async_trait;
use qicore_data::{
    Batch, BatchLimit, Decoded, Decoder, Error, Event, Frame, Lane, LaneEnd, Mistakes, Position, Progress, Result,
    Resume, Settings, Source, SourceCapabilities, Symbol, Timestamp,
};

pub use capture::CaptureConfig;
pub use config::MarketConfig;
pub use seam::Order;

use crate::net::ws::Dialer;
use crate::net::{self, Answer, Budget, NetConfig};
use crate::venue::{Channel, Mark, Range, Stream};
use capture::Tee;
use client::Client;
use connection::Shared;
use history::History;
use live::{Live, Setup};
pub(crate) use pages::{newest, place};
use protocol::{Offer, Protocol, unusable};
use reports::Reports;
use seam::{Grid, Plan, Rules};

/// Makes a venue's protocol of a configuration.
pub(crate) type NewProtocol = fn(&MarketConfig) -> Result<Arc<dyn Protocol>>;

/// A source of one venue. Made by the venue's `source()`:
///
/// ```no_run
/// use qicore_sources::{Channel, kraken};
/// use qicore_data::Timeframe;
///
/// # fn main() -> qicore_data::Result<()> {
/// let live = kraken::source().symbols(["BTC/USD", "ETH/USD"])?.channels([Channel::Trades, Channel::Book]);
/// let history = kraken::source()
///     .symbols(["BTC/USD"])?
///     .channels([Channel::Candles(Timeframe::H1)])
///     .from("2026-11-01T00:00:00Z".parse().unwrap())
///     .to("2026-11-20T00:00:00Z".parse().unwrap());
/// # Ok(()) }
/// ```
///
/// # What is promised
/// Of trades each id comes once, and of candles each closed bar once (and again, with a higher `revision`, where the venue
/// revises it), over lost connections and restarts: what was missed is asked of the venue's history. What it no longer has is
/// told by a `gap` of reason `provider`. Quotes, tickers and books have no history: what was missed of them is told by
/// a `gap` of reason `disconnect`, `sequence`, `checksum` or `overflow`, and a book goes on with a snapshot.
///
/// What venues ask of their clients (limits, pings, an end after 24 hours) is kept to.
pub struct Market {
    new: NewProtocol,
    name: &'static str,
    config: MarketConfig,
    /// The instruments, where they are wanted: told before anything else, in a lane of their own.
    listing: Option<Batch>,
    running: Running,
    tee: Tee,
}

/// What is running.
enum Running {
    Nothing,
    Live(Box<Live>),
    History(History),
}

impl std::fmt::Debug for Market {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Market")
            .field("name", &self.name)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl Market {
    pub(crate) fn new(name: &'static str, new: NewProtocol) -> Self {
        Self::with(name, new, MarketConfig::default())
    }

    fn with(name: &'static str, new: NewProtocol, config: MarketConfig) -> Self {
        Self {
            new,
            name,
            config,
            listing: None,
            running: Running::Nothing,
            tee: Tee::default(),
        }
    }

    /// The plugin of a configuration file.
    pub(crate) fn build(
        name: &'static str,
        new: NewProtocol,
        settings: &Settings,
    ) -> Result<Box<dyn Source>, Mistakes> {
        let config: MarketConfig = settings.read()?;
        let market = Self::with(name, new, config);
        market.protocol().map_err(|error| settings.mistake_of(&error))?;
        Ok(Box::new(market))
    }

    /// Takes up a whole configuration. Mistakes in it are told by [`open`](Source::open).
    #[must_use]
    pub fn config(mut self, config: MarketConfig) -> Self {
        self.config = config;
        self
    }

    /// Sets the instruments, by their canonical names.
    ///
    /// # Errors
    /// A name that is not of the form `BASE/QUOTE`.
    pub fn symbols<S: AsRef<str>>(mut self, symbols: impl IntoIterator<Item = S>) -> Result<Self> {
        let symbols: Result<Vec<_>, _> = symbols.into_iter().map(|symbol| Symbol::new(symbol.as_ref())).collect();
        self.config.symbols = symbols.map_err(|error| Error::config("market", error.to_string()))?;
        Ok(self)
    }

    /// Sets what is wanted of each instrument.
    #[must_use]
    pub fn channels(mut self, channels: impl IntoIterator<Item = Channel>) -> Self {
        self.config.channels = channels.into_iter().collect();
        self
    }

    /// History from this time on comes first.
    #[must_use]
    pub fn from(mut self, from: Timestamp) -> Self {
        self.config.from = Some(from);
        self
    }

    /// History up to this time, and nothing live.
    #[must_use]
    pub fn to(mut self, to: Timestamp) -> Self {
        self.config.to = Some(to);
        self
    }

    /// The instruments are described first; with nothing else wanted, they are all that there is.
    #[must_use]
    pub fn instruments(mut self, instruments: bool) -> Self {
        self.config.instruments = instruments;
        self
    }

    /// Bars that are still open are told too, marked so.
    #[must_use]
    pub fn open_candles(mut self, open: bool) -> Self {
        self.config.open_candles = open;
        self
    }

    /// Sets what comes first after something was missed.
    #[must_use]
    pub fn order(mut self, order: Order) -> Self {
        self.config.order = order;
        self
    }

    /// Sets where the venue is: its HTTP interface and its WebSocket.
    #[must_use]
    pub fn at(mut self, rest_url: impl Into<String>, ws_url: impl Into<String>) -> Self {
        self.config.rest_url = Some(rest_url.into());
        self.config.ws_url = Some(ws_url.into());
        self
    }

    /// Sets how connections are made.
    #[must_use]
    pub fn net(mut self, net: NetConfig) -> Self {
        self.config.net = net;
        self
    }

    /// Keeps a copy of all that is received.
    #[must_use]
    pub fn capture(mut self, capture: CaptureConfig) -> Self {
        self.config.capture = Some(capture);
        self
    }

    /// The configuration, to be changed.
    pub fn config_mut(&mut self) -> &mut MarketConfig {
        &mut self.config
    }

    /// The venue's protocol, if all that is wanted can be had of it.
    fn protocol(&self) -> Result<Arc<dyn Protocol>> {
        self.config.check()?;
        let protocol = (self.new)(&self.config)?;
        for stream in self.config.streams() {
            if let Offer::None(why) = protocol.offers(stream) {
                let message = format!("{} has no {}: {why}", self.name, stream.channel);
                return Err(unusable("channels", message));
            }
        }
        Ok(protocol)
    }

    fn rules(&self, protocol: &dyn Protocol) -> Rules {
        let (config, context) = (&self.config, protocol.context());
        Rules {
            exchange: context.exchange,
            source: context.source,
            order: config.order,
            waiting: config.waiting,
            verify_after: config.verify_after,
            candles: protocol
                .candles()
                .rules(protocol.week(), config.candle_grace, config.open_candles),
        }
    }

    /// How all that is wanted is had.
    fn plans(&self, protocol: &dyn Protocol) -> impl Iterator<Item = Plan> {
        self.config.streams().into_iter().map(|stream| {
            let of = match protocol.offers(stream) {
                Offer::Built(of) => Stream::new(stream.symbol, Channel::Candles(of)),
                _ => stream,
            };
            Plan {
                stream,
                of,
                sent: protocol.offers(of) == Offer::Sent,
            }
        })
    }

    async fn begin_history(&self, client: Client, rules: Rules, to: Timestamp, resume: &dyn Resume) -> Result<History> {
        let from = self.config.from.unwrap_or(to);
        let range = |plan: Plan| {
            let to = match plan.stream.channel {
                Channel::Candles(timeframe) => Grid::new(timeframe, rules.candles.week).floor(to),
                _ => to,
            };
            let (from, to) = (Mark::at(from), Mark::at(to));
            let stream = plan.stream;
            (plan, Range { stream, from, to })
        };
        let streams = self.plans(client.protocol.as_ref()).map(range).collect();
        History::begin(client, streams, rules, self.config.parallel, resume).await
    }

    async fn begin_live(
        &self,
        client: Client,
        rules: Rules,
        (tee, instruments): (Tee, Vec<Answer>),
        resume: &dyn Resume,
    ) -> Result<Live> {
        let (config, protocol) = (&self.config, Arc::clone(&client.protocol));
        let mut feed = protocol.feed();
        feed.silence = config.silence.unwrap_or(feed.silence);
        feed.lasts = config.lasts.or(feed.lasts);
        let (sender, reports) = Reports::new();
        let url = net::url(&feed.url.0, &net::WS)?;
        let shared = Shared {
            url: net::below(&url, feed.path),
            dialer: Dialer::new(&config.net)?,
            tee,
            made: AtomicU64::new(0),
            connects: Budget::shared(
                &format!("connect {}", url.origin().ascii_serialization()),
                [feed.connects],
            ),
            retry: config.reconnect,
            answer_within: config.answer_within,
            prelude: instruments,
            reports: sender,
            behind_for: config.behind_for,
            feed,
            protocol: Arc::clone(&protocol),
        };
        let setup = Setup {
            config: config.clone(),
            lane: Lane::new(protocol.context().exchange.as_str()),
            rules,
            plans: self.plans(protocol.as_ref()).collect(),
            shared,
            reports,
        };
        Live::begin(client, setup, resume).await
    }
}

#[async_trait]
impl Source for Market {
    fn name(&self) -> &str {
        self.name
    }

    fn capabilities(&self) -> SourceCapabilities {
        match self.config.to.is_some() || self.config.streams().is_empty() {
            true => SourceCapabilities::default().replayable().finite(),
            false => SourceCapabilities::default().catches_up(),
        }
    }

    async fn open(&mut self, resume: Arc<dyn Resume>) -> Result<()> {
        self.running = Running::Nothing;
        let protocol = self.protocol()?;
        let rules = self.rules(protocol.as_ref());
        let tee = match &self.config.capture {
            Some(capture) => Tee::new(capture, protocol.context().exchange.as_str())?,
            None => Tee::default(),
        };
        self.tee = tee.clone();
        let client = Client::new(protocol, &self.config.net, tee.clone())?;
        let described = client.instruments(&self.config.symbols).await?;
        let (instruments, answers): (Vec<_>, Vec<_>) = described.into_iter().unzip();
        answers.iter().for_each(|answer| tee.instruments(answer));
        if self.config.instruments {
            let mut instruments = instruments.concat();
            let symbols = &self.config.symbols;
            instruments.retain(|event| symbols.is_empty() || symbols.contains(&event.symbol));
            self.listing = Some(listing(&client, instruments, resume.as_ref()).await?);
        }
        self.running = match self.config.to {
            _ if self.config.streams().is_empty() => Running::Nothing,
            Some(to) => Running::History(self.begin_history(client, rules, to, resume.as_ref()).await?),
            None => {
                let live = self.begin_live(client, rules, (tee, answers), resume.as_ref()).await?;
                Running::Live(Box::new(live))
            }
        };
        Ok(())
    }

    async fn next_batch(&mut self, limit: BatchLimit) -> Result<Option<Batch>> {
        if let Some(listing) = self.listing.take() {
            return Ok(Some(listing));
        }
        match &mut self.running {
            Running::Nothing => Ok(None),
            Running::Live(live) => live.next_batch(limit).await.map(Some),
            Running::History(history) => history.next_batch().await,
        }
    }

    /// For the messages that could not be decoded.
    fn decoder(&self, _lane: &Lane) -> Result<Box<dyn Decoder>> {
        Ok(Box::new(Undecodable))
    }

    fn progress(&self) -> Option<Progress> {
        match &self.running {
            Running::History(history) => Some(history.progress()),
            Running::Live(live) => live.progress(),
            Running::Nothing => None,
        }
    }

    async fn close(&mut self) -> Result<()> {
        self.running = Running::Nothing;
        std::mem::take(&mut self.tee).finish().await;
        Ok(())
    }
}

/// The instruments as a batch. Each day has a lane, so that a run tells them once, and tomorrow's tells them anew.
async fn listing(client: &Client, instruments: Vec<Event>, resume: &dyn Resume) -> Result<Batch> {
    let (exchange, today) = (client.protocol.context().exchange, client.clock.now().date());
    let lane = Lane::new(format!("{exchange}/instruments {today}"));
    resume.checkpoint(&lane).await?;
    let position = Position::at(instruments.len() as u64);
    Ok(Batch::events(lane, instruments, position).ending(LaneEnd::Exhausted))
}

/// Rejects each frame with the reason that its channel carries: events are decoded where connections are.
struct Undecodable;

impl Decoder for Undecodable {
    fn decode(&mut self, frame: &Frame, _: &mut Vec<Event>) -> Result<Decoded> {
        Err(Error::decode(
            "market.decode",
            frame.channel.as_deref().unwrap_or("it could not be read"),
        ))
    }
}
