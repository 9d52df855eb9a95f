//! Channels of Advanced Trade's WebSocket.

use std::sync::Arc;

use super::wire;
use crate::{
    market::{Book, Changes, Live, Market, Series, Timeframe},
    server::Core,
};

const MS: i64 = 1_000_000;
const SECOND: i64 = 1_000 * MS;
/// Trades of a snapshot, and candles.
const SNAPSHOT_TRADES: u64 = 50;
const SNAPSHOT_CANDLES: usize = 20;

/// One product on one channel.
#[derive(Debug)]
pub(super) struct Subscription {
    /// Canonical.
    pub(super) symbol: Arc<str>,
    /// As it is subscribed: `level2`.
    pub(super) channel: Arc<str>,
    kind: Kind,
    /// The snapshot has been sent.
    begun: bool,
    due: i64,
}

#[derive(Debug)]
enum Kind {
    Trades { next: u64 },
    Ticker { next: u64, every: i64 },
    Level2 { book: Arc<Book> },
    Candles { live: Live },
    Status,
}

/// The event of one message, and the channel it is sent on.
pub(super) type Event = (&'static str, String);

impl Subscription {
    /// `None` for a channel that does not exist.
    pub(super) fn new(core: &Core, series: &Series, channel: &str, now: i64) -> Option<Self> {
        let market = &core.market;
        let kind = match channel {
            "market_trades" => Kind::Trades {
                next: market.last(series, now) + 1,
            },
            "ticker" => Kind::Ticker {
                next: 0,
                every: 100 * MS,
            },
            "ticker_batch" => Kind::Ticker {
                next: 0,
                every: 5 * SECOND,
            },
            "level2" => Kind::Level2 {
                book: market.book_at(series, market.update_at(series, now)),
            },
            "candles" => Kind::Candles {
                live: Live::new(market, series, five_minutes(), now),
            },
            "status" => Kind::Status,
            _ => return None,
        };
        let symbol = Arc::from(series.instrument.symbol.as_str());
        Some(Self {
            symbol,
            channel: Arc::from(channel),
            kind,
            begun: false,
            due: now,
        })
    }

    /// The message that has come due at `now`, if one has.
    pub(super) fn due(&mut self, core: &Core, series: &Series, now: i64) -> Option<Event> {
        if now < self.due {
            return None;
        }
        let snapshot = !std::mem::replace(&mut self.begun, true);
        let kind = if snapshot { "snapshot" } else { "update" };
        let (market, instrument) = (&core.market, &series.instrument);
        match &mut self.kind {
            Kind::Trades { next } => {
                self.due = now + 250 * MS;
                let last = market.last(series, now);
                let first = if snapshot {
                    (last + 1).saturating_sub(SNAPSHOT_TRADES).max(1)
                } else {
                    *next
                };
                *next = (*next).max(last + 1);
                let rows = (first..=last)
                    .rev()
                    .map(|id| trade_row(market, series, id))
                    .collect::<Vec<_>>();
                let event = format!(r#"{{"type":"{kind}","trades":[{}]}}"#, rows.join(","));
                (snapshot || !rows.is_empty()).then_some(("market_trades", event))
            }
            Kind::Ticker { next, every } => {
                let last = market.last(series, now);
                if last < *next {
                    return None;
                }
                *next = last + 1;
                self.due = now + *every;
                let name = if *every > SECOND { "ticker_batch" } else { "ticker" };
                let day = market.day(series, now)?;
                let book = market.book_at(series, market.update_at(series, now));
                let row = wire::ticker(instrument, &day, &book);
                Some((name, format!(r#"{{"type":"{kind}","tickers":[{row}]}}"#)))
            }
            Kind::Level2 { book } => {
                let new = market.book_at(series, market.update_at(series, now));
                let (changes, time) = if snapshot {
                    (
                        Changes {
                            bids: new.bids.clone(),
                            asks: new.asks.clone(),
                        },
                        0,
                    )
                } else {
                    (book.changes(&new, usize::MAX), new.time)
                };
                *book = new;
                let nothing = changes.bids.is_empty() && changes.asks.is_empty();
                if nothing || (!snapshot && core.faults.takes_book_update()) {
                    return None;
                }
                self.due = now + 50 * MS;
                let id = super::native(instrument);
                let updates = wire::l2_updates(instrument, &changes, time);
                Some((
                    "l2_data",
                    format!(r#"{{"type":"{kind}","product_id":"{id}","updates":[{updates}]}}"#),
                ))
            }
            Kind::Candles { live } => {
                self.due = now + core.candle_interval;
                let told = live.advance(market, series, now, 0);
                let mut rows: Vec<_> = told
                    .iter()
                    .rev()
                    .filter(|told| told.bar.count > 0)
                    .map(|told| wire::advanced_candle(instrument, &told.bar, true))
                    .collect();
                if snapshot {
                    rows = candles(market, series, now);
                }
                let event = format!(r#"{{"type":"{kind}","candles":[{}]}}"#, rows.join(","));
                (!rows.is_empty()).then_some(("candles", event))
            }
            Kind::Status => {
                self.due = now + 30 * SECOND;
                let row = wire::status(instrument);
                Some(("status", format!(r#"{{"type":"snapshot","products":[{row}]}}"#)))
            }
        }
    }

    /// The next trade, whether or not its time has come, if this is `market_trades`.
    pub(super) fn ahead(&mut self, market: &Market, series: &Series) -> Option<String> {
        let Kind::Trades { next } = &mut self.kind else {
            return None;
        };
        let row = trade_row(market, series, *next);
        *next += 1;
        Some(update(&row))
    }
}

/// An update of one trade.
pub(super) fn update(row: &str) -> String {
    format!(r#"{{"type":"update","trades":[{row}]}}"#)
}

pub(super) fn trade_row(market: &Market, series: &Series, id: u64) -> String {
    wire::advanced_trade(&series.instrument, &market.fill(series, id), false)
}

fn five_minutes() -> Timeframe {
    Timeframe::of("5m").unwrap_or(Timeframe::M1)
}

/// The latest candles, newest first.
fn candles(market: &Market, series: &Series, now: i64) -> Vec<String> {
    let timeframe = five_minutes();
    let from = Market::back(timeframe, timeframe.floor(now), SNAPSHOT_CANDLES - 1);
    let bars = market
        .bars(series, timeframe, from, now + 1, now)
        .filter(|bar| bar.count > 0);
    let mut rows: Vec<_> = bars
        .map(|bar| wire::advanced_candle(&series.instrument, &bar, true))
        .collect();
    rows.reverse();
    rows
}
