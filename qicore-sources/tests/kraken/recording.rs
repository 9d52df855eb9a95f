//! Whole sessions: everything decodes, every checksum holds, and a lane goes on where it was left.

use std::collections::{BTreeMap, HashMap};

use qicore_data::OrderBook;
use qicore_data::{Checksum, Data, Decoded, Decoder as _, Event, EventType, Frame, Side};
use qicore_sources::kraken::Decoder;

use crate::{Record, book, context, decode, decoder, fixture, read_fixture, records, two_pairs, whole_recording};

/// What a session comes to, each connection a lane of its own.
#[derive(Debug, Default, PartialEq)]
struct Summary {
    control: usize,
    events: BTreeMap<EventType, usize>,
    checksums_ok: usize,
    without_checksum: usize,
}

fn summary(records: &[Record]) -> Summary {
    let mut lanes: HashMap<&str, Decoder> = HashMap::new();
    let mut summary = Summary::default();
    for Record { conn, frame } in records {
        let lane = lanes.entry(conn).or_insert_with(decoder);
        let (decoded, events) = decode(lane, frame).unwrap();
        summary.control += usize::from(decoded == Decoded::Control);
        for event in events {
            assert_eq!(event.received, frame.received);
            *summary.events.entry(event.event_type()).or_default() += 1;
            match book(&event).map(|book| book.checksum) {
                Some(Some(Checksum::Ok)) => summary.checksums_ok += 1,
                Some(Some(other)) => panic!("{other} at {frame:?}"),
                Some(None) => summary.without_checksum += 1,
                None => {}
            }
        }
    }
    summary
}

#[test]
fn every_checksum_of_the_recording_holds() {
    let expected = Summary {
        control: 125,
        events: BTreeMap::from([
            (EventType::Trade, 10),
            (EventType::Ticker, 18),
            (EventType::Book, 4279),
            (EventType::Instrument, 304),
        ]),
        checksums_ok: 4269,
        without_checksum: 10,
    };
    assert_eq!(summary(&whole_recording()), expected);
}

#[test]
fn depth_ten_is_cut_after_each_message() {
    let lines = read_fixture("ws1_book_checksum/pks_orderbook-v1_first_half.jsonl");
    let record = |(at, line): (usize, &str)| Record {
        conn: String::new(),
        frame: Frame::new(at as u64, line.to_owned()),
    };
    let summary = summary(&lines.lines().enumerate().map(record).collect::<Vec<_>>());
    assert_eq!((summary.checksums_ok, summary.without_checksum), (477, 1));
}

/// A maintained book does not know who took; a trade's price does: who buys pays the ask, who sells gets the bid. The
/// book and trade connections are merged by time of receipt. A message's first trade finds the book as it was before.
#[test]
fn the_side_of_a_trade_is_the_takers() {
    let mut records = two_pairs();
    records.sort_by_key(|record| record.frame.received);
    let mut decoder = decoder();
    let mut books: HashMap<_, OrderBook> = HashMap::new();
    let (mut trades, mut at_own_side) = (0, 0);
    for record in &records {
        let (_, events) = decode(&mut decoder, &record.frame).unwrap();
        for (nth, event) in events.iter().enumerate() {
            let maintained = books.entry(event.symbol).or_default();
            let Data::Trade(trade) = &event.data else {
                book(event).map(|book| maintained.apply(book));
                continue;
            };
            let (bid, ask) = (
                maintained.best_bid().unwrap().price,
                maintained.best_ask().unwrap().price,
            );
            assert!(bid < ask);
            let (own, other) = match trade.side.unwrap() {
                Side::Buy => (ask, bid),
                _ => (bid, ask),
            };
            assert!(
                (trade.price - own).abs() < (trade.price - other).abs(),
                "{event:?} with {bid} and {ask}"
            );
            trades += 1;
            at_own_side += usize::from(nth == 0 && trade.price == own);
        }
    }
    // 10 trades in 8 messages. One message came within 60 microseconds of another's, before the book's change.
    assert_eq!((trades, at_own_side), (10, 7));
}

fn decode_all(decoder: &mut Decoder, records: &[Record]) -> Vec<Event> {
    let mut events = Vec::new();
    for record in records {
        decoder.decode(&record.frame, &mut events).unwrap();
    }
    events
}

