//! WebSocket v2: from messages to events.

use qicore_data::decimal::{Decimal, Number};
use qicore_data::{
    Book, BookKind, Candle, Checksum, Data, Decoded, Error, ErrorKind, Event, Frame, Level, Levels, Origin, Quote,
    Result, Ticker, Timestamp, Trade,
};
use serde::Deserialize;
use serde::de::DeserializeSeed;

use super::decoder::Decoder;
use super::instruments::{self, Precisions};
use super::wire::v2 as wire;
use super::{excerpt, malformed, parse};

/// Requests and answers, which carry no market data.
const METHODS: [&str; 4] = ["subscribe", "unsubscribe", "ping", "pong"];

/// The books of a message, and the place of each pair among those of the lane.
#[derive(Debug, Default)]
pub(super) struct Books {
    message: wire::Books,
    places: Vec<usize>,
}

impl Decoder {
    /// A message of a channel.
    pub(super) fn version_2(
        &mut self,
        channel: &str,
        text: &str,
        frame: &Frame,
        out: &mut Vec<Event>,
    ) -> Result<Decoded> {
        match channel {
            "book" => self.books(text, frame, out)?,
            "trade" => self.each("kraken.trade", text, frame, out, |trade: &wire::Trade<'_>, push| {
                push(&trade.symbol, self::trade(trade))
            })?,
            "ticker" => self.each("kraken.ticker", text, frame, out, |told: &wire::Ticker<'_>, push| {
                let at = told.timestamp.0;
                ticker(told).map_or(Ok(()), |ticker| push(&told.symbol, (at, ticker.into())))?;
                quote(told).map_or(Ok(()), |quote| push(&told.symbol, (at, quote.into())))
            })?,
            "ohlc" => self.each("kraken.ohlc", text, frame, out, |bar: &wire::Ohlc<'_>, push| {
                push(&bar.symbol, candle(bar)?)
            })?,
            "instrument" => self.instruments(text, frame, out)?,
            "level3" => self.orders(text, frame, out)?,
            "status" | "heartbeat" => {
                let complete = serde_json::from_str::<wire::Probe<'_>>(text);
                return complete
                    .map(|_| Decoded::Control)
                    .map_err(|error| malformed("kraken.channel", error));
            }
            _ => {
                let channel = excerpt(channel, 40);
                let message = format!(
                    "unknown channel {channel:?}; known: book, trade, ticker, ohlc, instrument, level3, status, heartbeat"
                );
                return Err(Error::decode("kraken.channel", message));
            }
        }
        Ok(Decoded::Data)
    }

    /// A request, or the answer to one. The answer to a subscription to books tells their depth, which messages do not.
    pub(super) fn method(&mut self, method: &str, text: &str) -> Result<()> {
        if !METHODS.contains(&method) {
            let message = format!(
                "unknown method {:?}; known: {}",
                excerpt(method, 40),
                METHODS.join(", ")
            );
            return Err(Error::decode("kraken.method", message));
        }
        let answer: wire::Acknowledged<'_> =
            serde_json::from_str(text).map_err(|error| malformed("kraken.method", error))?;
        if let (Some(subscription), "subscribe", true) = (answer.result, method, self.context.verify_checksums)
            && subscription.channel.as_deref() == Some("book")
            && let (Some(symbol), Some(depth)) = (subscription.symbol, subscription.depth)
            && let Ok(place) = self.pairs.place(&symbol, &self.context)
        {
            self.pairs.book(place).1.subscribed = Some(depth);
        }
        Ok(())
    }

    /// Learns precisions, where books are compared.
    pub(super) fn learn_precisions(&mut self, precisions: Precisions) {
        if self.context.verify_checksums {
            self.pairs.tell(precisions);
        }
    }

    /// A message whose data is a list, of whose elements `emit` makes events.
    fn each<'a, T: Deserialize<'a>>(
        &mut self,
        operation: &'static str,
        text: &'a str,
        frame: &Frame,
        out: &mut Vec<Event>,
        emit: impl Fn(&T, &mut dyn FnMut(&str, (Option<Timestamp>, Data)) -> Result<()>) -> Result<()>,
    ) -> Result<()> {
        let message: wire::Message<Vec<T>> = serde_json::from_str(text).map_err(|error| malformed(operation, error))?;
        let Self { context, pairs, .. } = self;
        let mut push = |native: &str, (at, data): (Option<Timestamp>, Data)| {
            let symbol = pairs.find(native, context)?.symbol;
            out.push(context.event(frame, symbol, at, data));
            Ok(())
        };
        message.data.iter().try_for_each(|item| emit(item, &mut push))
    }

    fn books(&mut self, text: &str, frame: &Frame, out: &mut Vec<Event>) -> Result<()> {
        let Self {
            context, pairs, books, ..
        } = self;
        books.message.clear();
        books.places.clear();
        let mut json = serde_json::Deserializer::from_str(text);
        let read = wire::BooksInto(&mut books.message).deserialize(&mut json);
        read.and_then(|()| json.end())
            .map_err(|error| malformed("kraken.book", error))?;
        // All pairs are known before a book takes up anything: what is refused leaves nothing behind.
        for part in books.message.parts() {
            books.places.push(pairs.place(&part.symbol, context)?);
        }
        for (part, place) in books.message.parts().iter().zip(&books.places) {
            let levels = &part.book;
            if !context.verify_checksums {
                let symbol = pairs.symbol(*place);
                out.push(context.event(frame, symbol, levels.time, parse::book(levels, None)));
                continue;
            }
            let (symbol, book) = pairs.book(*place);
            let checksum = book.take_up(part);
            let event = context.event(frame, symbol, levels.time, parse::book(levels, checksum));
            let at = event.timestamp;
            out.push(event);
            if checksum == Some(Checksum::Mismatch) {
                out.push(context.event(frame, symbol, Some(at), parse::checksum_gap(*book.last(), at)));
            }
            *book.last() = at;
        }
        Ok(())
    }

    fn instruments(&mut self, text: &str, frame: &Frame, out: &mut Vec<Event>) -> Result<()> {
        let message: wire::Message<wire::Instruments<'_>> =
            serde_json::from_str(text).map_err(|error| malformed("kraken.instrument", error))?;
        let precisions = instruments::channel(&message.data.pairs, frame, &self.context, out)?;
        self.learn_precisions(precisions);
        Ok(())
    }

    /// A snapshot of orders makes a snapshot of the book. Changes of orders do not tell what is left at a price.
    fn orders(&mut self, text: &str, frame: &Frame, out: &mut Vec<Event>) -> Result<()> {
        let probe: wire::Message<serde::de::IgnoredAny> =
            serde_json::from_str(text).map_err(|error| malformed("kraken.level3", error))?;
        if probe.kind == wire::Kind::Update {
            let message = "changes of single orders are not decoded; subscribe to the channel book";
            return Err(Error::new(ErrorKind::Unsupported, "kraken.level3", message).with("channel", "level3"));
        }
        self.each("kraken.level3", text, frame, out, |orders: &wire::Orders<'_>, push| {
            push(&orders.symbol, levels_of_orders(orders)?)
        })
    }
}

