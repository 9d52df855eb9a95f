//! Answers of the REST interface: from bodies to events. Pure. (The list of pairs is in `instruments`.)

use qicore_data::decimal::Quoted;
use qicore_data::{
    Book, BookKind, Candle, Data, Error, ErrorKind, Event, Frame, Label, Level, Levels, Origin, Result, Series, Symbol,
    Ticker, Timeframe, Timestamp, Trade,
};
use serde::Deserialize;

use super::wire::{self, Answer, Members, NumberSeconds, Response};
use super::{error, excerpt, malformed, names, parse};
use crate::VenueContext;

/// Makes the events of an answer of any endpoint but `AssetPairs`.
pub(super) fn answer(
    endpoint: &str,
    body: &str,
    frame: &Frame,
    context: &VenueContext,
    out: &mut Vec<Event>,
) -> Result<()> {
    let url = frame.channel.as_deref().filter(|url| url.starts_with("http"));
    let mut scope = Scope {
        body,
        query: url.and_then(|url| url.split_once('?')).map(|(_, query)| query),
        asked: url.is_some(),
        frame,
        context,
        out,
    };
    match endpoint {
        "OHLC" => scope.bars(),
        "Trades" => scope.trades(),
        "Depth" => scope.depth(),
        "GroupedBook" => scope.grouped_book(),
        "Spread" => scope.spreads(),
        "Ticker" => scope.tickers(),
        _ => Err(error::answer_error(body).unwrap_or_else(|| {
            let message = "no decoder for this REST endpoint; known: AssetPairs, Depth, GroupedBook, OHLC, Spread, \
                           Ticker, Trades";
            Error::new(ErrorKind::Unsupported, "kraken.decode", message).with("endpoint", excerpt(endpoint, 40))
        })),
    }
}

/// Endpoints that tell of no market.
pub(super) const NO_MARKET_DATA: [&str; 3] = ["Assets", "SystemStatus", "Time"];

/// Reads an answer of such an endpoint, which may be an error.
pub(super) fn pass_over(body: &str) -> Result<()> {
    result::<wire::Unread>(body, "kraken.answer").map(|_| ())
}

/// What an answer holds, where it is no error.
fn result<'s, T: Deserialize<'s>>(body: &'s str, operation: &'static str) -> Result<T> {
    let response: Response<'s, T> = serde_json::from_str(body).map_err(|error| malformed(operation, error))?;
    if let Some(error) = error::refusal(&response.error) {
        return Err(error);
    }
    let missing = || Error::decode(operation, "the answer has neither an error nor a result");
    response.result.ok_or_else(missing)
}

/// An answer, what is known of the question, and where events go.
struct Scope<'s> {
    body: &'s str,
    /// The query of the URL.
    query: Option<&'s str>,
    /// There is a URL.
    asked: bool,
    frame: &'s Frame,
    context: &'s VenueContext,
    out: &'s mut Vec<Event>,
}

/// The rows of one pair, and where they go on.
struct OnePair<T> {
    symbol: Symbol,
    rows: T,
    last: Option<u64>,
}

