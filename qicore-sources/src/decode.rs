//! Decodes recorded payloads outside a pipeline: what `qicore decode` does.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use qicore_data::{
    BatchLimit, Content, Decoded, Decoder, Error, Event, Frame, FromStart, Lane, Result, Source, Timestamp,
};

use crate::replay::lines::{Lines, check_regular};
use crate::replay::{self, Replay, ReplayConfig};
use crate::{Venue, VenueContext};

/// Counts of decoded payloads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DecodeCounts {
    /// Payloads.
    pub messages: u64,
    /// Events.
    pub events: u64,
    /// Payloads that were acknowledgements, heartbeats, statuses.
    pub control: u64,
    /// Payloads that could not be decoded.
    pub rejected: u64,
}

/// Where the results of decoding go.
pub trait DecodeOutput {
    /// Events of one payload, in order.
    fn events(&mut self, events: &[Event]) -> Result<()>;

    /// A payload that could not be decoded; `place` says which.
    fn rejected(&mut self, place: &str, error: &Error) -> Result<()>;
}

/// Decodes files of one venue: bare payloads (`.json`: one, else one a line) and recordings, known by their header.
pub struct FileDecoder<'a> {
    venue: Option<(&'static Venue, VenueContext)>,
    counts: DecodeCounts,
    output: &'a mut dyn DecodeOutput,
}

impl<'a> FileDecoder<'a> {
    /// Bare payloads are of this venue; without one, only recordings can be decoded.
    pub fn new(venue: Option<(&'static Venue, VenueContext)>, output: &'a mut dyn DecodeOutput) -> Self {
        Self {
            venue,
            counts: DecodeCounts::default(),
            output,
        }
    }

    /// The counts so far.
    pub fn counts(&self) -> DecodeCounts {
        self.counts
    }

    /// Decodes one file. A payload that cannot be decoded is told to the output and does not end it.
    pub async fn file(&mut self, path: &Path) -> Result<()> {
        // The first line is read twice, to tell a recording; of a pipe it would be gone.
        check_regular(path)?;
        if replay::is_recording(path)? {
            return self.recording(path).await;
        }
        let Some((venue, context)) = &self.venue else {
            let message = "bare payloads do not say which venue they are from: name it with --source";
            return Err(Error::config("decode", message).with("path", path.display()));
        };
        let mut decoder = venue.decoder(context)?;
        let longest = ReplayConfig::default().max_record_bytes;
        let mut events = Vec::new();
        if path.extension().is_some_and(|extension| extension == "json") {
            let payload = one_payload(path, longest)?;
            return self.frame(path, decoder.as_mut(), Frame::new(1, payload), &mut events);
        }
        let received = receive_times(path);
        let mut lines = Lines::open(path, longest, Arc::default())?;
        while let Some(line) = lines.next()? {
            let mut frame = Frame::new(line.number, line.bytes.trim_ascii().to_vec());
            frame.received = received.get(line.number as usize - 1).copied().flatten();
            match line.fault {
                None => self.frame(path, decoder.as_mut(), frame, &mut events)?,
                Some(fault) => {
                    self.counts.messages += 1;
                    self.reject(path, frame.offset, &Error::decode("decode", fault))?;
                }
            }
        }
        Ok(())
    }

    async fn recording(&mut self, path: &Path) -> Result<()> {
        let mut source = Replay::recording(path);
        source.open(Arc::new(FromStart)).await?;
        let mut decoders: BTreeMap<Lane, Box<dyn Decoder>> = BTreeMap::new();
        let mut events = Vec::new();
        while let Some(batch) = source.next_batch(BatchLimit::default()).await? {
            let Content::Frames(frames) = batch.content else {
                continue;
            };
            for frame in frames {
                if !decoders.contains_key(&batch.lane) {
                    decoders.insert(batch.lane.clone(), source.decoder(&batch.lane)?);
                }
                if let Some(decoder) = decoders.get_mut(&batch.lane) {
                    self.frame(path, decoder.as_mut(), frame, &mut events)?;
                }
            }
        }
        source.close().await
    }

    fn frame(&mut self, path: &Path, decoder: &mut dyn Decoder, frame: Frame, events: &mut Vec<Event>) -> Result<()> {
        events.clear();
        self.counts.messages += 1;
        match decoder.decode(&frame, events) {
            Ok(decoded) => {
                self.counts.control += u64::from(decoded == Decoded::Control);
                self.counts.events += events.len() as u64;
                self.output.events(events)
            }
            Err(error) => self.reject(path, frame.offset, &error),
        }
    }

    fn reject(&mut self, path: &Path, line: u64, error: &Error) -> Result<()> {
        self.counts.rejected += 1;
        self.output.rejected(&format!("{}:{line}", path.display()), error)
    }
}

/// A file that is one payload.
fn one_payload(path: &Path, longest: usize) -> Result<Vec<u8>> {
    let failed = |error| Error::io("decode", path, error);
    let (mut payload, most) = (Vec::new(), longest as u64);
    File::open(path)
        .map_err(failed)?
        .take(most + 1)
        .read_to_end(&mut payload)
        .map_err(failed)?;
    if payload.len() > longest {
        let message = format!("a payload of more than {longest} bytes");
        return Err(Error::decode("decode", message).with("path", path.display()));
    }
    Ok(payload)
}

/// Receive times that lie beside a file of payloads, as unix seconds, a line for each (`NAME.recv` for `NAME.jsonl`).
fn receive_times(path: &Path) -> Vec<Option<Timestamp>> {
    let Ok(text) = std::fs::read_to_string(path.with_extension("recv")) else {
        return Vec::new();
    };
    text.lines()
        .map(|line| Timestamp::from_decimal_secs(line.trim()).ok())
        .collect()
}
