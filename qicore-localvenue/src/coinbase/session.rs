//! One WebSocket connection to Advanced Trade.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::Value;

use super::{
    channels::{Subscription, trade_row, update},
    native,
};
use crate::{
    market::{Market, times},
    server::{Core, Outbox, Session},
};

const SECOND: i64 = 1_000_000_000;

#[derive(Debug)]
pub(super) struct Coinbase {
    core: Arc<Core>,
    /// Counts every message of the connection, acknowledgements and heartbeats too.
    sequence: u64,
    subscriptions: Vec<Subscription>,
    /// When the next heartbeat is due, and how many were sent.
    heartbeats: Option<(i64, u64)>,
    turn: usize,
}

impl Coinbase {
    pub(super) fn new(core: Arc<Core>) -> Self {
        Self {
            core,
            sequence: 0,
            subscriptions: Vec::new(),
            heartbeats: None,
            turn: 0,
        }
    }

    fn envelope(&mut self, channel: &str, now: i64, event: &str) -> String {
        let sequence = self.sequence;
        self.sequence += 1;
        let time = times::nanos(now);
        format!(
            r#"{{"channel":"{channel}","client_id":"","timestamp":"{time}","sequence_num":{sequence},"events":[{event}]}}"#
        )
    }

    /// The cumulative set.
    fn acknowledge(&mut self, now: i64, out: &mut Outbox) {
        let mut set: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for subscription in &self.subscriptions {
            let product = subscription.symbol.replace('/', "-");
            set.entry(&subscription.channel).or_default().push(product);
        }
        if self.heartbeats.is_some() {
            set.entry("heartbeats").or_default().push("heartbeats".to_owned());
        }
        let set = serde_json::to_string(&set).unwrap_or_default();
        let text = self.envelope("subscriptions", now, &format!(r#"{{"subscriptions":{set}}}"#));
        if self.core.faults.acknowledges() {
            out.control(text);
        }
    }

    fn subscribe(&mut self, channel: &str, products: &[&str], now: i64, out: &mut Outbox) -> Result<(), String> {
        if channel == "heartbeats" {
            self.heartbeats.get_or_insert((now + SECOND, 0));
            return Ok(());
        }
        // A list with one unknown product is refused as a whole.
        let mut wanted = Vec::new();
        for product in products {
            let found = self.core.market.find(product, native);
            let Some(series) = found.filter(|series| !self.core.faults.refuses(&series.instrument.symbol)) else {
                return Err(format!("failure to subscribe: {product} is not a valid product"));
            };
            let subscription = Subscription::new(&self.core, series, channel, now)
                .ok_or_else(|| format!("failure to subscribe: unknown channel {channel}"))?;
            wanted.push(subscription);
        }
        if wanted.is_empty() {
            return Err("failure to subscribe: no product_ids".to_owned());
        }
        for subscription in wanted {
            let same =
                |other: &Subscription| other.symbol == subscription.symbol && other.channel == subscription.channel;
            if self.subscriptions.iter().any(same) {
                out.violation(format!("{channel} of {} subscribed twice", subscription.symbol));
            } else {
                self.subscriptions.push(subscription);
            }
        }
        Ok(())
    }

    fn unsubscribe(&mut self, channel: &str, products: &[&str]) {
        if channel == "heartbeats" {
            self.heartbeats = None;
        }
        self.subscriptions.retain(|subscription| {
            let product = subscription.symbol.replace('/', "-");
            *subscription.channel != *channel || !(products.is_empty() || products.contains(&product.as_str()))
        });
    }

    fn request(&mut self, request: &Value, now: i64, out: &mut Outbox) -> Result<(), String> {
        let channel = request["channel"].as_str().ok_or("a request has one channel")?;
        let products: Vec<&str> = request["product_ids"]
            .as_array()
            .map(|ids| ids.iter().filter_map(Value::as_str).collect())
            .unwrap_or_default();
        match request["type"].as_str() {
            Some("subscribe") => self.subscribe(channel, &products, now, out),
            Some("unsubscribe") => {
                self.unsubscribe(channel, &products);
                Ok(())
            }
            other => Err(format!("unknown type {}", other.unwrap_or("(none)"))),
        }
    }
}

impl Session for Coinbase {
    fn message(&mut self, text: &str, now: i64, out: &mut Outbox) {
        let request = serde_json::from_str::<Value>(text).unwrap_or_default();
        match self.request(&request, now, out) {
            Ok(()) => {
                self.acknowledge(now, out);
                if self.streams() > self.core.limits.streams_per_connection {
                    out.violation("too many subscriptions on a connection");
                    out.close(1008, "too many subscriptions");
                }
            }
            Err(wrong) => {
                out.violation(wrong.clone());
                out.control(format!(r#"{{"type":"error","message":{}}}"#, Value::from(wrong)));
            }
        }
    }

    fn tick(&mut self, now: i64, out: &mut Outbox) {
        let core = self.core.clone();
        if let Some((due, count)) = self.heartbeats.filter(|(due, _)| *due <= now) {
            self.heartbeats = Some((due + SECOND, count + 1));
            let event = format!(
                r#"{{"current_time":"{}","heartbeat_counter":{count}}}"#,
                times::nanos(now)
            );
            let text = self.envelope("heartbeats", now, &event);
            out.control(text);
        }
        for index in 0..self.subscriptions.len() {
            let subscription = &mut self.subscriptions[index];
            let Some(series) = core.market.series(&subscription.symbol) else {
                continue;
            };
            let Some((channel, event)) = subscription.due(&core, series, Market::until(series, now)) else {
                continue;
            };
            let (symbol, name) = (subscription.symbol.clone(), Arc::from(channel));
            let text = self.envelope(channel, now, &event);
            out.data(&symbol, &name, text);
        }
    }

    fn ahead(&mut self, frames: u64) -> Vec<String> {
        let core = self.core.clone();
        let now = core.market.now();
        let (mut texts, mut idle) = (Vec::new(), 0);
        while (texts.len() as u64) < frames && idle < self.subscriptions.len() {
            self.turn = (self.turn + 1) % self.subscriptions.len();
            let subscription = &mut self.subscriptions[self.turn];
            let series = core.market.series(&subscription.symbol);
            match series.and_then(|series| subscription.ahead(&core.market, series)) {
                Some(event) => {
                    idle = 0;
                    texts.push(self.envelope("market_trades", now, &event));
                }
                None => idle += 1,
            }
        }
        texts
    }

    fn foreign(&mut self, symbol: &str, now: i64, out: &mut Outbox) {
        let core = self.core.clone();
        let Some(series) = core.market.series(symbol) else {
            return;
        };
        let row = trade_row(&core.market, series, core.market.last(series, now).max(1));
        let text = self.envelope("market_trades", now, &update(&row));
        out.control(text);
    }

    fn streams(&self) -> usize {
        self.subscriptions.len() + usize::from(self.heartbeats.is_some())
    }
}
