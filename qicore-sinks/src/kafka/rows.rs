//! Events as messages.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use qicore_data::{Data, Delivery, Error, ErrorKind, Event, EventType, Label, Result, Timestamp};
use qicore_stores::kafka::{Headers, Limits, Producer, Record};

use super::config::KafkaConfig;

/// Bytes of a message that are neither key nor value nor headers, and of a batch with this message alone, at most.
const OVERHEAD: usize = 256;

/// Where each kind of event goes, and what is taken there.
pub(super) struct Routes {
    config: KafkaConfig,
    topics: Vec<(String, Limits)>,
    headers: Mutex<BTreeMap<(EventType, &'static str), Headers>>,
}

impl Routes {
    pub(super) fn new(config: KafkaConfig, limits: &BTreeMap<String, Limits>) -> Self {
        let route = |kind: &EventType| {
            let topic = config.topics.of(*kind);
            (topic.to_owned(), limits.get(topic).copied().unwrap_or_default())
        };
        Self {
            topics: EventType::ALL.iter().map(route).collect(),
            config,
            headers: Mutex::default(),
        }
    }

    /// The topics that events may go to.
    pub(super) fn topics(config: &KafkaConfig) -> Vec<&str> {
        let mut topics: Vec<_> = config.destinations().map(|(_, topic)| topic).collect();
        topics.sort_unstable();
        topics.dedup();
        topics
    }

    pub(super) fn destinations(&self) -> Vec<&str> {
        Self::topics(&self.config)
    }

    fn headers(&self, event_type: EventType, source: Label) -> Headers {
        let mut known = self.headers.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Headers::of(event_type, source, self.config.encoding);
        known.entry((event_type, source.as_str())).or_insert_with(new).clone()
    }
}

/// Sends the rows of deliveries, each under its number in all of them.
pub(super) struct Sending<'a> {
    routes: &'a Routes,
    producer: &'a Producer,
    payload: Vec<u8>,
    now: Duration,
    /// The headers of the rows before: rows of a kind come together.
    last: Option<(EventType, Label, Headers)>,
}

impl<'a> Sending<'a> {
    pub(super) fn new(routes: &'a Routes, producer: &'a Producer) -> Self {
        Self {
            routes,
            producer,
            payload: Vec::with_capacity(1024),
            now: now(),
            last: None,
        }
    }

    /// Sends one row, unless it is of a kind that is left out.
    pub(super) fn row(&mut self, number: usize, event: &Event) -> Result<()> {
        let kind = event.event_type();
        if !self.routes.config.wants(kind) {
            return Ok(());
        }
        self.payload.clear();
        self.routes.config.encoding.encode(event, &mut self.payload)?;
        if !matches!(&self.last, Some((last, source, _)) if *last == kind && *source == event.source) {
            self.last = Some((kind, event.source, self.routes.headers(kind, event.source)));
        }
        let (topic, limits) = &self.routes.topics[kind.index()];
        let key = key(event);
        let record = Record {
            topic,
            partition: None,
            key: key.as_bytes(),
            payload: &self.payload,
            headers: self.last.as_ref().map(|(_, _, headers)| headers),
            timestamp: message_time(event.timestamp, limits, self.now),
        };
        self.producer.send(number, &record)
    }
}

/// The symbol, so that its events stay in order. Instruments are compacted by their key: each venue's own name is one.
fn key(event: &Event) -> Cow<'static, str> {
    match &event.data {
        Data::Instrument(instrument) => format!("{}:{}", event.exchange, instrument.native).into(),
        _ => event.symbol.as_str().into(),
    }
}

fn now() -> Duration {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
}

/// The time of a message: the event's, in milliseconds. Retention goes by it, so that history that is written today would be
/// removed before it is read: a row that is half as old as its topic lets it become has the time of writing instead.
fn message_time(event: Timestamp, limits: &Limits, now: Duration) -> Option<i64> {
    let millis = event.nanos().div_euclid(1_000_000);
    let keeps = |retention: Duration| i128::from(millis) > now.saturating_sub(retention / 2).as_millis() as i128;
    limits.retention.is_none_or(keeps).then_some(millis)
}

/// Finds the rows that their topics do not take, before anything is sent: a broker refuses whole batches for one of them.
pub(super) fn refused(routes: &Routes, delivery: &Delivery) -> Result<BTreeMap<usize, Error>> {
    let now = now();
    let mut refused = BTreeMap::new();
    let mut payload = Vec::new();
    for (at, event) in delivery.iter().enumerate() {
        let kind = event.event_type();
        if !routes.config.wants(kind) {
            continue;
        }
        let (topic, limits) = &routes.topics[kind.index()];
        let no = |message| Error::new(ErrorKind::Rejected, "kafka.write", message).with("topic", topic);
        let latest = (now + limits.ahead).as_nanos();
        if i128::from(event.timestamp.nanos()) > i128::try_from(latest).unwrap_or(i128::MAX) {
            let message = format!(
                "its time is more than {:?} ahead, which the topic does not take",
                limits.ahead
            );
            refused.insert(at, no(message));
            continue;
        }
        // Most events are far too small to matter: only a large one is encoded to be measured.
        if 8 * event.weight() < limits.bytes {
            continue;
        }
        payload.clear();
        routes.config.encoding.encode(event, &mut payload)?;
        let headers = routes.headers(kind, event.source);
        let bytes = payload.len() + key(event).len() + headers.bytes() + OVERHEAD;
        if bytes > limits.bytes {
            let message = format!(
                "{bytes} bytes are more than max.message.bytes = {} of the topic",
                limits.bytes
            );
            refused.insert(at, no(message));
        }
    }
    Ok(refused)
}
