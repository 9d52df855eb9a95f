//! From the messages of the Exchange feed to events: pure functions of payload and scope.

use std::borrow::Cow;

use qicore_data::{Book, BookKind, Decoded, Error, Levels, Quote, Result, Symbol, Ticker, Timestamp, Trade, decimal};

use super::decoder::{OPERATION, read};
use super::parse::{Channel, Scope, taker_side};
use super::trade_ids::TradeIds;
use super::wire::exchange as wire;

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Match,
    /// The trade before the subscription.
    LastMatch,
    /// A trade that a quote on request led to.
    RfqMatch,
    Ticker,
    Snapshot,
    L2Update,
    Heartbeat,
    Status,
    Control,
}

impl Kind {
    /// By the field `type`.
    ///
    /// Control is what says nothing that is normalised: acknowledgements, errors, requests, and the messages of `full` and
    /// `level3` about single orders. Of those channels only `match` is an event. `auction` is indicative.
    pub(super) fn of(message_type: &str) -> Option<Self> {
        Some(match message_type {
            "l2update" => Self::L2Update,
            "match" => Self::Match,
            "rfq_match" => Self::RfqMatch,
            "ticker" => Self::Ticker,
            "snapshot" => Self::Snapshot,
            "heartbeat" => Self::Heartbeat,
            "last_match" => Self::LastMatch,
            "status" => Self::Status,
            "received" | "open" | "done" | "change" | "activate" | "auction" | "level3" => Self::Control,
            "subscriptions" | "error" | "subscribe" | "unsubscribe" => Self::Control,
            _ => return None,
        })
    }
}

/// Emits the events of a message.
pub(super) fn message(kind: Kind, text: &str, ids: &mut TradeIds, scope: &mut Scope<'_>) -> Result<Decoded> {
    match kind {
        Kind::L2Update => l2_update(&read(text)?, scope)?,
        Kind::Match => matched(&read(text)?, false, ids, scope)?,
        Kind::LastMatch => matched(&read(text)?, true, ids, scope)?,
        Kind::RfqMatch => {
            let message: wire::Match<'_> = read(text)?;
            let symbol = scope.symbol(message.product_id.as_deref())?;
            trade(&message, symbol, scope);
        }
        Kind::Ticker => ticker(&read(text)?, None, scope)?,
        Kind::Snapshot => snapshot(&read(text)?, None, scope)?,
        Kind::Status => read::<super::wire::Products<'_>>(text)?.emit(scope)?,
        Kind::Heartbeat => return heartbeat(&read(text)?, ids, scope),
        Kind::Control => {
            read::<serde::de::IgnoredAny>(text)?;
            return Ok(Decoded::Control);
        }
    }
    Ok(Decoded::Data)
}

/// A trade, with the gap before it.
fn matched(message: &wire::Match<'_>, begins: bool, ids: &mut TradeIds, scope: &mut Scope<'_>) -> Result<()> {
    let symbol = scope.symbol(message.product_id.as_deref())?;
    let at = message.time.0.or(scope.frame.received).unwrap_or(Timestamp::UNKNOWN);
    match message.trade_id.number() {
        Some(id) if begins => ids.begin(symbol, id, at),
        Some(id) => {
            if let Some(gap) = ids.follow(symbol, id, at) {
                scope.push(symbol, Some(at), gap);
            }
        }
        None => {
            let message = "a trade whose id is not a number";
            return Err(Error::decode(OPERATION, message));
        }
    }
    trade(message, symbol, scope);
    Ok(())
}

