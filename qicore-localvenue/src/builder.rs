//! How a venue is described.

use std::{
    io,
    net::{Ipv4Addr, TcpListener},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crate::{
    Limits, LocalVenue, VenueKind,
    market::{Config, Instrument, Market},
    server::{Core, Load, Tls, accept},
};

/// A venue before it starts. Made by [`LocalVenue::builder`].
#[derive(Debug, Clone)]
pub struct Builder {
    kind: VenueKind,
    instruments: Vec<Instrument>,
    seed: u64,
    start: i64,
    trade_interval: Duration,
    book_interval: Duration,
    book_depth: usize,
    candle_interval: Duration,
    skew: i64,
    tls: bool,
    port: u16,
    limits: Limits,
    load: Load,
    threads: usize,
}

const MINUTE: i64 = 60_000_000_000;
const DAY: Duration = Duration::from_secs(24 * 3_600);

impl Builder {
    pub(crate) fn new(kind: VenueKind) -> Self {
        let builder = Self {
            kind,
            instruments: Vec::new(),
            seed: 1,
            start: 0,
            trade_interval: Duration::from_millis(100),
            book_interval: Duration::from_millis(100),
            book_depth: 1_000,
            candle_interval: Duration::from_millis(250),
            skew: 0,
            tls: false,
            port: 0,
            limits: Limits::of(kind),
            load: Load::default(),
            threads: 0,
        };
        builder.history(2 * DAY)
    }

    /// Adds symbols by their canonical names, `BTC/USDT`. Without any, the venue trades `BTC/USDT` and `ETH/USDT` (Binance) or `BTC/USD` and
    /// `ETH/USD`.
    #[must_use]
    pub fn symbols<S: AsRef<str>>(mut self, symbols: impl IntoIterator<Item = S>) -> Self {
        let kind = self.kind;
        self.instruments.extend(
            symbols
                .into_iter()
                .map(|symbol| Instrument::named(kind, symbol.as_ref())),
        );
        self
    }

    /// Adds an instrument with precision and price of your own.
    #[must_use]
    pub fn instrument(mut self, instrument: Instrument) -> Self {
        self.instruments.push(instrument);
        self
    }

    /// The seed of the market: the same seed, symbols, start and intervals give the same market.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The market starts at this time, in nanoseconds since the epoch.
    #[must_use]
    pub fn start_at(mut self, nanoseconds: i64) -> Self {
        self.start = nanoseconds;
        self
    }

    /// The market started this long ago, at a full minute. Default: two days.
    ///
    /// Tickers and long bars sum the trades of their time once (about 0.1 µs each): give a market with millions of trades a day a short
    /// history.
    #[must_use]
    pub fn history(mut self, history: Duration) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let start = i64::try_from(now.saturating_sub(history).as_nanos()).unwrap_or_default();
        self.start = start - start % MINUTE;
        self
    }

    /// One trade happens in each interval, in each symbol. Default: 100 ms.
    #[must_use]
    pub fn trade_interval(mut self, interval: Duration) -> Self {
        self.trade_interval = interval;
        self
    }

    /// The book changes once in each interval, in each symbol. Default: 100 ms.
    #[must_use]
    pub fn book_interval(mut self, interval: Duration) -> Self {
        self.book_interval = interval;
        self
    }

    /// Levels on each side of the book. Default: 1000.
    #[must_use]
    pub fn book_depth(mut self, levels: usize) -> Self {
        self.book_depth = levels;
        self
    }

    /// The least time between two messages of one open bar. Default: 250 ms.
    #[must_use]
    pub fn candle_interval(mut self, interval: Duration) -> Self {
        self.candle_interval = interval;
        self
    }

    /// How many milliseconds the venue's clock is ahead of real time (negative: behind).
    #[must_use]
    pub fn clock_skew_ms(mut self, milliseconds: i64) -> Self {
        self.skew = milliseconds.saturating_mul(1_000_000);
        self
    }

    /// Whether the venue speaks TLS, with a certificate made for it: see [`LocalVenue::ca_pem`].
    #[must_use]
    pub fn tls(mut self, on: bool) -> Self {
        self.tls = on;
        self
    }

    /// The port, 0 for any.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Limits instead of the venue's documented ones.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sends each connection this many trades of its subscriptions as fast as the socket takes them, once it has said nothing for
    /// 200 ms after a subscription: those behind the last one sent, even if their time has not come. They are made before the first
    /// is sent, as one stretch of bytes, so that the venue is faster than its client. Faults leave them alone.
    #[must_use]
    pub fn burst_frames(mut self, frames: u64) -> Self {
        self.load.burst = frames;
        self
    }

    /// Sends each connection this many trades a second beyond those whose time has come, from its subscription on.
    #[must_use]
    pub fn frames_per_second(mut self, frames: u64) -> Self {
        self.load.rate = frames;
        self
    }

    /// Makes each REST answer once, and gives it again whenever the same is asked, at no cost of the budget and as if no time had
    /// passed: for benches of clients that read the same history several times.
    #[must_use]
    pub fn keep_answers(mut self, on: bool) -> Self {
        self.load.keep = on;
        self
    }

    /// Runs the venue on this many threads of its own instead of the caller's runtime: for benches, and for callers without a
    /// runtime ([`Builder::start_blocking`]).
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// Binds the port and begins to accept.
    ///
    /// # Errors
    /// If the port cannot be bound or the certificate not be made.
    pub async fn start(self) -> io::Result<LocalVenue> {
        self.begin()
    }

    /// The same without a runtime; at least one thread of its own.
    ///
    /// # Errors
    /// If the port cannot be bound, the certificate not be made or the threads not be started.
    pub fn start_blocking(mut self) -> io::Result<LocalVenue> {
        self.threads = self.threads.max(1);
        self.begin()
    }

    fn begin(mut self) -> io::Result<LocalVenue> {
        if self.instruments.is_empty() {
            let quote = if self.kind == VenueKind::Binance { "USDT" } else { "USD" };
            self = self.symbols([format!("BTC/{quote}"), format!("ETH/{quote}")]);
        }
        let market = Market::new(&Config {
            kind: self.kind,
            instruments: self.instruments,
            seed: self.seed,
            start: self.start,
            trade_interval: self.trade_interval,
            book_interval: self.book_interval,
            book_depth: self.book_depth,
            skew: self.skew,
        });
        let tls = if self.tls {
            Some(Tls::generate().map_err(io::Error::other)?)
        } else {
            None
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, self.port))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let core = Arc::new(Core::new(
            self.kind,
            market,
            self.limits,
            self.load,
            self.candle_interval,
        ));
        let runtime = if self.threads == 0 {
            None
        } else {
            let mut builder = tokio::runtime::Builder::new_multi_thread();
            Some(
                builder
                    .worker_threads(self.threads)
                    .enable_all()
                    .thread_name("local-venue")
                    .build()?,
            )
        };
        let accepting = accept(
            core.clone(),
            listener,
            address,
            tls.as_ref().map(|tls| tls.acceptor.clone()),
        );
        let task = match &runtime {
            Some(runtime) => runtime.spawn(accepting),
            None => tokio::spawn(accepting),
        };
        Ok(LocalVenue {
            core,
            address,
            tls,
            accepting: Some(task),
            runtime,
        })
    }
}
