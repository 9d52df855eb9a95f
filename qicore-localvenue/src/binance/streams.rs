//! Binance's market streams.

use std::{collections::BTreeMap, sync::Arc};

use super::{native, wire};
use crate::{
    market::{Book, Changes, Live, Market, Series, Timeframe},
    server::Core,
};

const MS: i64 = 1_000_000;
const SECOND: i64 = 1_000 * MS;
/// Updates of a book that are caught up on after a pause; older ones are skipped.
const CAUGHT_UP: u64 = 500;

/// One subscribed stream.
#[derive(Debug)]
pub(super) struct Stream {
    /// `btcusdt@trade`.
    pub(super) name: String,
    /// Canonical.
    pub(super) symbol: Arc<str>,
    /// `trade`, `kline_1m`, `depth@100ms`: what is behind the first `@`.
    pub(super) channel: Arc<str>,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Trade { next: u64, aggregate: bool },
    Top { book: Arc<Book> },
    Depth { book: Arc<Book>, every: i64, due: i64 },
    Partial { levels: usize, every: i64, due: i64 },
    Kline { live: Box<Live>, timeframe: Timeframe },
    Day { mini: bool, due: i64 },
}

/// A payload and its event time.
pub(super) type Event = (i64, String);

/// Every level that updates up to `last` touch, with its size after them, and takes up the last book. A level that is again
/// what it was is told too: whoever joins within the message, from a snapshot, has its size in between.
fn touched(market: &Market, series: &Series, book: &mut Arc<Book>, last: u64) -> Changes {
    let (mut bids, mut asks) = (BTreeMap::new(), BTreeMap::new());
    // Nobody joins so far back: there the net change is enough.
    let begin = (book.update + 1).max(last.saturating_sub(CAUGHT_UP));
    for update in begin..=last {
        let new = market.book_at(series, update);
        let changes = book.changes(&new, usize::MAX);
        bids.extend(changes.bids);
        asks.extend(changes.asks);
        *book = new;
    }
    Changes {
        bids: bids.into_iter().rev().collect(),
        asks: asks.into_iter().collect(),
    }
}