impl<'s> Scope<'s> {
    /// The answer of an endpoint that answers for one pair.
    fn one_pair<T: Deserialize<'s>>(&self, operation: &'static str) -> Result<OnePair<T>> {
        let Answer { pair, last } = result::<Answer<'s, T>>(self.body, operation)?;
        let (name, rows) = pair.ok_or_else(|| Error::decode(operation, "the answer names no pair"))?;
        let symbol = self.symbol(&name.0, true)?;
        Ok(OnePair { symbol, rows, last })
    }

    fn parameter(&self, name: &str) -> Option<&'s str> {
        let mut parameters = self.query?.split('#').next()?.split('&');
        parameters.find_map(|parameter| parameter.strip_prefix(name)?.strip_prefix('='))
    }

    /// The symbol of a pair in the answer. Lists of pairs come first; what was asked for tells it where the answer is of
    /// nothing else (`alone`); the rules of names are last, for they do not know what pairs there are.
    fn symbol(&self, native: &str, alone: bool) -> Result<Symbol> {
        let asked = self.parameter("pair").filter(|_| alone);
        let listed = |name: &str| self.context.symbols.get(name);
        listed(native)
            .or_else(|| listed(asked?))
            .or_else(|| self.context.symbol.filter(|_| alone))
            .or_else(|| names::rest(native))
            .or_else(|| names::rest(asked?))
            .ok_or_else(|| {
                let message = "the pair's name tells no symbol: decode AssetPairs first, or name the symbol";
                Error::decode("kraken.pair", message).with("pair", excerpt(native, 40))
            })
    }

    fn push(&mut self, symbol: Symbol, at: Option<Timestamp>, data: impl Into<Data>) {
        let event = self.context.event(self.frame, symbol, at, data);
        self.out.push(event);
    }

    /// Bars of a history. The last one is not over: `last` is the time of the one before it.
    fn bars(&mut self) -> Result<()> {
        let OnePair { symbol, rows, last } = self.one_pair::<Vec<wire::RestOhlc>>("kraken.ohlc")?;
        let Some(timeframe) = self.timeframe(&rows)? else {
            return Ok(());
        };
        let committed = last.and_then(|last| Timestamp::from_secs(i64::try_from(last).ok()?));
        for row in rows {
            let data = Candle {
                timeframe,
                open: row.open.0,
                high: row.high.0,
                low: row.low.0,
                close: row.close.0,
                volume: row.volume.0,
                quote_volume: None,
                trades: Some(row.count),
                closed: committed.is_some_and(|committed| row.time.0 <= committed),
                origin: Origin::Rest,
                revision: 0,
            };
            self.push(symbol, Some(row.time.0), data);
        }
        Ok(())
    }

    /// How long the bars are: as the URL asks, else as the context says, else the smallest distance between two of them.
    /// `None` where there are none.
    fn timeframe(&self, rows: &[wire::RestOhlc]) -> Result<Option<Timeframe>> {
        if rows.is_empty() {
            return Ok(None);
        }
        if let Some(minutes) = self.parameter("interval") {
            let minutes = minutes.parse().map_err(|_| {
                let message = "the URL's interval is no number of minutes";
                Error::decode("kraken.ohlc", message).with("interval", excerpt(minutes, 40))
            })?;
            return parse::interval(minutes).map(|interval| Some(interval.timeframe));
        }
        match self.context.timeframe {
            // What Kraken answers a question without an interval.
            _ if self.asked => Ok(Some(Timeframe::M1)),
            Some(timeframe) => Ok(Some(timeframe)),
            None => distance(rows).map(Some),
        }
    }

    fn trades(&mut self) -> Result<()> {
        let OnePair { symbol, rows, .. } = self.one_pair::<Vec<wire::RestTrade>>("kraken.trades")?;
        for row in rows {
            let data = Trade {
                id: row.id.map(Into::into),
                side: Some(row.side.0),
                price: row.price.0,
                size: row.volume.0,
            };
            self.push(symbol, Some(row.time.0), data);
        }
        Ok(())
    }

    /// The book, as of the latest change of a level in it.
    fn depth(&mut self) -> Result<()> {
        let OnePair { symbol, rows, .. } = self.one_pair::<wire::Depth>("kraken.depth")?;
        let levels = |side: &[wire::DepthLevel]| {
            let levels = side.iter().map(|level| Level::new(level.price.0, level.volume.0));
            levels.collect::<Vec<_>>()
        };
        let latest = rows.bids.iter().chain(&rows.asks).map(|level| level.time.0).max();
        self.push(symbol, latest, snapshot(&levels(&rows.bids), &levels(&rows.asks)));
        Ok(())
    }

    /// The book in coarser steps of price, which are sums of its levels. It has no time.
    fn grouped_book(&mut self) -> Result<()> {
        let book = result::<wire::GroupedBook<'_>>(self.body, "kraken.grouped_book")?;
        let symbol = self.symbol(&book.pair.0, true)?;
        let levels = |side: &[wire::GroupedLevel]| {
            let levels = side.iter().map(|level| Level::new(level.price.0, level.qty.0));
            levels.collect::<Vec<_>>()
        };
        self.push(symbol, None, snapshot(&levels(&book.bids), &levels(&book.asks)));
        Ok(())
    }

    /// Best prices, which come without the sizes that a quote has: two series.
    fn spreads(&mut self) -> Result<()> {
        let OnePair { symbol, rows, .. } = self.one_pair::<Vec<wire::RestSpread>>("kraken.spread")?;
        let label = |name| Label::new(name).map_err(|error| Error::decode("kraken.spread", error.to_string()));
        let (bid, ask) = (label("best_bid")?, label("best_ask")?);
        for row in rows {
            for (name, value) in [(bid, row.bid.0), (ask, row.ask.0)] {
                let params = None;
                self.push(symbol, Some(row.time.0), Series { name, value, params });
            }
        }
        Ok(())
    }

    /// A ticker for each pair that has ever been traded. Its window is 24 hours; the first price that Kraken sends is of
    /// the day since midnight, and is left out.
    fn tickers(&mut self) -> Result<()> {
        let Members(pairs) = result::<Members<'_, wire::RestTicker>>(self.body, "kraken.ticker")?;
        let told = |price: &Quoted| Some(price.0).filter(|price| !price.is_zero());
        for (name, ticker) in &pairs {
            let symbol = self.symbol(&name.0, pairs.len() == 1)?;
            let Some(last) = told(&ticker.c.price) else {
                continue;
            };
            let data = Ticker {
                bid: told(&ticker.b.price),
                ask: told(&ticker.a.price),
                high: told(&ticker.h.day),
                low: told(&ticker.l.day),
                volume: Some(ticker.v.day.0),
                ..Ticker::new(last)
            };
            self.push(symbol, None, data);
        }
        Ok(())
    }
}

/// A whole book, of an endpoint that numbers none.
fn snapshot(bids: &[Level], asks: &[Level]) -> Book {
    Book {
        kind: BookKind::Snapshot,
        sequence: None,
        levels: Levels::new(bids, asks),
        checksum: None,
    }
}

/// The timeframe that is the smallest distance between neighbouring bars: Kraken leaves no bar out.
fn distance(rows: &[wire::RestOhlc]) -> Result<Timeframe> {
    let unknown = |why: &str| {
        let message = format!("how long the bars are is not told, and {why}: name the timeframe");
        Error::decode("kraken.ohlc", message)
    };
    let time = |NumberSeconds(at): NumberSeconds| at.nanos();
    let distances = rows
        .windows(2)
        .map(|pair| time(pair[1].time).abs_diff(time(pair[0].time)));
    let nanos = distances.min().ok_or_else(|| unknown("one alone does not show it"))?;
    let minutes = (nanos % 60_000_000_000 == 0).then_some(nanos / 60_000_000_000);
    let interval = minutes.and_then(|minutes| parse::interval(minutes).ok());
    interval
        .map(|interval| interval.timeframe)
        .ok_or_else(|| unknown("their distance is no interval of Kraken's"))
}