/// A row of `level3`, whose places have the meaning that the channel's `schema` gives them. A trade in it has neither an
/// id nor a side.
pub(super) fn level3(row: &[Cow<'_, str>], scope: &mut Scope<'_>) -> Result<Decoded> {
    let row: Vec<&str> = row.iter().map(|element| &**element).collect();
    match *row.as_slice() {
        ["open" | "done" | "change" | "noop", ..] => Ok(Decoded::Control),
        ["match", product, _sequence, _maker, _taker, price, size, time] => {
            let malformed = |error: String| Error::decode(OPERATION, error);
            let number = |text| decimal::parse(text).map_err(|error| malformed(error.to_string()));
            let symbol = scope.symbol(Some(product))?;
            let at = super::wire::Time::parse(time).map_err(|error| malformed(error.to_string()))?;
            let data = Trade {
                id: None,
                side: None,
                price: number(price)?,
                size: number(size)?,
            };
            scope.push(symbol, at.0, data);
            Ok(Decoded::Data)
        }
        _ => Err(Error::decode(OPERATION, "a list, but no row of `level3`")),
    }
}

/// The trade of a message, or of an answer.
pub(super) fn trade(message: &wire::Match<'_>, symbol: Symbol, scope: &mut Scope<'_>) {
    let data = Trade {
        id: Some(message.trade_id.0.clone()),
        side: taker_side(message.side),
        price: message.price.0,
        size: message.size.0,
    };
    scope.push(symbol, message.time.0, data);
}

/// A ticker where there is a last price, and a quote where both sides of the book are told with their sizes. An answer
/// has its `product` in the URL.
pub(super) fn ticker(message: &wire::Ticker<'_>, product: Option<&str>, scope: &mut Scope<'_>) -> Result<()> {
    let symbol = scope.symbol(message.product_id.as_deref().or(product))?;
    let at = message.time.and_then(|time| time.0);
    if let Some(last) = message.price.0 {
        let data = Ticker {
            bid: message.bid.0,
            ask: message.ask.0,
            open: message.open.0,
            high: message.high.0,
            low: message.low.0,
            volume: message.volume.0,
            ..Ticker::new(last)
        };
        scope.push(symbol, at, data);
    }
    if let Some(quote) = quote(message) {
        scope.push(symbol, at, quote);
    }
    Ok(())
}

fn quote(message: &wire::Ticker<'_>) -> Option<Quote> {
    Some(Quote {
        bid: message.bid.0?,
        bid_size: message.bid_size.0?,
        ask: message.ask.0?,
        ask_size: message.ask_size.0?,
    })
}

/// A whole book. An answer has its `product` in the URL.
pub(super) fn snapshot(message: &wire::Snapshot<'_>, product: Option<&str>, scope: &mut Scope<'_>) -> Result<()> {
    let symbol = scope.symbol(message.product_id.as_deref().or(product))?;
    let book = Book {
        kind: BookKind::Snapshot,
        sequence: message.sequence.as_ref().and_then(wire::Id::number),
        levels: Levels::new(&message.bids.0, &message.asks.0),
        checksum: None,
    };
    scope.push(symbol, message.time.and_then(|time| time.0), book);
    Ok(())
}

fn l2_update(message: &wire::L2Update<'_>, scope: &mut Scope<'_>) -> Result<()> {
    let symbol = scope.symbol(message.product_id.as_deref())?;
    let book = Book {
        kind: BookKind::Delta,
        sequence: None,
        levels: Levels::new(&message.changes.bids, &message.changes.asks),
        checksum: None,
    };
    scope.push(symbol, message.time.and_then(|time| time.0), book);
    Ok(())
}

/// A heartbeat is no event, but may tell of a loss.
fn heartbeat(message: &wire::Heartbeat<'_>, ids: &mut TradeIds, scope: &mut Scope<'_>) -> Result<Decoded> {
    let symbol = scope.symbol(Some(&message.product_id))?;
    let at = message.time.0.or(scope.frame.received).unwrap_or(Timestamp::UNKNOWN);
    let Some(gap) = ids.heartbeat(symbol, message.last_trade_id, at) else {
        return Ok(Decoded::Control);
    };
    scope.push(symbol, Some(at), gap);
    Ok(Decoded::Data)
}
