//! One event of each kind, shared by the tests of formats.

use qicore_data::{
    Alert, Book, BookKind, Candle, Checksum, Data, Event, Exchange, Gap, GapReason, Instrument, InstrumentKind, Label,
    Level, Levels, Origin, Price, Quality, Quote, Series, Severity, Side, Symbol, Ticker, Timeframe, Timestamp, Trade,
    TradeId, decimal,
};

fn d(text: &str) -> qicore_data::Decimal {
    decimal::parse(text).unwrap()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn label(text: &str) -> Label {
    Label::new(text).unwrap()
}

fn event(data: impl Into<Data>) -> Event {
    let (exchange, symbol) = (Exchange::new("kraken").unwrap(), Symbol::new("BTC/USD").unwrap());
    let mut event = Event::new(
        exchange,
        symbol,
        at("2026-08-09T21:05:48.228568804Z"),
        label("kraken"),
        data,
    );
    event.received = Some(at("2026-08-09T21:05:48.25Z"));
    event
}

pub(crate) fn one_of_each() -> Vec<Event> {
    let params = serde_json::from_str(r#"{"period":14}"#).unwrap();
    let mut events: Vec<Event> = [
        Data::from(Trade {
            id: Some(TradeId::Number(7)),
            side: Some(Side::Buy),
            price: d("354.11000000"),
            size: d("0.5"),
        }),
        Quote {
            bid: d("1.0"),
            bid_size: d("2"),
            ask: d("1.1"),
            ask_size: d("3"),
        }
        .into(),
        Ticker {
            volume: Some(d("1e13")),
            open: Some(d("5")),
            ..Ticker::new(d("6"))
        }
        .into(),
        Book {
            kind: BookKind::Delta,
            sequence: Some(9),
            levels: Levels::new(&[Level::new(d("1.0"), d("0"))], &[]),
            checksum: Some(Checksum::Ok),
        }
        .into(),
        Candle {
            timeframe: Timeframe::M1,
            open: d("1"),
            high: d("3"),
            low: d("0.000000000001"),
            close: d("2"),
            volume: d("10.5"),
            quote_volume: None,
            trades: Some(4),
            closed: true,
            origin: Origin::Built,
            revision: 0,
        }
        .into(),
        Price {
            price: d("49253"),
            market_cap: None,
            volume_24h: Some(d("12")),
            change_24h: Some(d("-1.5")),
        }
        .into(),
        Instrument {
            native: label("XBT/USD"),
            base: label("BTC"),
            quote: label("USD"),
            kind: InstrumentKind::Spot,
            active: true,
            price_step: Some(d("0.1")),
            size_step: None,
        }
        .into(),
        Series {
            name: label("rsi"),
            value: d("55.5"),
            params: Some(std::sync::Arc::new(params)),
        }
        .into(),
        Gap {
            from: at("2026-08-09T21:00:00Z"),
            to: at("2026-08-09T21:01:00Z"),
            reason: GapReason::Sequence,
            missed: Some(3),
        }
        .into(),
        Alert {
            rule: label("spread"),
            severity: Severity::Warning,
            message: "wide \"spread\"".into(),
            value: Some(d("5")),
            threshold: None,
        }
        .into(),
    ]
    .into_iter()
    .map(event)
    .collect();
    events[1].quality = Quality::Low;
    events[4].quality = Quality::Medium;
    events[5].received = None;
    events
}
