//! Kraken's decoder against recorded traffic.
#![cfg(feature = "kraken")]

mod books;
mod hostile;
mod messages;
mod recording;
mod rest;
mod v2;
mod v2_books;

use std::path::{Path, PathBuf};

use qicore_data::{Book, Data, Decoded, Decoder as _, Event, Frame, Result, Timestamp};
use qicore_sources::VenueContext;
use qicore_sources::kraken::Decoder;
use serde::Deserialize;
use serde_json::value::RawValue;

fn context() -> VenueContext {
    VenueContext::new("kraken", "kraken").unwrap()
}

fn decoder() -> Decoder {
    Decoder::new(&context())
}

fn decode(decoder: &mut Decoder, frame: &Frame) -> Result<(Decoded, Vec<Event>)> {
    let mut events = Vec::new();
    let decoded = decoder.decode(frame, &mut events)?;
    Ok((decoded, events))
}

/// The events of a payload in a decoder of its own.
fn events_of(payload: &str) -> Result<Vec<Event>> {
    decode(&mut decoder(), &Frame::new(0, payload.to_owned())).map(|(_, events)| events)
}

fn book(event: &Event) -> Option<&Book> {
    match &event.data {
        Data::Book(book) => Some(book),
        _ => None,
    }
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/kraken")
        .join(name)
}

fn read_fixture(name: &str) -> String {
    std::fs::read_to_string(fixture(name)).unwrap()
}

/// A line of a recording.
struct Record {
    conn: String,
    frame: Frame,
}

/// What was received in a recording, connection by connection.
fn records(path: &Path) -> Vec<Record> {
    #[derive(Deserialize)]
    struct Line<'a> {
        t: &'a str,
        #[serde(default)]
        conn: String,
        #[serde(borrow)]
        ts: Option<&'a RawValue>,
        url: Option<String>,
        data: Option<String>,
    }
    let text = zstd::decode_all(std::fs::File::open(path).unwrap()).unwrap();
    let lines = std::str::from_utf8(&text).unwrap().lines().enumerate();
    let records = lines.filter_map(|(at, line)| {
        let line: Line<'_> = serde_json::from_str(line).unwrap();
        if !matches!(line.t, "recv" | "http") {
            return None;
        }
        let received = Timestamp::from_decimal_secs(line.ts?.get()).unwrap();
        let frame = Frame::new(at as u64, line.data?).received(received);
        let frame = match line.url {
            Some(url) => frame.channel(url),
            None => frame,
        };
        Some(Record { conn: line.conn, frame })
    });
    records.collect()
}

/// The whole recording: ten pairs, books of depth 1000, trades and tickers, and the list of pairs.
fn whole_recording() -> Vec<Record> {
    records(Path::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../examples/data/KRAKEN.jsonl.zst"
    )))
}

/// Two of its pairs.
fn two_pairs() -> Vec<Record> {
    records(&fixture("xmr_sc.jsonl.zst"))
}
