//! One WebSocket connection to Binance.

use std::sync::Arc;

use serde_json::Value;

use super::{
    native,
    streams::{Event, Stream, trade},
    wire,
};
use crate::{
    market::Market,
    server::{Core, Outbox, Session},
};

#[derive(Debug)]
pub(super) struct Binance {
    core: Arc<Core>,
    /// `{"stream":…,"data":…}` around each payload.
    combined: bool,
    /// Streams of the URL, subscribed when the connection is open.
    first: Vec<String>,
    streams: Vec<Stream>,
    /// Streams of symbols that are not listed: acknowledged and silent.
    silent: Vec<String>,
    turn: usize,
}

impl Binance {
    pub(super) fn new(core: Arc<Core>, combined: bool, first: Vec<String>) -> Self {
        Self {
            core,
            combined,
            first,
            streams: Vec::new(),
            silent: Vec::new(),
            turn: 0,
        }
    }

    fn wrapped(&self, name: &str, payload: String) -> String {
        if self.combined {
            format!(r#"{{"stream":"{name}","data":{payload}}}"#)
        } else {
            payload
        }
    }

    /// Subscribes one stream. `Err` is the message of a refusal.
    fn subscribe(&mut self, name: &str, now: i64, out: &mut Outbox) -> Result<(), String> {
        if self.streams.iter().any(|stream| stream.name == name) || self.silent.iter().any(|silent| silent == name) {
            out.violation(format!("{name} subscribed twice"));
            return Ok(());
        }
        match Stream::parse(&self.core, name, now) {
            Ok(Some(stream)) if self.core.faults.refuses(&stream.symbol) => Err("invalid stream".to_owned()),
            Ok(Some(stream)) => {
                self.streams.push(stream);
                Ok(())
            }
            Ok(None) => {
                out.violation(format!("{name}: symbol is not listed"));
                self.silent.push(name.to_owned());
                Ok(())
            }
            Err(wrong) => {
                out.violation(wrong.clone());
                Err(wrong)
            }
        }
    }

    fn request(&mut self, request: &Value, now: i64, out: &mut Outbox) -> Result<Value, (i32, String)> {
        let invalid = |what: String| (2, format!("Invalid request: {what}"));
        let names = || -> Result<Vec<String>, (i32, String)> {
            let names = request["params"]
                .as_array()
                .ok_or_else(|| invalid("params is no array".to_owned()))?;
            let text = |name: &Value| name.as_str().map(str::to_owned);
            names
                .iter()
                .map(|name| text(name).ok_or_else(|| invalid("stream name is no string".to_owned())))
                .collect()
        };
        match request["method"].as_str() {
            Some("SUBSCRIBE") => {
                for name in names()? {
                    self.subscribe(&name, now, out).map_err(invalid)?;
                }
                let most = self.core.limits.streams_per_connection;
                if self.streams() > most {
                    out.violation(format!("more than {most} streams on a connection"));
                    out.close(1008, "Too many streams");
                }
                Ok(Value::Null)
            }
            Some("UNSUBSCRIBE") => {
                for name in names()? {
                    let before = self.streams();
                    self.streams.retain(|stream| stream.name != name);
                    self.silent.retain(|silent| *silent != name);
                    if before == self.streams() {
                        out.violation(format!("{name} unsubscribed, but was not subscribed"));
                    }
                }
                Ok(Value::Null)
            }
            Some("LIST_SUBSCRIPTIONS") => {
                let names = self.streams.iter().map(|stream| &stream.name).chain(&self.silent);
                Ok(names.map(|name| Value::from(name.as_str())).collect())
            }
            Some("SET_PROPERTY") if request["params"][0] == "combined" => {
                self.combined = request["params"][1] == true;
                Ok(Value::Null)
            }
            Some("GET_PROPERTY") if request["params"][0] == "combined" => Ok(Value::from(self.combined)),
            method => Err(invalid(format!("unknown method {}", method.unwrap_or("(none)")))),
        }
    }
}

impl Session for Binance {
    fn opened(&mut self, now: i64, out: &mut Outbox) {
        for name in std::mem::take(&mut self.first) {
            // The URL gets no answer: what is wrong is only logged.
            let _ = self.subscribe(&name, now, out);
        }
    }

    fn message(&mut self, text: &str, now: i64, out: &mut Outbox) {
        let Ok(request) = serde_json::from_str::<Value>(text) else {
            out.violation(format!("no JSON: {text}"));
            return out.control(r#"{"error":{"code":3,"msg":"Invalid JSON: expected value at line 1 column 1"}}"#);
        };
        let id = &request["id"];
        let answer = match self.request(&request, now, out) {
            Ok(result) => format!(r#"{{"result":{result},"id":{id}}}"#),
            Err((code, message)) => {
                out.violation(message.clone());
                format!(
                    r#"{{"error":{{"code":{code},"msg":{}}},"id":{id}}}"#,
                    Value::from(message)
                )
            }
        };
        if self.core.faults.acknowledges() {
            out.control(answer);
        }
    }

    fn tick(&mut self, now: i64, out: &mut Outbox) {
        let mut all: Vec<(i64, usize, String)> = Vec::new();
        let mut events: Vec<Event> = Vec::new();
        for (index, stream) in self.streams.iter_mut().enumerate() {
            let Some(series) = self.core.market.series(&stream.symbol) else {
                continue;
            };
            // A delisted market stands still: what happened before is still told.
            stream.due(&self.core, series, Market::until(series, now), &mut events);
            all.extend(events.drain(..).map(|(time, text)| (time, index, text)));
        }
        // In the order in which things happened, whatever the stream.
        all.sort_by_key(|(time, ..)| *time);
        for (_, index, text) in all {
            let stream = &self.streams[index];
            out.data(&stream.symbol, &stream.channel, self.wrapped(&stream.name, text));
        }
    }

    fn ahead(&mut self, frames: u64) -> Vec<String> {
        let mut texts = Vec::new();
        let mut idle = 0;
        while (texts.len() as u64) < frames && idle < self.streams.len() {
            self.turn = (self.turn + 1) % self.streams.len();
            let stream = &mut self.streams[self.turn];
            let made = self
                .core
                .market
                .series(&stream.symbol)
                .and_then(|series| stream.ahead(&self.core.market, series));
            idle = if made.is_some() { 0 } else { idle + 1 };
            if let Some(text) = made {
                let name = self.streams[self.turn].name.clone();
                texts.push(self.wrapped(&name, text));
            }
        }
        texts
    }

    fn foreign(&mut self, symbol: &str, now: i64, out: &mut Outbox) {
        let Some(series) = self.core.market.series(symbol) else {
            return;
        };
        let id = self.core.market.last(series, now).max(1);
        let (_, text) = trade(&self.core.market, series, id, false, Some(now));
        let name = format!("{}@trade", native(&series.instrument).to_ascii_lowercase());
        out.control(self.wrapped(&name, text));
    }

    fn revised(&mut self, symbol: &str, timeframe: &str, open: i64, now: i64, out: &mut Outbox) {
        let Some(series) = self.core.market.series(symbol) else {
            return;
        };
        for stream in self.streams.iter().filter(|stream| &*stream.symbol == symbol) {
            if let Some(text) = stream.again(&self.core.market, series, timeframe, open, now) {
                out.data(&stream.symbol, &stream.channel, self.wrapped(&stream.name, text));
            }
        }
    }

    fn shutdown_notice(&self, now: i64) -> Option<String> {
        Some(wire::shutdown(now))
    }

    fn streams(&self) -> usize {
        self.streams.len() + self.silent.len()
    }
}
