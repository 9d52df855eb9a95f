//! The source on an exchange that answers from memory.

mod behaviour;
mod streams;

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use ccxt::types::Market;
use ccxt::{ExchangeError, TypedExchange, Value};
use qicore_data::{BatchLimit, Event, Resume, RetryPolicy, Source, Symbol, Timestamp};
use serde_json::json;

use crate::config::CcxtConfig;
use crate::source::Ccxt;

/// What the exchange has: bars of a minute and trades, as CCXT's values.
#[derive(Debug, Clone, Default)]
struct Fake {
    bars: Vec<serde_json::Value>,
    trades: Vec<serde_json::Value>,
    ticker: serde_json::Value,
    /// The most rows of an answer.
    page: usize,
    /// Answers for so many milliseconds behind what is asked.
    window: Option<i64>,
    /// The class of the error that the methods of this name fail with.
    failing: Option<(&'static str, &'static str)>,
    /// How often they do before they succeed; 0 for always.
    failures: usize,
    calls: Arc<Mutex<Vec<String>>>,
}

impl Fake {
    fn source(&self, config: CcxtConfig) -> Ccxt {
        let fake = self.clone();
        Ccxt::made_by(config, Arc::new(move |_| Ok(Box::new(fake.clone()))))
    }

    fn fails(&self, method: &str) -> bool {
        let calls = self.calls.lock().unwrap();
        self.failures == 0 || calls.iter().filter(|call| *call == method).count() <= self.failures
    }

    fn rows(
        &self,
        all: &[serde_json::Value],
        time: fn(&serde_json::Value) -> &serde_json::Value,
        args: &[Value],
    ) -> Value {
        let since = args[0].as_i64().unwrap();
        let page = args[1].as_i64().map_or(self.page, |limit| limit as usize);
        let rows = all.iter().filter(|row| {
            let at = time(row).as_i64().unwrap();
            at >= since && self.window.is_none_or(|window| at < since + window)
        });
        Value::from_json(&rows.take(page).cloned().collect())
    }
}

#[async_trait]
impl TypedExchange for Fake {
    async fn call_raw(&mut self, method: &str, args: Vec<Value>) -> ccxt::Result<Value> {
        self.calls.lock().unwrap().push(method.to_owned());
        tokio::task::yield_now().await;
        match self.failing {
            Some((failing, class)) if failing == method && self.fails(method) => {
                return Err(ExchangeError::new(class, "on purpose"));
            }
            _ => {}
        }
        Ok(match method {
            "fetch_ohlcv" => self.rows(&self.bars, |row| &row[0], &args[2..]),
            "fetch_trades" => self.rows(&self.trades, |row| &row["timestamp"], &args[1..]),
            "fetch_ticker" => Value::from_json(&self.ticker),
            _ => Value::Null,
        })
    }

    fn market(&self, symbol: &str) -> ccxt::Result<Market> {
        match symbol {
            "BTC/USD" => Ok(Market::default()),
            _ => Err(ExchangeError::new("BadSymbol", format!("no {symbol}"))),
        }
    }

    fn markets(&self) -> Vec<Market> {
        Vec::new()
    }
}

/// 2026-11-01T00:00:00Z
const START: i64 = 1_793_491_200_000;
const MINUTE: i64 = 60_000;

fn time(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis).unwrap()
}

fn bar(minute: i64) -> serde_json::Value {
    json!([START + minute * MINUTE, 1.5, 2.5, 1.25, 2.0, minute as f64 + 0.5])
}

fn trade(millis: i64, id: Option<&str>) -> serde_json::Value {
    json!({ "id": id, "timestamp": START + millis, "side": "buy", "price": 1.5, "amount": 2.5 })
}

fn config(data: &[&str]) -> CcxtConfig {
    CcxtConfig {
        exchange: "fake".into(),
        symbols: vec![Symbol::new("BTC/USD").unwrap()],
        data: data.iter().map(|data| data.parse().unwrap()).collect(),
        retry: RetryPolicy::never(),
        ..CcxtConfig::default()
    }
}

fn history(data: &[&str], minutes: i64) -> CcxtConfig {
    CcxtConfig {
        from: Some(time(START)),
        to: Some(time(START + minutes * MINUTE)),
        ..config(data)
    }
}

/// All events of a source with an end.
async fn events(mut source: Ccxt, resume: Arc<dyn Resume>) -> qicore_data::Result<Vec<Event>> {
    source.open(resume).await?;
    let mut all = Vec::new();
    while let Some(batch) = source.next_batch(BatchLimit::default()).await? {
        match batch.content {
            qicore_data::Content::Events(events, _) => all.extend(events),
            other => panic!("{other:?}"),
        }
    }
    Ok(all)
}
