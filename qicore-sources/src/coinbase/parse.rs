//! From the events of a channel to ours: pure functions of payload and scope.

use qicore_data::{
    Book, BookKind, Candle, Data, Error, Event, Frame, Levels, Origin, Quote, Result, Side, Symbol, Ticker, Timeframe,
    Timestamp, Trade, TradeId,
};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::decoder::OPERATION;
use super::{instruments, wire};
use crate::venue::{Names, VenueContext};

/// What holds for all events of a frame, and where they go.
pub(super) struct Scope<'s> {
    pub(super) context: &'s VenueContext,
    pub(super) names: &'s mut Names,
    pub(super) frame: &'s Frame,
    /// The time and number of the message; a response has neither.
    pub(super) sent: Option<Timestamp>,
    pub(super) sequence: Option<u64>,
    pub(super) out: &'s mut Vec<Event>,
}

impl<'a> Scope<'a> {
    /// Of what is no message of Advanced Trade, which alone are numbered.
    pub(super) fn unnumbered(
        (context, names): (&'a VenueContext, &'a mut Names),
        frame: &'a Frame,
        out: &'a mut Vec<Event>,
    ) -> Self {
        Self {
            context,
            names,
            frame,
            sent: None,
            sequence: None,
            out,
        }
    }

    /// The symbol of a product; of one that the payload does not name, the context's.
    pub(super) fn symbol(&mut self, product: Option<&str>) -> Result<Symbol> {
        match (product, self.context.symbol) {
            (Some(product), _) => self.names.symbol(product),
            (None, Some(symbol)) => Ok(symbol),
            (None, None) => {
                let message = "a payload that does not name its product: say which in the context";
                Err(Error::decode(OPERATION, message))
            }
        }
    }

    /// Adds an event, with the message's time where it has no other.
    pub(super) fn push(&mut self, symbol: Symbol, at: Option<Timestamp>, data: impl Into<Data>) {
        let event = self.context.event(self.frame, symbol, at.or(self.sent), data);
        self.out.push(event);
    }
}

/// An event of a channel.
pub(super) trait Channel<'a>: Deserialize<'a> {
    fn emit(self, scope: &mut Scope<'_>) -> Result<()>;
}

/// `heartbeats` and `subscriptions` count in the sequence and say nothing else.
impl Channel<'_> for IgnoredAny {
    fn emit(self, _scope: &mut Scope<'_>) -> Result<()> {
        Ok(())
    }
}

impl<'a> Channel<'a> for wire::L2Event<'a> {
    fn emit(self, scope: &mut Scope<'_>) -> Result<()> {
        let symbol = scope.names.symbol(&self.product_id)?;
        let book = Book {
            kind: match self.kind {
                wire::EventKind::Snapshot => BookKind::Snapshot,
                wire::EventKind::Update => BookKind::Delta,
            },
            sequence: scope.sequence,
            levels: Levels::new(&self.updates.bids, &self.updates.asks),
            checksum: None,
        };
        scope.push(symbol, self.updates.latest, book);
        Ok(())
    }
}

/// The venue lists the newest trade first; ours go out oldest first, so that time ascends.
pub(super) fn trades(trades: &mut [wire::Trade<'_>], scope: &mut Scope<'_>) -> Result<()> {
    trades.reverse();
    if !trades.is_sorted_by_key(|trade| trade.time.0) {
        trades.sort_by_key(|trade| trade.time.0);
    }
    for trade in trades {
        let symbol = scope.names.symbol(&trade.product_id)?;
        let data = Trade {
            id: Some(TradeId::new(&trade.trade_id)),
            side: taker_side(trade.side),
            price: trade.price.0,
            size: trade.size.0,
        };
        scope.push(symbol, trade.time.0, data);
    }
    Ok(())
}

/// The venue tells the maker's side everywhere: Exchange's reference says so of `match`; of Advanced Trade the recorded
/// session does, where trades marked `SELL` print at the ask and those marked `BUY` at the bid.
pub(super) fn taker_side(maker: Option<wire::MakerSide>) -> Option<Side> {
    match maker? {
        wire::MakerSide::Buy => Some(Side::Sell),
        wire::MakerSide::Sell => Some(Side::Buy),
        wire::MakerSide::Unknown => None,
    }
}

impl<'a> Channel<'a> for wire::TickersEvent<'a> {
    /// A ticker where there is a last price, and a quote where both sides of the book are told with their sizes.
    fn emit(self, scope: &mut Scope<'_>) -> Result<()> {
        for ticker in &self.tickers {
            let symbol = scope.names.symbol(&ticker.product_id)?;
            if let Some(last) = ticker.price.0 {
                let data = Ticker {
                    bid: ticker.best_bid.0,
                    ask: ticker.best_ask.0,
                    high: ticker.high_24_h.0,
                    low: ticker.low_24_h.0,
                    volume: ticker.volume_24_h.0,
                    ..Ticker::new(last)
                };
                scope.push(symbol, None, data);
            }
            if let Some(quote) = quote(ticker) {
                scope.push(symbol, None, quote);
            }
        }
        Ok(())
    }
}

fn quote(ticker: &wire::Ticker<'_>) -> Option<Quote> {
    Some(Quote {
        bid: ticker.best_bid.0?,
        bid_size: ticker.best_bid_quantity.0?,
        ask: ticker.best_ask.0?,
        ask_size: ticker.best_ask_quantity.0?,
    })
}

impl<'a> Channel<'a> for wire::CandlesEvent<'a> {
    /// Five-minute candles, updated every second. The venue does not say when one is closed.
    fn emit(self, scope: &mut Scope<'_>) -> Result<()> {
        for candle in &self.candles {
            let symbol = scope.names.symbol(&candle.product_id)?;
            let start = candle.start.parse().ok().and_then(Timestamp::from_secs);
            let start = start.ok_or_else(|| {
                let message = "a candle's start is not in seconds since 1970";
                Error::decode(OPERATION, message).with("start", format_args!("{:.40?}", candle.start))
            })?;
            let data = Candle {
                timeframe: Timeframe::M5,
                open: candle.open.0,
                high: candle.high.0,
                low: candle.low.0,
                close: candle.close.0,
                volume: candle.volume.0,
                quote_volume: None,
                trades: None,
                closed: false,
                origin: Origin::Websocket,
                revision: 0,
            };
            scope.push(symbol, Some(start), data);
        }
        Ok(())
    }
}

impl<'a> Channel<'a> for wire::Products<'a> {
    fn emit(self, scope: &mut Scope<'_>) -> Result<()> {
        products(&self.products, scope)
    }
}

/// Instruments, whose names are learnt.
pub(super) fn products(products: &[wire::Product<'_>], scope: &mut Scope<'_>) -> Result<()> {
    for product in products {
        let (symbol, instrument) = instruments::instrument(product)
            .map_err(|error| Error::decode(OPERATION, error.to_string()).with_source(error))?;
        scope.names.learn(&product.id, symbol);
        scope.push(symbol, None, instrument);
    }
    Ok(())
}
