//! Channels of WebSocket v2.

use std::sync::Arc;

use super::{names, wire};
use crate::{
    market::{Bar, Book, Changes, Level, Live, Market, Series, Timeframe, times},
    server::Core,
};

const SNAPSHOT_TRADES: u64 = 50;
const SNAPSHOT_BARS: usize = 720;
/// Updates of a book that are caught up on after a pause.
const CAUGHT_UP: u64 = 2_000;

/// One symbol on one channel.
#[derive(Debug)]
pub(super) struct Subscription {
    /// Canonical, which is Kraken's own name in v2.
    pub(super) symbol: Arc<str>,
    /// `trade`, `book`, `ohlc`, `ticker`.
    pub(super) channel: Arc<str>,
    kind: Kind,
    /// A snapshot is wanted and not yet sent.
    snapshot: bool,
}

#[derive(Debug)]
enum Kind {
    Trade { next: u64 },
    Ticker { next: u64, book: Option<Arc<Book>> },
    Ohlc { live: Live, timeframe: Timeframe },
    Book { book: Arc<Book>, depth: usize },
}

/// What a subscription asks for besides channel and symbol.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wish {
    pub(super) interval: i64,
    pub(super) depth: i64,
    pub(super) snapshot: bool,
    /// Tickers on changes of the best bid and ask, not on trades.
    pub(super) on_quotes: bool,
}