impl Stream {
    /// The stream of a name. `Err` names what is wrong with it; `Ok(None)` is a stream of a symbol that is not listed.
    pub(super) fn parse(core: &Core, name: &str, now: i64) -> Result<Option<Self>, String> {
        let (symbol, channel) = name
            .split_once('@')
            .ok_or_else(|| format!("stream {name:?} has no @"))?;
        if symbol.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(format!("stream {name:?}: the symbol is not in lower case"));
        }
        let found = core
            .market
            .listed()
            .find(|series| native(&series.instrument).to_ascii_lowercase() == symbol);
        let Some(series) = found else {
            return Ok(None);
        };
        let kind = Kind::parse(&core.market, series, channel, now).ok_or_else(|| format!("unknown stream {name:?}"))?;
        let symbol = Arc::from(series.instrument.symbol.as_str());
        Ok(Some(Self {
            name: name.to_owned(),
            symbol,
            channel: Arc::from(channel),
            kind,
        }))
    }

    /// What has come due until `now`.
    pub(super) fn due(&mut self, core: &Core, series: &Series, now: i64, events: &mut Vec<Event>) {
        let (market, instrument) = (&core.market, &series.instrument);
        match &mut self.kind {
            Kind::Trade { next, aggregate } => {
                for id in *next..=market.last(series, now) {
                    events.push(trade(market, series, id, *aggregate, Some(now)));
                    *next = id + 1;
                }
            }
            Kind::Top { book } => {
                let last = market.update_at(series, now);
                for update in (book.update + 1).max(last.saturating_sub(CAUGHT_UP))..=last {
                    let new = market.book_at(series, update);
                    if (new.bids.first(), new.asks.first()) != (book.bids.first(), book.asks.first()) {
                        events.push((new.time, wire::book_ticker(instrument, &new)));
                    }
                    *book = new;
                }
            }
            Kind::Depth { book, every, due } => {
                let last = market.update_at(series, now);
                if now < *due || last == book.update {
                    return;
                }
                *due = now + *every;
                let first = book.update + 1;
                let changes = touched(market, series, book, last);
                if !core.faults.takes_book_update() {
                    events.push((now, wire::depth(instrument, &changes, first, last, now)));
                }
            }
            Kind::Partial { levels, every, due } => {
                if now >= *due {
                    *due = now + *every;
                    let book = market.book_at(series, market.update_at(series, now));
                    events.push((now, wire::snapshot(instrument, &book, *levels)));
                }
            }
            Kind::Kline { live, timeframe } => {
                for told in live.advance(market, series, now, core.candle_interval) {
                    events.push((
                        told.time,
                        wire::kline(instrument, *timeframe, &told.bar, told.closed, now),
                    ));
                }
            }
            Kind::Day { mini, due } => {
                if now < *due {
                    return;
                }
                *due = now + SECOND;
                let Some(day) = market.day(series, now) else { return };
                let book = market.book_at(series, market.update_at(series, now));
                let text = if *mini {
                    wire::mini_ticker(instrument, &day, now)
                } else {
                    wire::ticker(instrument, &day, &book, now)
                };
                events.push((now, text));
            }
        }
    }

    /// The next trade, whether or not its time has come, if this is a stream of trades.
    pub(super) fn ahead(&mut self, market: &Market, series: &Series) -> Option<String> {
        let Kind::Trade { next, aggregate } = &mut self.kind else {
            return None;
        };
        let (_, text) = trade(market, series, *next, *aggregate, None);
        *next += 1;
        Some(text)
    }

    /// The closed bar that opened at `open` again, if this is the stream of its timeframe.
    pub(super) fn again(&self, market: &Market, series: &Series, name: &str, open: i64, now: i64) -> Option<String> {
        let Kind::Kline { timeframe, .. } = &self.kind else {
            return None;
        };
        if timeframe.name() != name || timeframe.next(open) > now {
            return None;
        }
        let bar = market.bar(series, *timeframe, open, now)?;
        Some(wire::kline(&series.instrument, *timeframe, &bar, true, now))
    }
}

/// One trade; told at its own time when `now` is `None`.
pub(super) fn trade(market: &Market, series: &Series, id: u64, aggregate: bool, now: Option<i64>) -> Event {
    let fill = market.fill(series, id);
    let told = now.unwrap_or(fill.time);
    let wire = if aggregate { wire::aggregate } else { wire::trade };
    (fill.time, wire(&series.instrument, &fill, told))
}

impl Kind {
    fn parse(market: &Market, series: &Series, channel: &str, now: i64) -> Option<Self> {
        let book = || market.book_at(series, market.update_at(series, now));
        let next = || market.last(series, now) + 1;
        Some(match channel {
            "trade" => Self::Trade {
                next: next(),
                aggregate: false,
            },
            "aggTrade" => Self::Trade {
                next: next(),
                aggregate: true,
            },
            "bookTicker" => Self::Top { book: book() },
            "ticker" => Self::Day { mini: false, due: now },
            "miniTicker" => Self::Day { mini: true, due: now },
            _ => {
                if let Some(name) = channel.strip_prefix("kline_") {
                    let timeframe = Timeframe::of(name).filter(|timeframe| timeframe.name() != "15d")?;
                    return Some(Self::Kline {
                        live: Box::new(Live::new(market, series, timeframe, now)),
                        timeframe,
                    });
                }
                let depth = channel.strip_prefix("depth")?;
                let (levels, every) = match depth.strip_suffix("@100ms") {
                    Some(levels) => (levels, 100 * MS),
                    None => (depth, SECOND),
                };
                match levels {
                    "" => Self::Depth {
                        book: book(),
                        every,
                        due: now,
                    },
                    "5" | "10" | "20" => Self::Partial {
                        levels: levels.parse().ok()?,
                        every,
                        due: now,
                    },
                    _ => return None,
                }
            }
        })
    }
}