fn trade(trade: &wire::Trade<'_>) -> (Option<Timestamp>, Data) {
    let data = Trade {
        id: Some(trade.trade_id.into()),
        side: Some(trade.side.into()),
        price: trade.price.0,
        size: trade.qty.0,
    };
    (trade.timestamp.0, data.into())
}

/// A number that is told: 0 stands for a price or size that there is none of.
fn told(number: Option<Number>) -> Option<Decimal> {
    number.map(|number| number.0).filter(|number| !number.is_zero())
}

/// Nothing where there is no last price: a pair that nobody has traded.
fn ticker(ticker: &wire::Ticker<'_>) -> Option<Ticker> {
    Some(Ticker {
        bid: told(ticker.bid),
        ask: told(ticker.ask),
        high: told(ticker.high),
        low: told(ticker.low),
        volume: ticker.volume.map(|volume| volume.0),
        ..Ticker::new(told(ticker.last)?)
    })
}

fn quote(ticker: &wire::Ticker<'_>) -> Option<Quote> {
    Some(Quote {
        bid: told(ticker.bid)?,
        bid_size: told(ticker.bid_qty)?,
        ask: told(ticker.ask)?,
        ask_size: told(ticker.ask_qty)?,
    })
}

/// There is no word of whether a bar is over: it is when the next one begins.
fn candle(bar: &wire::Ohlc<'_>) -> Result<(Option<Timestamp>, Data)> {
    let data = Candle {
        timeframe: parse::interval(bar.interval)?.timeframe,
        open: bar.open.0,
        high: bar.high.0,
        low: bar.low.0,
        close: bar.close.0,
        volume: bar.volume.0,
        quote_volume: None,
        trades: Some(bar.trades),
        closed: false,
        origin: Origin::Websocket,
        revision: 0,
    };
    let begin = bar.interval_begin.0;
    // Its place in time is what a bar is known by; the time of receipt will not do.
    let begin = begin.ok_or_else(|| Error::decode("kraken.ohlc", "a bar without a time of its beginning"))?;
    Ok((Some(begin), data.into()))
}

/// The sums of orders' sizes at each price, at the latest of their times. The checksum in the message is of orders.
fn levels_of_orders(orders: &wire::Orders<'_>) -> Result<(Option<Timestamp>, Data)> {
    let data = Book {
        kind: BookKind::Snapshot,
        sequence: None,
        levels: Levels::new(&summed(&orders.bids)?, &summed(&orders.asks)?),
        checksum: None,
    };
    let all = orders.bids.iter().chain(&orders.asks);
    Ok((all.filter_map(|order| order.timestamp.0).max(), data.into()))
}

/// Orders of the same price follow one another.
fn summed(orders: &[wire::Order]) -> Result<Vec<Level>> {
    let mut levels: Vec<Level> = Vec::with_capacity(orders.len());
    for order in orders {
        let (price, size) = (order.limit_price.0, order.order_qty.0);
        match levels.last_mut().filter(|level| level.price == price) {
            Some(level) => level.size = exact_sum(level.size, size)?,
            None => levels.push(Level::new(price, size)),
        }
    }
    Ok(levels)
}

/// A sum that would need more digits than there are is rounded to fewer of the fraction.
fn exact_sum(a: Decimal, b: Decimal) -> Result<Decimal> {
    let sum = a.checked_add(b).filter(|sum| sum.scale() == a.scale().max(b.scale()));
    sum.ok_or_else(|| Error::decode("kraken.level3", "the sum of the orders at a price has too many digits"))
}
