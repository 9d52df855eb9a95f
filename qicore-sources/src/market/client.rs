//! A venue's HTTP interface, decoded.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use qicore_data::{Error, ErrorKind, Event, Frame, Result, Symbol};

use super::capture::Tee;
use super::clock::Clock;
use super::protocol::{Ask, Protocol};
use crate::net::{Answer, Http, NetConfig};

/// A client of one venue. Cheap to clone; all clones share the budget.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    pub(super) protocol: Arc<dyn Protocol>,
    /// As far as answers tell it.
    pub(super) clock: Clock,
    hosts: Arc<[Http]>,
    tee: Tee,
}

impl Client {
    pub(super) fn new(protocol: Arc<dyn Protocol>, net: &NetConfig, tee: Tee) -> Result<Self> {
        let hosts: Result<Vec<_>> = protocol
            .hosts()
            .into_iter()
            .map(|host| {
                let http = Http::new(&host.base.0, net, host.windows, host.of_body)?;
                Ok(match host.told {
                    Some(told) => http.told_by(told),
                    None => http,
                })
            })
            .collect();
        Ok(Self {
            protocol,
            clock: Clock::default(),
            hosts: hosts?.into(),
            tee,
        })
    }

    /// Asks, and decodes the answer. One that cannot be decoded is asked for again: it may have been cut on its way.
    pub(super) async fn ask(&self, ask: &Ask) -> Result<(Vec<Event>, Answer)> {
        let mut tries = 0;
        loop {
            let answer = self.hosts[ask.host].get(&ask.request).await?;
            self.tee.answer(&answer);
            self.clock.told(answer.ahead);
            match self.decode(&answer) {
                Ok(events) => return Ok((events, answer)),
                Err(error) if error.kind() == ErrorKind::Decode && tries < UNREADABLE => {
                    tries += 1;
                    tracing::warn!(%error, "the answer cannot be read: asking again");
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn decode(&self, answer: &Answer) -> Result<Vec<Event>> {
        // Which bars were over is a matter of the venue's time.
        let frame = frame(answer).received(self.clock.at(answer.received));
        let mut events = Vec::new();
        let decoded = self.protocol.decoder().decode(&frame, &mut events);
        decoded.map_err(|error| error.with("url", place(&answer.url)))?;
        for event in &mut events {
            event.received = Some(answer.received);
        }
        Ok(events)
    }

    /// The descriptions of instruments, with the answers that they were in: decoders that are given those know the names.
    /// Without symbols, of all instruments.
    ///
    /// # Errors
    /// [`Config`](ErrorKind::Config) that names the symbols that the venue does not have.
    pub(super) async fn instruments(&self, symbols: &[Symbol]) -> Result<Vec<(Vec<Event>, Answer)>> {
        if symbols.is_empty() {
            return Ok(vec![self.described(symbols).await?]);
        }
        let mut answers = Vec::new();
        for symbols in symbols.chunks(INSTRUMENTS) {
            match self.described(symbols).await {
                Ok(answer) => answers.push(answer),
                // Venues refuse the whole of a request for one name that they do not know.
                Err(error) if is_refusal(&error) => {
                    return Err(self.unknown(symbols, error).await);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(answers)
    }

    async fn described(&self, symbols: &[Symbol]) -> Result<(Vec<Event>, Answer)> {
        let mut ask = self.protocol.instruments(symbols);
        ask.request.patience = PATIENCE;
        let (events, answer) = self.ask(&ask).await?;
        let missing = symbols
            .iter()
            .find(|symbol| !events.iter().any(|event| event.symbol == **symbol));
        match missing {
            None => Ok((events, answer)),
            Some(symbol) => {
                let message = format!("the venue does not list {symbol}");
                Err(Error::config("market.instruments", message))
            }
        }
    }

    /// Which of the symbols it is: half of them is asked for, and half of that.
    async fn unknown(&self, symbols: &[Symbol], first: Error) -> Error {
        let (mut unknown, mut refused) = (Vec::new(), vec![symbols]);
        while let Some(symbols) = refused.pop() {
            if let [symbol] = symbols {
                unknown.push(symbol.as_str());
                continue;
            }
            let (left, right) = symbols.split_at(symbols.len() / 2);
            for half in [right, left] {
                if let Err(error) = self.described(half).await
                    && is_refusal(&error)
                {
                    refused.push(half);
                }
            }
        }
        if unknown.is_empty() {
            return first;
        }
        let message = format!("the venue has no instrument {}", unknown.join(", "));
        Error::config("market.instruments", message)
            .with("venue", first.message())
            .with_source(first)
    }
}

/// How long a source that opens waits for a host that wants silence: longer ones are for who opens it.
const PATIENCE: Duration = Duration::from_secs(20);

/// How often an answer that cannot be read is asked for again.
const UNREADABLE: usize = 2;

/// Whether the venue itself, and not some host that answers in its place, refuses a request.
fn is_refusal(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Config | ErrorKind::Rejected) && error.operation() != "net.http"
}

/// The most instruments of a request: their names stand in its URL.
const INSTRUMENTS: usize = 100;

/// The frame of an answer: its channel is the URL.
pub(super) fn frame(answer: &Answer) -> Frame {
    let frame = Frame::new(0, Bytes::clone(&answer.body)).received(answer.received);
    frame.channel(&*answer.url)
}

fn place(url: &str) -> &str {
    url.split('?').next().unwrap_or_default()
}