#[test]
fn a_lane_goes_on_in_another_process() {
    let records = two_pairs();
    let straight = decode_all(&mut decoder(), &records);
    assert!(
        straight
            .iter()
            .any(|event| book(event).is_some_and(|book| book.checksum.is_some()))
    );
    let count = records.len();
    for at in [0, 1, count / 10, count / 3, count / 2, count - 2, count] {
        let mut first = decoder();
        let mut events = decode_all(&mut first, &records[..at]);
        let mut second = decoder();
        if let Some(state) = first.snapshot().unwrap() {
            second.restore(&state).unwrap();
            assert_eq!(second.snapshot().unwrap(), Some(state));
        }
        events.extend(decode_all(&mut second, &records[at..]));
        assert_eq!(events, straight, "resumed at record {at}");
    }
}

#[test]
fn a_damaged_state_is_refused_and_changes_nothing() {
    let records = two_pairs();
    let (first, rest) = records.split_at(records.len() / 2);
    let (mut decoder, mut other) = (decoder(), decoder());
    decode_all(&mut decoder, first);
    decode_all(&mut other, first);
    for state in ["", "{}", "[{}]", "[1]", r#"[{"native":"A/B","symbol":"AB"}]"#] {
        let error = decoder.restore(state).unwrap_err();
        assert_eq!(error.kind(), qicore_data::ErrorKind::Checkpoint, "{error}");
    }
    assert_eq!(decode_all(&mut decoder, rest), decode_all(&mut other, rest));
}

#[test]
fn without_verification_the_same_events_come_without_checksums() {
    let records = two_pairs();
    let mut context = context();
    context.verify_checksums = false;
    let mut unverified = Decoder::new(&context);
    let events = decode_all(&mut unverified, &records);
    let mut expected = decode_all(&mut decoder(), &records);
    for event in &mut expected {
        if let Data::Book(book) = &mut event.data {
            book.checksum = None;
        }
    }
    assert_eq!(events, expected);
    let state = unverified.snapshot().unwrap().unwrap();
    assert!(state.len() < 200, "no books are maintained: {state}");
}

#[test]
fn every_fixture_has_its_provenance() {
    let index = read_fixture("INDEX.tsv");
    let mut rows: Vec<_> = index
        .lines()
        .skip(1)
        .map(|row| row.split('\t').collect::<Vec<_>>())
        .collect();
    rows.sort();
    let mut files = Vec::new();
    for folder in std::fs::read_dir(fixture(""))
        .unwrap()
        .map(|entry| entry.unwrap().path())
    {
        let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
        match std::fs::read_dir(&folder) {
            Ok(_) if name == "LICENSES" => {}
            Ok(entries) => {
                files.extend(entries.map(|entry| format!("{name}/{}", entry.unwrap().file_name().to_str().unwrap())))
            }
            Err(_) if name == "INDEX.tsv" => {}
            Err(_) => files.push(name),
        }
    }
    files.sort();
    assert_eq!(rows.iter().map(|row| row[0]).collect::<Vec<_>>(), files);
    for row in rows {
        assert!(
            fixture(&format!("LICENSES/{}.txt", row[4].replace('/', "+"))).is_file(),
            "{row:?}"
        );
        assert!(!row[7].is_empty(), "{row:?}");
    }
}

#[test]
fn every_payload_decodes() {
    let index = read_fixture("INDEX.tsv");
    for name in index.lines().skip(1).filter_map(|row| row.split('\t').next()) {
        let folder = name.split_once('/').map(|(folder, _)| folder);
        let lane = &mut Decoder::new(&context().channel(folder));
        if name.ends_with(".zst") {
            decode_all(lane, &records(&fixture(name)));
            continue;
        }
        let text = read_fixture(name);
        let payloads = match name.ends_with(".jsonl") {
            true => text.lines().collect(),
            false => vec![&*text],
        };
        let mut control = 0;
        for payload in &payloads {
            let (decoded, _) = decode(lane, &Frame::new(0, payload.to_string())).unwrap();
            control += usize::from(decoded == Decoded::Control);
        }
        let expected = match folder {
            Some("ws1_control" | "ws1_client_requests") => payloads.len(),
            Some("ws1_book_checksum") => 97,
            Some("ws2_level3") if !name.ends_with("_3.json") => 1,
            _ => 0,
        };
        assert_eq!(control, expected, "{name}");
    }
}