impl Subscription {
    /// `Err` is the text of the refusal.
    pub(super) fn new(core: &Core, series: &Series, channel: &str, wish: Wish, now: i64) -> Result<Self, &'static str> {
        let market = &core.market;
        let book = || market.book_at(series, market.update_at(series, now));
        let kind = match channel {
            "trade" => Kind::Trade {
                next: market.last(series, now) + 1,
            },
            "ticker" => Kind::Ticker {
                next: market.last(series, now) + 1,
                book: wish.on_quotes.then(book),
            },
            "ohlc" => {
                let timeframe = names::timeframe(wish.interval).ok_or("Subscription ohlc interval not supported")?;
                Kind::Ohlc {
                    live: Live::new(market, series, timeframe, now),
                    timeframe,
                }
            }
            "book" if [10, 25, 100, 500, 1_000].contains(&wish.depth) => Kind::Book {
                book: book(),
                depth: wish.depth as usize,
            },
            "book" => return Err("Subscription depth not supported"),
            _ => return Err("Subscription name invalid"),
        };
        let symbol = Arc::from(series.instrument.symbol.as_str());
        Ok(Self {
            symbol,
            channel: Arc::from(channel),
            kind,
            snapshot: wish.snapshot,
        })
    }

    /// Whether this is the subscription of that channel, symbol and interval or depth.
    pub(super) fn is(&self, channel: &str, symbol: &str, wish: Wish) -> bool {
        let same = match &self.kind {
            Kind::Ohlc { timeframe, .. } => timeframe.seconds() == wish.interval * 60,
            Kind::Book { depth, .. } => *depth as i64 == wish.depth,
            Kind::Trade { .. } | Kind::Ticker { .. } => true,
        };
        same && *self.channel == *channel && *self.symbol == *symbol
    }

    /// What has come due until `now`: snapshot first.
    pub(super) fn due(&mut self, core: &Core, series: &Series, now: i64, texts: &mut Vec<String>) {
        let snapshot = std::mem::take(&mut self.snapshot);
        let market = &core.market;
        match &mut self.kind {
            Kind::Trade { next } => {
                if snapshot {
                    let ids = next.saturating_sub(SNAPSHOT_TRADES).max(1)..*next;
                    texts.extend(trades(market, series, ids, "snapshot"));
                }
                let behind = market.last(series, now) + 1;
                texts.extend(trades(market, series, *next..behind, "update"));
                *next = behind.max(*next);
            }
            Kind::Ticker { next, book } => {
                let behind = market.last(series, now) + 1;
                let current = market.book_at(series, market.update_at(series, now));
                let changed = match book {
                    Some(book) => {
                        let moved =
                            (book.bids.first(), book.asks.first()) != (current.bids.first(), current.asks.first());
                        *book = current.clone();
                        moved
                    }
                    None => behind > *next,
                };
                *next = behind;
                if !snapshot && !changed {
                    return;
                }
                let kind = if snapshot { "snapshot" } else { "update" };
                if let Some(day) = market.day(series, now) {
                    let row = wire::ticker(&series.instrument, &day, &current, now);
                    texts.push(format!(r#"{{"channel":"ticker","type":"{kind}","data":[{row}]}}"#));
                }
            }
            Kind::Ohlc { live, timeframe } => {
                if snapshot {
                    let from = Market::back(*timeframe, timeframe.floor(now), SNAPSHOT_BARS - 1);
                    let bars: Vec<_> = market.bars(series, *timeframe, from, now + 1, now).collect();
                    texts.extend(ohlc(series, *timeframe, &bars, "snapshot", now));
                }
                for told in live.advance(market, series, now, core.candle_interval) {
                    texts.extend(ohlc(series, *timeframe, &[told.bar], "update", now));
                }
            }
            Kind::Book { book, depth } => {
                if snapshot {
                    let all = Changes {
                        bids: cut(&book.bids, *depth),
                        asks: cut(&book.asks, *depth),
                    };
                    texts.push(wire::book(&series.instrument, &all, wire::checksum(book), None));
                }
                let last = market.update_at(series, now);
                for update in (book.update + 1).max(last.saturating_sub(CAUGHT_UP))..=last {
                    let new = market.book_at(series, update);
                    let changes = visible(book, &new, *depth);
                    *book = new;
                    if (changes.bids.is_empty() && changes.asks.is_empty()) || core.faults.takes_book_update() {
                        continue;
                    }
                    let wrong = u32::from(core.faults.takes_checksum());
                    let checksum = wire::checksum(book) ^ wrong;
                    texts.push(wire::book(&series.instrument, &changes, checksum, Some(book.time)));
                }
            }
        }
    }

    /// The next trade, whether or not its time has come, if this is `trade`.
    pub(super) fn ahead(&mut self, market: &Market, series: &Series) -> Option<String> {
        let Kind::Trade { next } = &mut self.kind else {
            return None;
        };
        *next += 1;
        trades(market, series, *next - 1..*next, "update")
    }
}

fn cut(side: &[Level], depth: usize) -> Vec<Level> {
    side[..side.len().min(depth)].to_vec()
}

/// The changes that a subscriber of `depth` levels is told. Levels that only fell out of the depth are not deleted: clients cut
/// their books themselves.
fn visible(book: &Book, new: &Book, depth: usize) -> Changes {
    let mut changes = book.changes(new, depth);
    let gone = |side: &[Level], level: &Level| level.1 > 0 || side.iter().all(|other| other.0 != level.0);
    changes.bids.retain(|level| gone(&new.bids, level));
    changes.asks.retain(|level| gone(&new.asks, level));
    changes
}

/// One message of trades, oldest first.
pub(super) fn trades(market: &Market, series: &Series, ids: std::ops::Range<u64>, kind: &str) -> Option<String> {
    let rows: Vec<_> = ids
        .map(|id| wire::trade(&series.instrument, &market.fill(series, id)))
        .collect();
    let text = format!(r#"{{"channel":"trade","type":"{kind}","data":[{}]}}"#, rows.join(","));
    (!rows.is_empty()).then_some(text)
}

/// One message of bars; bars without trades are not told.
fn ohlc(series: &Series, timeframe: Timeframe, bars: &[Bar], kind: &str, now: i64) -> Option<String> {
    let told = bars.iter().filter(|bar| bar.count > 0);
    let rows: Vec<_> = told.map(|bar| wire::ohlc(&series.instrument, timeframe, bar)).collect();
    let time = times::nanos(now);
    let text = format!(
        r#"{{"channel":"ohlc","type":"{kind}","timestamp":"{time}","data":[{}]}}"#,
        rows.join(",")
    );
    (!rows.is_empty()).then_some(text)
}
