//! Standard output: the normalised JSON, one event a line.

use std::io::{self, Write};
use std::sync::Arc;

use async_trait::async_trait;
use qicore_data::{
    Delivery, Error, ErrorKind, Mistakes, Receipt, Result, RetryAdvice, Settings, Sink, SinkCapabilities, WriterId,
};
use serde::Deserialize;
use tokio::task::spawn_blocking;

/// Writes the normalised JSON to standard output, one event a line. A delivery's lines stay together.
///
/// A line that was written cannot be taken back, so that no write is tried again: a failure ends the run.
#[derive(Debug, Clone, Copy, Default)]
pub struct Stdout;

/// The configuration of [`Stdout`]: nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct StdoutConfig {}

impl Stdout {
    /// The process's standard output.
    pub fn new() -> Self {
        Self
    }
}

pub(crate) fn build(settings: &Settings) -> Result<Arc<dyn Sink>, Mistakes> {
    settings.read::<StdoutConfig>()?;
    Ok(Arc::new(Stdout::new()))
}

#[async_trait]
impl Sink for Stdout {
    fn name(&self) -> &str {
        "stdout"
    }

    fn capabilities(&self) -> SinkCapabilities {
        SinkCapabilities::default()
    }

    async fn open(&self, _writer: &WriterId) -> Result<()> {
        Ok(())
    }

    async fn write(&self, delivery: &Delivery) -> Result<Receipt> {
        let held = delivery.clone();
        // A reader that does not read would otherwise hold up a thread that other tasks need.
        let written = spawn_blocking(move || write_lines(&mut io::stdout().lock(), &held)).await;
        written
            .map_err(io::Error::other)
            .and_then(|done| done)
            .map_err(failed)?;
        Ok(Receipt::durable())
    }
}

fn write_lines(out: &mut impl Write, delivery: &Delivery) -> io::Result<()> {
    let mut lines = Vec::new();
    for event in delivery.iter() {
        event.append_json(&mut lines)?;
        lines.push(b'\n');
    }
    out.write_all(&lines)?;
    out.flush()
}

fn failed(error: io::Error) -> Error {
    let error = if error.kind() == io::ErrorKind::BrokenPipe {
        let message = "the program that read standard output has ended";
        Error::new(ErrorKind::Io, "stdout.write", message).with_source(error)
    } else {
        Error::io("stdout.write", "standard output", error)
    };
    error.with_retry(RetryAdvice::Never)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::one_of_each::one_of_each;
    use qicore_data::{Event, Lane};

    #[test]
    fn lines_are_the_normalised_json() {
        let events = one_of_each();
        let mut out = Vec::new();
        write_lines(&mut out, &Delivery::of(Lane::new("l"), 0, 10, events.clone())).unwrap();
        let read: Vec<Event> = String::from_utf8(out)
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(read, events);
    }

    #[test]
    fn a_reader_that_went_away() {
        let (reader, mut writer) = io::pipe().unwrap();
        drop(reader);
        let delivery = Delivery::of(Lane::new("l"), 0, 10, one_of_each());
        let error = failed(write_lines(&mut writer, &delivery).unwrap_err());
        assert_eq!((error.kind(), error.retry()), (ErrorKind::Io, RetryAdvice::Never));
        assert!(error.to_string().contains("has ended"), "{error}");
    }
}
