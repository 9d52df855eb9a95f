//! The synthetic market of one lane: every event is a pure function of the configuration and its number.
//!
//! Random numbers are those of SplitMix64's output function (Steele, Lea, Flood 2014) applied to counters, so that
//! there is no state to carry along. A price is a sum of value noise on four time scales with the amplitudes of a
//! random walk: it looks like one up to the longest scale (65,536 trades of a symbol), and unlike one it can be told
//! for any trade without the trades before it.

use std::time::Duration;

use qicore_data::{
    Data, Decimal, Error, Event, Exchange, Instrument, InstrumentKind, Label, Quote, Result, Side, Symbol, Timestamp,
    Trade,
};

use super::config::GeneratorConfig;

/// Time from the event to its receipt.
const LATENCY: i64 = 1_000_000;
/// A duplicate repeats one of so many events before it.
const MEMORY: u64 = 64;
/// Fixed point of shares.
const ONE: u32 = 20;
/// Time scales of prices, as powers of two of a symbol's trades.
const SCALES: [u32; 4] = [4, 8, 12, 16];

// What a random number is used for.
const SYMBOL: u64 = 1;
const NOISE: u64 = 2;
const TURN: u64 = 3;
const TRADE: u64 = 4;
const TIME: u64 = 5;
const DUPLICATE: u64 = 6;

/// One lane's market.
#[derive(Debug, Clone)]
pub(super) struct Market {
    exchange: Exchange,
    source: Label,
    seed: u64,
    listed: Vec<Listed>,
    /// So many of the first events are instruments.
    instruments: u64,
    quotes: Share,
    duplicates: Share,
    late: Share,
    late_by: i64,
    start: i64,
    interval: u64,
}

/// A symbol with its grids.
#[derive(Debug, Clone, Copy)]
struct Listed {
    symbol: Symbol,
    native: Label,
    base: Label,
    quote: Label,
    seed: u64,
    /// The price around which it moves, in ticks.
    middle: i64,
    price_scale: u32,
    size_scale: u32,
}

/// A share of a count, evenly spread.
#[derive(Debug, Clone, Copy)]
struct Share(u64);

impl Share {
    fn new(share: f64) -> Self {
        Self((share * f64::from(1u32 << ONE)) as u64)
    }

    /// How many of the first `count` are in it.
    #[inline]
    fn of(self, count: u64) -> u64 {
        ((u128::from(count) * u128::from(self.0)) >> ONE) as u64
    }

    /// Whether number `at` (from 0) is in it.
    #[inline]
    fn has(self, at: u64) -> bool {
        self.of(at + 1) > self.of(at)
    }
}

