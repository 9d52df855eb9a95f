//! Recorded sessions and payloads, read by means of their own, and what tests of venues have in common.

use std::fs;
use std::path::PathBuf;

use qicore_data::{Decoded, Decoder, Error, Event, EventType, Frame, Timestamp};
use serde_json::Value;

/// A payload that was received, as bytes for the decoder and as a tree for the test.
pub(crate) struct Received {
    pub(crate) frame: Frame,
    pub(crate) json: Value,
}

/// All payloads of a recording, responses and messages, in order.
pub(crate) fn recording(name: &str) -> Vec<Received> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../examples/data")
        .join(name);
    let bytes = zstd::decode_all(fs::File::open(path).unwrap()).unwrap();
    let records = String::from_utf8(bytes).unwrap();
    let received = records.lines().enumerate().filter_map(|(line, record)| {
        let record: Value = serde_json::from_str(record).unwrap();
        let kind = record["t"].as_str().unwrap();
        let payload = record["data"].as_str().filter(|_| matches!(kind, "http" | "recv"))?;
        let at = Timestamp::from_decimal_secs(&record["ts"].to_string()).unwrap();
        let frame = Frame::new(line as u64, payload.as_bytes().to_vec()).received(at);
        Some(Received {
            json: serde_json::from_str(payload).unwrap(),
            frame: match record["url"].as_str() {
                Some(url) => frame.channel(url),
                None => frame,
            },
        })
    });
    received.collect()
}

/// The payloads of a fixture: a line each in `.jsonl`, else the whole file.
pub(crate) fn fixture(venue: &str, file: &str) -> Vec<Frame> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(venue);
    let text = fs::read_to_string(root.join(file)).unwrap();
    let payloads: Vec<&str> = match file.ends_with(".jsonl") {
        true => text.lines().collect(),
        false => vec![&text],
    };
    let frames = payloads.into_iter().enumerate();
    frames
        .map(|(at, payload)| Frame::new(at as u64, payload.as_bytes().to_vec()))
        .collect()
}

/// The files of a fixture folder's index.
pub(crate) fn fixtures(venue: &str) -> Vec<String> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(venue);
    let index = fs::read_to_string(root.join("INDEX.tsv")).unwrap();
    index
        .lines()
        .skip(1)
        .map(|row| row.split('\t').next().unwrap().to_owned())
        .collect()
}

/// Decodes one payload.
pub(crate) fn one(decoder: &mut impl Decoder, payload: impl AsRef<[u8]>) -> Result<(Decoded, Vec<Event>), Error> {
    let mut events = Vec::new();
    let decoded = decoder.decode(&Frame::new(1, payload.as_ref().to_vec()), &mut events)?;
    Ok((decoded, events))
}

/// Decodes all payloads; every one has to be good.
pub(crate) fn all<'a>(decoder: &mut impl Decoder, frames: impl IntoIterator<Item = &'a Frame>) -> Vec<Event> {
    let mut events = Vec::new();
    for frame in frames {
        if let Err(error) = decoder.decode(frame, &mut events) {
            panic!(
                "{error}: {}",
                String::from_utf8_lossy(&frame.payload[..frame.payload.len().min(400)])
            );
        }
    }
    events
}

pub(crate) fn count(events: &[Event], kind: EventType) -> usize {
    events.iter().filter(|event| event.event_type() == kind).count()
}
