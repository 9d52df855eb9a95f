//! One WebSocket v2 connection.

use std::{collections::BTreeSet, sync::Arc};

use serde_json::Value;

use super::{
    channels::{Subscription, Wish, trades},
    wire,
};
use crate::{
    market::{Market, times},
    server::{Core, Outbox, Session},
};

const SECOND: i64 = 1_000_000_000;

#[derive(Debug)]
pub(super) struct Kraken {
    core: Arc<Core>,
    subscriptions: Vec<Subscription>,
    /// `instrument` has no symbols.
    instruments: bool,
    /// When something was sent last.
    spoke: i64,
    turn: usize,
}

/// A request while it is answered.
struct Asked<'a> {
    method: &'a str,
    channel: &'a str,
    params: &'a Value,
    id: &'a Value,
    wish: Wish,
    now: i64,
}

impl Asked<'_> {
    fn answer(&self, result: &str) -> String {
        let id = if self.id.is_null() {
            String::new()
        } else {
            format!(r#","req_id":{}"#, self.id)
        };
        let time = times::micros(self.now);
        format!(
            r#"{{"method":"{}"{id},{result},"time_in":"{time}","time_out":"{time}"}}"#,
            self.method
        )
    }

    fn granted(&self, symbol: &str) -> String {
        let (snapshot, wish) = (self.wish.snapshot, self.wish);
        let extra = match self.channel {
            "ohlc" => format!(
                r#","interval":{},"warnings":["timestamp is deprecated, use interval_begin"],"snapshot":{snapshot}"#,
                wish.interval
            ),
            "book" => format!(r#","depth":{},"snapshot":{snapshot}"#, wish.depth),
            "ticker" => {
                let trigger = if wish.on_quotes { "bbo" } else { "trades" };
                format!(r#","event_trigger":"{trigger}","snapshot":{snapshot}"#)
            }
            _ => format!(r#","snapshot":{snapshot}"#),
        };
        let symbol = if symbol.is_empty() {
            String::new()
        } else {
            format!(r#","symbol":"{symbol}""#)
        };
        self.answer(&format!(
            r#""result":{{"channel":"{}"{extra}{symbol}}},"success":true"#,
            self.channel
        ))
    }

    fn refused(&self, symbol: &str, error: &str) -> String {
        self.answer(&format!(
            r#""error":{},"success":false,"symbol":{}"#,
            Value::from(error),
            Value::from(symbol)
        ))
    }
}

impl Kraken {
    pub(super) fn new(core: Arc<Core>) -> Self {
        Self {
            core,
            subscriptions: Vec::new(),
            instruments: false,
            spoke: 0,
            turn: 0,
        }
    }

    fn subscribe(&mut self, asked: &Asked<'_>, symbol: &str, out: &mut Outbox) -> String {
        let (core, now) = (self.core.clone(), asked.now);
        let series = core
            .market
            .series(symbol)
            .filter(|_| core.market.is_listed(symbol) && !core.faults.refuses(symbol));
        let Some(series) = series else {
            return asked.refused(symbol, &format!("Currency pair not supported {symbol}"));
        };
        if self
            .subscriptions
            .iter()
            .any(|subscription| subscription.is(asked.channel, symbol, asked.wish))
        {
            out.violation(format!("{} of {symbol} subscribed twice", asked.channel));
            return asked.refused(symbol, "Already subscribed");
        }
        match Subscription::new(&core, series, asked.channel, asked.wish, now) {
            Ok(subscription) => {
                self.subscriptions.push(subscription);
                asked.granted(symbol)
            }
            Err(error) => {
                out.violation(format!("{} of {symbol}: {error}", asked.channel));
                asked.refused(symbol, error)
            }
        }
    }

    fn unsubscribe(&mut self, asked: &Asked<'_>, symbol: &str, out: &mut Outbox) -> String {
        let before = self.subscriptions.len();
        self.subscriptions
            .retain(|subscription| !subscription.is(asked.channel, symbol, asked.wish));
        if self.subscriptions.len() < before {
            return asked.granted(symbol);
        }
        out.violation(format!(
            "{} of {symbol} unsubscribed, but was not subscribed",
            asked.channel
        ));
        asked.refused(symbol, "Subscription Not Found")
    }

    fn instruments(&mut self, asked: &Asked<'_>, out: &mut Outbox) {
        self.instruments = asked.method == "subscribe";
        out.control(asked.granted(""));
        if !self.instruments || !asked.wish.snapshot {
            return;
        }
        let listed: Vec<_> = self.core.market.listed().map(|series| &series.instrument).collect();
        let assets: BTreeSet<_> = listed.iter().flat_map(|pair| [pair.base(), pair.quote()]).collect();
        let assets: Vec<_> = assets.into_iter().map(wire::asset).collect();
        let pairs: Vec<_> = listed.into_iter().map(wire::instrument).collect();
        out.control(format!(
            r#"{{"channel":"instrument","type":"snapshot","data":{{"assets":[{}],"pairs":[{}]}}}}"#,
            assets.join(","),
            pairs.join(",")
        ));
    }

    fn request(&mut self, asked: &Asked<'_>, out: &mut Outbox) {
        if asked.channel == "instrument" {
            return self.instruments(asked, out);
        }
        let symbols = asked.params["symbol"].as_array().cloned().unwrap_or_default();
        if symbols.is_empty() {
            out.violation("a request without symbols");
            return out.control(asked.refused("", "Symbol(s) not found"));
        }
        // One acknowledgement for each symbol.
        for symbol in symbols.iter().filter_map(Value::as_str) {
            let answer = if asked.method == "subscribe" {
                self.subscribe(asked, symbol, out)
            } else {
                self.unsubscribe(asked, symbol, out)
            };
            if self.core.faults.acknowledges() {
                out.control(answer);
            }
        }
        if self.streams() > self.core.limits.streams_per_connection {
            out.violation("too many subscriptions on a connection");
            out.close(1008, "too many subscriptions");
        }
    }
}

impl Session for Kraken {
    fn opened(&mut self, now: i64, out: &mut Outbox) {
        self.spoke = now;
        // Larger than what a signed number holds, as the recorded ones.
        let id = (1u64 << 63) + now as u64 / 1_000;
        out.control(format!(
            concat!(
                r#"{{"channel":"status","type":"update","data":[{{"version":"2.0.10","system":"online","api_version":"v2","#,
                r#""connection_id":{}}}]}}"#
            ),
            id
        ));
    }

    fn message(&mut self, text: &str, now: i64, out: &mut Outbox) {
        let request = serde_json::from_str::<Value>(text).unwrap_or_default();
        let params = &request["params"];
        let asked = Asked {
            method: request["method"].as_str().unwrap_or_default(),
            channel: params["channel"].as_str().unwrap_or_default(),
            params,
            id: &request["req_id"],
            wish: Wish {
                interval: params["interval"].as_i64().unwrap_or(1),
                depth: params["depth"].as_i64().unwrap_or(10),
                snapshot: params["snapshot"].as_bool().unwrap_or(true),
                on_quotes: params["event_trigger"] == "bbo",
            },
            now,
        };
        match asked.method {
            "subscribe" | "unsubscribe" => self.request(&asked, out),
            "ping" => {
                let id = if asked.id.is_null() {
                    String::new()
                } else {
                    format!(r#","req_id":{}"#, asked.id)
                };
                let time = times::micros(now);
                out.control(format!(
                    r#"{{"method":"pong"{id},"time_in":"{time}","time_out":"{time}"}}"#
                ));
            }
            method => {
                out.violation(format!("unknown method {method:?}"));
                out.control(asked.answer(r#""error":"Method not found","success":false"#));
            }
        }
    }

    fn tick(&mut self, now: i64, out: &mut Outbox) {
        let core = self.core.clone();
        let mut texts = Vec::new();
        for subscription in &mut self.subscriptions {
            let Some(series) = core.market.series(&subscription.symbol) else {
                continue;
            };
            subscription.due(&core, series, Market::until(series, now), &mut texts);
            for text in texts.drain(..) {
                self.spoke = now;
                out.data(&subscription.symbol, &subscription.channel, text);
            }
        }
        if self.streams() > 0 && now - self.spoke >= SECOND {
            self.spoke = now;
            out.control(r#"{"channel":"heartbeat"}"#);
        }
    }

    fn ahead(&mut self, frames: u64) -> Vec<String> {
        let core = self.core.clone();
        let (mut texts, mut idle) = (Vec::new(), 0);
        while (texts.len() as u64) < frames && idle < self.subscriptions.len() {
            self.turn = (self.turn + 1) % self.subscriptions.len();
            let subscription = &mut self.subscriptions[self.turn];
            let series = core.market.series(&subscription.symbol);
            match series.and_then(|series| subscription.ahead(&core.market, series)) {
                Some(text) => {
                    idle = 0;
                    texts.push(text);
                }
                None => idle += 1,
            }
        }
        texts
    }

    fn foreign(&mut self, symbol: &str, now: i64, out: &mut Outbox) {
        let market = &self.core.market;
        let Some(series) = market.series(symbol) else { return };
        let last = market.last(series, now).max(1);
        if let Some(text) = trades(market, series, last..last + 1, "update") {
            out.control(text);
        }
    }

    fn streams(&self) -> usize {
        self.subscriptions.len() + usize::from(self.instruments)
    }
}
