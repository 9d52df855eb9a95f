//! Rows for databases, and the sinks that write them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use qicore::prelude::*;
use qicore::{Candle, Checkpoint, Decimal, Delivery, Label, Position, Quality, Trade, WriterId};
use tokio::runtime::Runtime;

use crate::Result;

/// Symbols that take turns.
const SYMBOLS: u64 = 500;
/// Rows of one kind, in the order of their arrival: symbol after symbol, minute after minute.
pub fn events(event_type: EventType, rows: u64) -> Result<Vec<Event>> {
    let exchange = "bench".parse()?;
    let source = Label::new("bench")?;
    let symbols: Vec<Symbol> = (0..SYMBOLS)
        .map(|number| format!("S{number:03}/USD").parse())
        .collect::<std::result::Result<_, _>>()?;
    let received: Timestamp = "2026-01-01T00:00:00.000123456Z".parse()?;
    let event = |row: u64| {
        let (turn, symbol) = (row / SYMBOLS, row % SYMBOLS);
        let cents = |base: u64, spread: u64| Decimal::new((base * 100 + (row * 7919) % spread) as i64, 2);
        let (at, data) = match event_type {
            EventType::Candle => (turn * 60_000_000_000, candle(&cents, turn)),
            _ => (turn * 1_000_000, trade(&cents, row)),
        };
        let at = Timestamp::from_nanos(received.nanos() / 60_000_000_000 * 60_000_000_000 + at as i64);
        Event {
            exchange,
            symbol: symbols[symbol as usize],
            timestamp: at,
            received: Some(at.saturating_add(Duration::from_nanos(61_000_123_456))),
            source,
            quality: Quality::High,
            enrichment: None,
            data,
        }
    };
    Ok((0..rows).map(event).collect())
}

fn candle(cents: &dyn Fn(u64, u64) -> Decimal, turn: u64) -> qicore::Data {
    let volume = Decimal::new(123_456_789 + (turn * 104_729 % 1_000_000_007) as i64, 8);
    let candle = Candle {
        timeframe: Timeframe::M1,
        open: cents(67_000, 10_000),
        high: cents(67_200, 10_000),
        low: cents(66_900, 10_000),
        close: cents(67_050, 10_000),
        volume,
        quote_volume: Some(volume * Decimal::new(67_000, 0)),
        trades: Some(100 + turn % 900),
        closed: true,
        origin: Origin::Websocket,
        revision: 0,
    };
    candle.into()
}

fn trade(cents: &dyn Fn(u64, u64) -> Decimal, row: u64) -> qicore::Data {
    let trade = Trade {
        id: Some((1_000_000_000 + row).into()),
        side: Some(if row.is_multiple_of(3) {
            qicore::Side::Sell
        } else {
            qicore::Side::Buy
        }),
        price: cents(67_000, 10_000),
        size: Decimal::new(1_000 + (row * 7919 % 99_991) as i64, 8),
    };
    trade.into()
}

/// Deliveries of `size` rows, each with its checkpoint, one list a lane. Lanes have symbols of their own.
pub fn deliveries(events: &[Event], lanes: u64, size: usize) -> Vec<Vec<Delivery>> {
    let of_lane = |number: u64| {
        let lane = Lane::new(format!("bench/{number}"));
        let own = |event: &&Event| {
            let symbol: u64 = event.symbol.base()[1..].parse().unwrap_or_default();
            symbol % lanes == number
        };
        let own: Vec<Event> = events.iter().filter(own).cloned().collect();
        let mut after = 0;
        let deliver = |chunk: &[Event]| {
            let to = after + chunk.len() as u64;
            let mut delivery = Delivery::of(lane.clone(), after, to, chunk.to_vec());
            delivery.checkpoint = Some(Arc::new(Checkpoint::new(lane.clone(), Position::at(to))));
            after = to;
            delivery
        };
        own.chunks(size).map(deliver).collect()
    };
    (0..lanes).map(of_lane).collect()
}

/// The time that a sink needs for all deliveries, lanes side by side, with everything durable.
pub fn write(runtime: &Runtime, sink: impl Sink + 'static, lanes: &[Vec<Delivery>]) -> Result<Duration> {
    let sink = Arc::new(sink);
    let start = Instant::now();
    runtime.block_on(async {
        sink.open(&WriterId::new("bench", "sink")).await?;
        let mut tasks = tokio::task::JoinSet::new();
        for deliveries in lanes {
            let (sink, deliveries) = (Arc::clone(&sink), deliveries.clone());
            tasks.spawn(async move { write_lane(&*sink, &deliveries).await });
        }
        while let Some(done) = tasks.join_next().await {
            done??;
        }
        sink.close().await?;
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
    })?;
    Ok(start.elapsed())
}

async fn write_lane(sink: &dyn Sink, deliveries: &[Delivery]) -> qicore::Result<()> {
    let Some(first) = deliveries.first() else { return Ok(()) };
    sink.checkpoint(&first.lane).await?;
    for delivery in deliveries {
        let receipt = sink.write(delivery).await?;
        if let Some(row) = receipt.rejected.into_iter().next() {
            return Err(row.error);
        }
    }
    Ok(())
}
