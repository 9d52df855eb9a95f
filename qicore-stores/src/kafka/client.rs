//! Clients of the brokers: their logs, and the last thing that went wrong with a connection.

use std::sync::{Mutex, PoisonError};

use qicore_data::{Error, ErrorKind, Result, RetryAdvice};
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel as Level;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{ClientConfig, Statistics};

use super::error::of_code;

/// What librdkafka tells beside the answers to calls: it connects by itself, again and again, and why it cannot is told
/// here alone.
#[derive(Debug, Default)]
pub(super) struct Told {
    refused: Mutex<Option<(ErrorKind, String)>>,
}

impl Told {
    /// Keeps an error that is about connections.
    pub(super) fn error(&self, error: &KafkaError, reason: &str) {
        let code = error.rdkafka_error_code();
        // No trouble.
        if code == Some(RDKafkaErrorCode::PartitionEOF) {
            return;
        }
        let kind = code.map_or(ErrorKind::Unavailable, |code| of_code(code).0);
        tracing::debug!(%error, reason, "kafka");
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        // "All brokers are down" follows the error that tells why; a refusal is not to be covered by what comes of it.
        let known = matches!(*refused, Some((ErrorKind::Unauthorized, _)));
        if refused.is_none() || !known && code != Some(RDKafkaErrorCode::AllBrokersDown) {
            *refused = Some((kind, reason.trim().to_owned()));
        }
    }

    /// An error that says no more than that something took too long, with what is known of the reason.
    pub(super) fn explain(&self, error: Error) -> Error {
        let vague = matches!(error.kind(), ErrorKind::Timeout | ErrorKind::Unavailable);
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner).take();
        match refused {
            Some((ErrorKind::Unauthorized, reason)) if vague => {
                Error::new(ErrorKind::Unauthorized, error.operation(), reason).with_retry(RetryAdvice::Never)
            }
            Some((_, reason)) if vague => error.with("reason", reason),
            _ => error,
        }
    }

    /// Passes a log line of librdkafka on.
    pub(super) fn log(level: Level, facility: &str, line: &str) {
        match level {
            Level::Emerg | Level::Alert | Level::Critical | Level::Error => tracing::warn!(facility, "kafka: {line}"),
            Level::Warning | Level::Notice => tracing::info!(facility, "kafka: {line}"),
            Level::Info | Level::Debug => tracing::debug!(facility, "kafka: {line}"),
        }
    }
}

/// The context of clients that need no more than logs.
#[derive(Debug, Default)]
pub(super) struct Plain {
    /// What went wrong last.
    pub(super) told: Told,
}

impl ClientContext for Plain {
    fn log(&self, level: Level, facility: &str, line: &str) {
        Told::log(level, facility, line);
    }

    fn stats(&self, _: Statistics) {}

    fn error(&self, error: KafkaError, reason: &str) {
        self.told.error(&error, reason);
    }
}

impl ConsumerContext for Plain {}

/// Finds properties that librdkafka does not know.
pub(super) fn known<'a>(config: &ClientConfig, names: impl Iterator<Item = &'a String>) -> Result<()> {
    match config.create_native_config() {
        Ok(_) => Ok(()),
        Err(KafkaError::ClientConfig(_, _, name, _)) => {
            let own = names.into_iter().any(|property| *property == name);
            let place = if own { "properties." } else { "" };
            let message = format!("{place}{name}: librdkafka does not know it, or does not take this value");
            Err(Error::config("kafka.config", message))
        }
        Err(error) => Err(super::error::mapped("kafka.config", error)),
    }
}
