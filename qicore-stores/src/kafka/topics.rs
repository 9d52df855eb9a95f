//! Which topic an event goes to, and what a topic takes.

use std::collections::BTreeMap;
use std::time::Duration;

use qicore_data::{Error, EventType, Result};
use rdkafka::admin::{AdminClient, AdminOptions, ConfigResource, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use serde::Deserialize;

use super::{Connection, error::mapped};

/// The topic of each kind of event, where it is not the default one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Topics(BTreeMap<String, String>);

/// The topic that events of a kind go to by default.
const fn default_topic(event_type: EventType) -> &'static str {
    match event_type {
        EventType::Candle => "ohlcv-raw",
        EventType::Instrument => "market-metadata",
        EventType::Alert => "alerts",
        EventType::Trade => "trades",
        EventType::Quote => "quotes",
        EventType::Ticker => "tickers",
        EventType::Book => "books",
        EventType::Price => "prices",
        EventType::Gap => "gaps",
        _ => "series",
    }
}

impl Topics {
    /// The topic that events of this kind go to.
    pub fn of(&self, event_type: EventType) -> &str {
        let named = self.0.get(event_type.as_str());
        named.map_or(default_topic(event_type), String::as_str)
    }

    /// Sends events of a kind to another topic.
    #[must_use]
    pub fn with(mut self, event_type: EventType, topic: impl Into<String>) -> Self {
        self.0.insert(event_type.as_str().to_owned(), topic.into());
        self
    }

    /// Finds names that no kind and no topic can have.
    ///
    /// # Errors
    /// [`Config`](qicore_data::ErrorKind::Config).
    pub fn check(&self) -> Result<()> {
        for (event_type, topic) in &self.0 {
            if event_type.parse::<EventType>().is_err() {
                let known: Vec<_> = EventType::ALL.iter().map(|kind| kind.as_str()).collect();
                let message = format!(
                    "topics.{event_type}: no such kind of event; known: {}",
                    known.join(", ")
                );
                return Err(Error::config("kafka.config", message));
            }
            check_name(topic).map_err(|error| error.with("event_type", event_type))?;
        }
        Ok(())
    }
}

/// Finds what brokers take for no name of a topic.
///
/// # Errors
/// [`Config`](qicore_data::ErrorKind::Config).
pub fn check_name(topic: &str) -> Result<()> {
    let letter = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if topic.is_empty() || topic.len() > 249 || topic == "." || topic == ".." || !topic.chars().all(letter) {
        let message = format!("{topic:?} is no name of a topic: 1 to 249 letters, digits, '.', '_' and '-'");
        return Err(Error::config("kafka.config", message));
    }
    Ok(())
}

/// What a topic takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Most bytes of a batch of messages after compression, and so of a message (`max.message.bytes`).
    pub bytes: usize,
    /// How far a message's time may lie ahead of the broker's clock (`message.timestamp.after.max.ms`).
    pub ahead: Duration,
    /// How old a message may become, by its own time, before it is removed (`retention.ms`); `None` for a topic that keeps
    /// messages for other reasons.
    pub retention: Option<Duration>,
}

impl Default for Limits {
    /// What a broker has where it is not told otherwise.
    fn default() -> Self {
        Self {
            bytes: 1_048_588,
            ahead: Duration::from_secs(3600),
            retention: Some(Duration::from_secs(7 * 24 * 3600)),
        }
    }
}

/// What topics take; the brokers' defaults for those of which a client may not know.
///
/// # Errors
/// What the brokers fail with, but for a missing right.
pub async fn limits(connection: &Connection, topics: &[&str]) -> Result<Vec<Limits>> {
    let admin: AdminClient<DefaultClientContext> = connection
        .client()
        .create()
        .map_err(|error| mapped("kafka.limits", error))?;
    let wanted: Vec<_> = topics.iter().map(|topic| ResourceSpecifier::Topic(topic)).collect();
    let options = AdminOptions::new().request_timeout(Some(connection.timeout));
    let described = admin.describe_configs(&wanted, &options).await;
    let described = described.map_err(|error| mapped("kafka.limits", error))?;
    let limits = described.into_iter().map(|resource| match resource {
        Ok(resource) => of_config(&resource),
        Err(error) => {
            tracing::debug!(%error, "a topic's limits are not told: the default ones are taken");
            Limits::default()
        }
    });
    Ok(limits.collect())
}

fn of_config(resource: &ConfigResource) -> Limits {
    let number = |name| -> Option<u64> { resource.get(name)?.value.as_ref()?.parse().ok() };
    let policy = resource
        .get("cleanup.policy")
        .and_then(|policy| policy.value.as_deref());
    let (default, removes) = (Limits::default(), policy.is_none_or(|policy| policy.contains("delete")));
    Limits {
        bytes: number("max.message.bytes").map_or(default.bytes, |bytes| bytes as usize),
        ahead: number("message.timestamp.after.max.ms").map_or(default.ahead, Duration::from_millis),
        // -1 is for ever.
        retention: number("retention.ms").filter(|_| removes).map(Duration::from_millis),
    }
}
