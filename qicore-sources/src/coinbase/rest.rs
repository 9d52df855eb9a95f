//! From answers of the REST interfaces to events: pure functions of payload and scope.

use qicore_data::{Candle, Error, Event, Origin, Price, Quote, Result, Symbol, Ticker, Timeframe, Timestamp};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::decoder::{OPERATION, read};
use super::parse::{self, Scope};
use super::request::{Endpoint, Request, of_length};
use super::wire::rest as wire;
use super::wire::{self as feed, exchange as words};
use super::{answer_error, exchange};

/// Emits the events of an answer.
pub(super) fn answer(request: &Request, text: &str, scope: &mut Scope<'_>) -> Result<()> {
    let product = request.product.as_deref();
    match request.endpoint {
        Endpoint::ExchangeCandles => candles(body(text)?, request, scope),
        Endpoint::AdvancedCandles => candles(body::<wire::Candles>(text)?.candles, request, scope),
        Endpoint::ExchangeTrades => trades(body(text)?, product, scope),
        Endpoint::AdvancedTrades => market_trades(body(text)?, request, scope),
        Endpoint::ExchangeBook => exchange::snapshot(&body(text)?, product, scope),
        Endpoint::AdvancedBook => exchange::snapshot(&body::<wire::ProductBook<'_>>(text)?.pricebook, product, scope),
        Endpoint::ExchangeTicker => ticker(text, product, scope),
        Endpoint::BestBidAsk => best_prices(&body(text)?, scope),
        Endpoint::NoMarketData => {
            read::<IgnoredAny>(text)?;
            answer_error(text).map_or(Ok(()), Err)
        }
        Endpoint::Products if text.trim_start().starts_with('[') => parse::products(&body::<Vec<_>>(text)?, scope),
        Endpoint::Products => parse::products(&body::<feed::Products<'_>>(text)?.products, scope),
        Endpoint::Product => parse::products(&[body(text)?], scope),
        Endpoint::ExchangeRates => rates(&body::<wire::ExchangeRates<'_>>(text)?.data, scope),
        Endpoint::Errors => {
            Err(answer_error(text).unwrap_or_else(|| Error::decode(OPERATION, "not an error as the venue writes them")))
        }
    }
}

/// A body; where it is none of that type, it may be an error of the venue.
fn body<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T> {
    read(text).map_err(|error| answer_error(text).unwrap_or(error))
}

/// A ticker of Exchange. An error of the venue would be read as one that says nothing.
fn ticker(text: &str, product: Option<&str>, scope: &mut Scope<'_>) -> Result<()> {
    let ticker: words::Ticker<'_> = body(text)?;
    if [ticker.price, ticker.volume, ticker.bid, ticker.ask] == [feed::Maybe(None); 4] {
        let message = "neither a price nor a volume";
        return Err(answer_error(text).unwrap_or_else(|| Error::decode(OPERATION, message)));
    }
    exchange::ticker(&ticker, product, scope)
}

/// A quote of each product with a bid and an ask. As a book, the best level alone would be a wrong one.
fn best_prices(answer: &wire::PriceBooks<'_>, scope: &mut Scope<'_>) -> Result<()> {
    for book in &answer.pricebooks {
        let symbol = scope.symbol(book.product_id.as_deref())?;
        if let (Some(bid), Some(ask)) = (book.bids.0.first(), book.asks.0.first()) {
            let quote = Quote {
                bid: bid.price,
                bid_size: bid.size,
                ask: ask.price,
                ask_size: ask.size,
            };
            scope.push(symbol, book.time.and_then(|time| time.0), quote);
        }
    }
    Ok(())
}

/// Candles in the order of time; the venue lists the newest first.
///
/// One is closed when its end was over at the time of receipt. Without that time the newest is taken for the open one.
fn candles(mut bars: Vec<wire::Bar>, request: &Request, scope: &mut Scope<'_>) -> Result<()> {
    let symbol = scope.symbol(request.product.as_deref())?;
    bars.reverse();
    bars.sort_by_key(|bar| bar.start.0);
    let Some(newest) = bars.last().map(|bar| bar.start.0) else {
        return Ok(());
    };
    let timeframe = timeframe(&bars, request.timeframe.or(scope.context.timeframe))?;
    let received = scope.frame.received;
    scope.out.reserve(bars.len());
    for bar in bars {
        let start = bar.start.0;
        let data = Candle {
            timeframe,
            open: bar.open.0,
            high: bar.high.0,
            low: bar.low.0,
            close: bar.close.0,
            volume: bar.volume.0,
            quote_volume: None,
            trades: None,
            closed: received.map_or(start < newest, |received| timeframe.next(start) <= received),
            origin: Origin::Rest,
            revision: 0,
        };
        scope.push(symbol, Some(start), data);
    }
    Ok(())
}

/// The timeframe of rows in the order of time: the one that was asked for, or else as long as the shortest way between
/// two rows, since intervals without a trade have none. Every row has to begin where a candle of that length does.
fn timeframe(bars: &[wire::Bar], known: Option<Timeframe>) -> Result<Timeframe> {
    let timeframe = known.or_else(|| {
        let ways = bars.windows(2).map(|pair| pair[1].start.0.since(pair[0].start.0));
        ways.filter(|way| !way.is_zero()).min().and_then(of_length)
    });
    let timeframe = timeframe.ok_or_else(|| {
        let message = "candles whose rows do not show their granularity: say it as the context's timeframe";
        Error::decode(OPERATION, message)
    })?;
    match bars.iter().find(|bar| timeframe.floor(bar.start.0) != bar.start.0) {
        None => Ok(timeframe),
        Some(bar) => Err(
            Error::decode(OPERATION, "a candle that does not begin with its timeframe")
                .with("timeframe", timeframe)
                .with("start", bar.start.0),
        ),
    }
}

/// Trades of Exchange, oldest first; the venue lists the newest first, by their ids.
fn trades(mut trades: Vec<words::Match<'_>>, product: Option<&str>, scope: &mut Scope<'_>) -> Result<()> {
    trades.reverse();
    trades.sort_by_key(|trade| trade.time.0);
    for trade in &trades {
        let symbol = scope.symbol(trade.product_id.as_deref().or(product))?;
        exchange::trade(trade, symbol, scope);
    }
    Ok(())
}

/// Trades of Advanced Trade, oldest first, and a ticker at the time of the newest: it is the last price, next to the best
/// bid and ask. An answer about a stretch of time has no last price.
fn market_trades(mut answer: wire::MarketTrades<'_>, request: &Request, scope: &mut Scope<'_>) -> Result<()> {
    let before = scope.out.len();
    parse::trades(&mut answer.trades, scope)?;
    if request.past {
        return Ok(());
    }
    let Some((symbol, at, last)) = scope.out[before..].last().and_then(last_price) else {
        return Ok(());
    };
    let data = Ticker {
        bid: answer.best_bid.0,
        ask: answer.best_ask.0,
        ..Ticker::new(last)
    };
    scope.push(symbol, Some(at), data);
    Ok(())
}

fn last_price(event: &Event) -> Option<(Symbol, Timestamp, qicore_data::Decimal)> {
    match &event.data {
        qicore_data::Data::Trade(trade) => Some((event.symbol, event.timestamp, trade.price)),
        _ => None,
    }
}

/// What a currency is worth in others. That it is worth one of itself is no price.
fn rates(answer: &wire::Rates<'_>, scope: &mut Scope<'_>) -> Result<()> {
    for (currency, rate) in &answer.rates {
        if *currency == answer.currency {
            continue;
        }
        let symbol = Symbol::pair(&answer.currency, currency)
            .map_err(|error| Error::decode(OPERATION, error.to_string()).with_source(error))?;
        let data = Price {
            price: rate.0,
            market_cap: None,
            volume_24h: None,
            change_24h: None,
        };
        scope.push(symbol, None, data);
    }
    Ok(())
}