/// SplitMix64's output function.
#[inline]
fn mix(state: u64) -> u64 {
    let z = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A random number for one use.
#[inline]
fn random(seed: u64, usage: u64, counter: u64) -> u64 {
    mix(seed ^ usage.wrapping_mul(0xd6e8_feb8_6659_fd93) ^ counter.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

impl Market {
    /// The market of a lane, whose symbols are every `lanes`-th from its own number.
    pub(super) fn new(config: &GeneratorConfig, lane: u32) -> Result<Self> {
        config.check()?;
        let symbols = (lane..config.symbols).step_by(config.lanes as usize);
        let failed = |error: qicore_data::NameError| Error::config("generator", error.to_string());
        let listed: Vec<_> = symbols
            .map(|number| Listed::new(config.seed, number))
            .collect::<Result<_, _>>()
            .map_err(failed)?;
        Ok(Self {
            exchange: Exchange::new("synthetic").map_err(failed)?,
            source: Label::new("generator").map_err(failed)?,
            seed: mix(mix(config.seed) ^ u64::from(lane)),
            instruments: if config.instruments { listed.len() as u64 } else { 0 },
            listed,
            quotes: Share::new(config.quotes),
            duplicates: Share::new(config.duplicates),
            late: Share::new(config.late),
            late_by: nanos(config.late_by),
            start: config.start.nanos(),
            interval: nanos(config.interval).unsigned_abs(),
        })
    }

    /// Event number `at`, from 0.
    #[inline]
    pub(super) fn event(&self, at: u64) -> Event {
        match at.checked_sub(self.instruments) {
            Some(at) => self.traded(at),
            None => self.instrument(&self.listed[at as usize]),
        }
    }

    fn instrument(&self, listed: &Listed) -> Event {
        let start = Timestamp::from_nanos(self.start);
        let mut event = Event::new(self.exchange, listed.symbol, start, self.source, listed.instrument());
        event.received = Some(Timestamp::from_nanos(self.start.saturating_add(LATENCY)));
        event
    }

    /// Event number `at` behind the instruments.
    #[inline]
    fn traded(&self, at: u64) -> Event {
        let first_time = at - self.duplicates.of(at);
        let number = if self.duplicates.has(at) {
            // Number 0 is never a duplicate, since shares are below one: there is an event before this one.
            first_time - 1 - random(self.seed, DUPLICATE, at) % first_time.min(MEMORY)
        } else {
            first_time
        };
        let mut event = self.observed(number);
        event.received = Some(Timestamp::from_nanos(self.time(first_time).saturating_add(LATENCY)));
        event
    }

    /// What is observed as number `number`, duplicates not counted.
    #[inline]
    fn observed(&self, number: u64) -> Event {
        let quotes = self.quotes.of(number);
        let trades = number - quotes;
        let time = self.time(number);
        let (listed, time, data) = if self.quotes.has(number) {
            let (listed, _) = self.turn(quotes);
            (
                listed,
                time,
                listed.quote(trades / self.listed.len() as u64, random(self.seed, TRADE, number)),
            )
        } else {
            let (listed, round) = self.turn(trades);
            let late = if self.late.has(trades) { self.late_by } else { 0 };
            (
                listed,
                time.saturating_sub(late),
                listed.trade(round, random(self.seed, TRADE, number)),
            )
        };
        Event::new(
            self.exchange,
            listed.symbol,
            Timestamp::from_nanos(time),
            self.source,
            data,
        )
    }

    /// Each symbol has its turn once in a round, in an order that differs from round to round.
    #[inline]
    fn turn(&self, number: u64) -> (&Listed, u64) {
        let count = self.listed.len() as u64;
        let (round, place) = (number / count, number % count);
        let shift = random(self.seed, TURN, round) >> 32;
        (&self.listed[((place + shift) % count) as usize], round)
    }

    #[inline]
    fn time(&self, number: u64) -> i64 {
        let jitter = ((u128::from(random(self.seed, TIME, number)) * u128::from(self.interval)) >> 64) as u64;
        let since = number.saturating_mul(self.interval).saturating_add(jitter);
        self.start.saturating_add_unsigned(since)
    }
}

impl Listed {
    fn new(seed: u64, number: u32) -> Result<Self, qicore_data::NameError> {
        let seed = mix(mix(seed) ^ SYMBOL << 32 ^ u64::from(number));
        let (base, quote) = (format!("S{number:04}"), "USD");
        Ok(Self {
            symbol: Symbol::new(&format!("{base}/{quote}"))?,
            native: Label::new(&format!("{base}{quote}"))?,
            base: Label::new(&base)?,
            quote: Label::new(quote)?,
            seed,
            middle: 20_000 + (seed % 2_000_000) as i64,
            price_scale: 1 + (seed >> 32) as u32 % 5,
            size_scale: 2 + (seed >> 48) as u32 % 4,
        })
    }

    fn instrument(&self) -> Data {
        Data::Instrument(Instrument {
            native: self.native,
            base: self.base,
            quote: self.quote,
            kind: InstrumentKind::Spot,
            active: true,
            price_step: Some(Decimal::new(1, self.price_scale)),
            size_step: Some(Decimal::new(1, self.size_scale)),
        })
    }

    /// The price in ticks at the symbol's trade number `at`; within a fifth of the middle.
    #[inline]
    fn ticks(&self, at: u64) -> i64 {
        let step = self.middle / 2000;
        let noise = |scale: u32| {
            let anchor = |number: u64| {
                let number = random(self.seed, NOISE + u64::from(scale) * 256, number);
                (i64::from(number as i32) * (step << (scale / 2))) >> 31
            };
            let (before, after) = (anchor(at >> scale), anchor((at >> scale) + 1));
            let passed = (at & ((1 << scale) - 1)) as i64;
            before + (((after - before) * passed) >> scale)
        };
        self.middle + SCALES.into_iter().map(noise).sum::<i64>()
    }

    #[inline]
    fn trade(&self, round: u64, random: u64) -> Data {
        let side = if random & 1 == 0 { Side::Buy } else { Side::Sell };
        // A taker's buy hits the ask, one tick above.
        let ticks = self.ticks(round) + i64::from(side == Side::Buy);
        Data::Trade(Trade {
            id: Some((round + 1).into()),
            side: Some(side),
            price: Decimal::new(ticks, self.price_scale),
            size: self.size(random),
        })
    }

    #[inline]
    fn quote(&self, round: u64, random: u64) -> Data {
        let ticks = self.ticks(round);
        Data::Quote(Quote {
            bid: Decimal::new(ticks, self.price_scale),
            bid_size: self.size(random),
            ask: Decimal::new(ticks + 1, self.price_scale),
            ask_size: self.size(random.rotate_left(32)),
        })
    }

    /// Many small sizes, few large ones.
    #[inline]
    fn size(&self, random: u64) -> Decimal {
        let lots = 1 + (random >> 8 & 0xff) as i64;
        let times = 1 << (random >> 16 & 0xff).leading_zeros().min(63).saturating_sub(56);
        Decimal::new(lots * times, self.size_scale)
    }
}
