//! Which rules an event breaks. Pure, without allocation.

use std::time::Duration;

use qicore_data::{
    Book, BookKind, Candle, Checksum, Data, Decimal, Event, Gap, Price, Quote, Ticker, Timestamp, Trade,
};

use super::config::Rule;

/// A set of rules, one bit each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Rules(u32);

impl Rules {
    /// The rules about values, which an open candle may break.
    pub(super) const VALUES: Self =
        Self(1 << Rule::PricePositive as u32 | 1 << Rule::SizeNonNegative as u32 | 1 << Rule::CandleBounds as u32);

    #[inline]
    pub(super) fn add(&mut self, rule: Rule, broken: bool) {
        self.0 |= u32::from(broken) << rule as u32;
    }

    #[inline]
    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }

    #[inline]
    pub(super) fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub(super) fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The rules, in the order of [`Rule::ALL`].
    pub(super) fn iter(self) -> impl Iterator<Item = Rule> {
        let has = move |rule: &&Rule| self.0 & 1 << **rule as u32 != 0;
        Rule::ALL.iter().filter(has).copied()
    }
}

/// How far an event's time may be from its receipt.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    pub(super) tolerance: Duration,
    pub(super) max_age: Option<Duration>,
    /// Stands in where the time of receipt is unknown: whenever it was, it was not after now.
    pub(super) now: Timestamp,
}

impl Times {
    /// The rules that `event` breaks.
    #[inline]
    pub(super) fn broken(&self, event: &Event) -> Rules {
        let mut broken = Rules::default();
        let observed = match &event.data {
            Data::Trade(trade) => check_trade(trade, &mut broken),
            Data::Quote(quote) => check_quote(quote, &mut broken),
            Data::Ticker(ticker) => check_ticker(ticker, &mut broken),
            Data::Book(book) => check_book(book, &mut broken),
            Data::Candle(candle) => check_candle(candle, event.timestamp, &mut broken),
            Data::Price(price) => check_price(price, &mut broken),
            Data::Series(_) => true,
            Data::Gap(gap) => check_gap(gap, &mut broken),
            _ => false,
        };
        if observed {
            self.check(event, &mut broken);
        }
        broken
    }

    #[inline]
    fn check(&self, event: &Event, broken: &mut Rules) {
        let at = event.timestamp;
        if at == Timestamp::UNKNOWN {
            broken.add(Rule::TimestampMissing, true);
            return;
        }
        let received = event.received.unwrap_or(self.now);
        broken.add(Rule::TimestampFuture, at > received.saturating_add(self.tolerance));
        if let (Some(received), Some(age)) = (event.received, self.max_age) {
            broken.add(Rule::TimestampPast, received.since(at) > age);
        }
    }
}

#[inline]
fn negative(value: Decimal) -> bool {
    value.is_sign_negative() && !value.is_zero()
}

#[inline]
fn not_positive(value: Decimal) -> bool {
    value.is_sign_negative() || value.is_zero()
}

/// Each check tells whether the event is an observation, made at a time.
#[inline]
fn check_trade(trade: &Trade, broken: &mut Rules) -> bool {
    broken.add(Rule::PricePositive, not_positive(trade.price));
    broken.add(Rule::SizeNonNegative, negative(trade.size));
    broken.add(Rule::EmptyTrade, trade.size.is_zero());
    true
}

#[inline]
fn check_quote(quote: &Quote, broken: &mut Rules) -> bool {
    for (price, size) in [(quote.bid, quote.bid_size), (quote.ask, quote.ask_size)] {
        broken.add(
            Rule::PricePositive,
            not_positive(price) && !(price.is_zero() && size.is_zero()),
        );
        broken.add(Rule::SizeNonNegative, negative(size));
        broken.add(Rule::EmptyQuote, size.is_zero());
    }
    broken.add(Rule::CrossedQuote, quote.bid > quote.ask && !quote.ask.is_zero());
    true
}

fn check_ticker(ticker: &Ticker, broken: &mut Rules) -> bool {
    let prices = [ticker.bid, ticker.ask, ticker.open, ticker.high, ticker.low];
    for price in prices.into_iter().flatten().chain([ticker.last]) {
        broken.add(Rule::PricePositive, negative(price));
        broken.add(Rule::EmptyTicker, price.is_zero());
    }
    for volume in [ticker.volume, ticker.quote_volume].into_iter().flatten() {
        broken.add(Rule::SizeNonNegative, negative(volume));
    }
    if let (Some(bid), Some(ask)) = (ticker.bid, ticker.ask) {
        broken.add(Rule::CrossedQuote, bid > ask && !ask.is_zero());
    }
    true
}

fn check_book(book: &Book, broken: &mut Rules) -> bool {
    let levels = &book.levels;
    for level in levels.bids().iter().chain(levels.asks()) {
        broken.add(Rule::PricePositive, not_positive(level.price));
        broken.add(Rule::SizeNonNegative, negative(level.size));
    }
    broken.add(Rule::ChecksumMismatch, book.checksum == Some(Checksum::Mismatch));
    if book.kind == BookKind::Snapshot {
        broken.add(Rule::EmptyBook, levels.is_empty());
        // The levels are in the venue's order, which need not be best first.
        let bid = levels.bids().iter().map(|level| level.price).max();
        let ask = levels.asks().iter().map(|level| level.price).min();
        broken.add(Rule::CrossedBook, bid.zip(ask).is_some_and(|(bid, ask)| bid > ask));
    }
    true
}

fn check_candle(candle: &Candle, opens: Timestamp, broken: &mut Rules) -> bool {
    let (open, high, low, close) = (candle.open, candle.high, candle.low, candle.close);
    broken.add(
        Rule::PricePositive,
        [open, high, low, close].into_iter().any(not_positive),
    );
    let negative_volume = negative(candle.volume) || candle.quote_volume.is_some_and(negative);
    broken.add(Rule::SizeNonNegative, negative_volume);
    let within = low <= high && low <= open && open <= high && low <= close && close <= high;
    broken.add(Rule::CandleBounds, !within);
    broken.add(Rule::CandleAlignment, candle.timeframe.floor(opens) != opens);
    true
}

fn check_price(price: &Price, broken: &mut Rules) -> bool {
    broken.add(Rule::PricePositive, not_positive(price.price));
    for value in [price.market_cap, price.volume_24h].into_iter().flatten() {
        broken.add(Rule::SizeNonNegative, negative(value));
    }
    true
}

fn check_gap(gap: &Gap, broken: &mut Rules) -> bool {
    let known = gap.from != Timestamp::UNKNOWN && gap.to != Timestamp::UNKNOWN;
    broken.add(Rule::GapOrder, known && gap.from > gap.to);
    false
}
