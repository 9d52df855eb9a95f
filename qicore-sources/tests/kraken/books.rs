//! Checksums that do not hold.

use qicore_data::{Checksum, Data, Decoder as _, ErrorKind, Event, Frame, GapReason};

use crate::{book, decode, decoder, events_of, read_fixture};

/// The data messages of a depth-10 stream: a snapshot, then changes.
fn stream() -> Vec<String> {
    let text = read_fixture("ws1_book_checksum/pks_orderbook-v1_first_half.jsonl");
    text.lines()
        .filter(|line| line.starts_with('['))
        .map(str::to_owned)
        .collect()
}

fn decode_lines<'a>(lines: impl IntoIterator<Item = &'a String>) -> Vec<Event> {
    let mut decoder = decoder();
    let mut events = Vec::new();
    for line in lines {
        decoder.decode(&Frame::new(0, line.clone()), &mut events).unwrap();
    }
    events
}

fn checksums(events: &[Event]) -> Vec<Option<Checksum>> {
    events
        .iter()
        .filter_map(|event| book(event).map(|book| book.checksum))
        .collect()
}

#[test]
fn a_corrupted_change_is_told_once_and_the_next_snapshot_recovers() {
    let mut lines = stream();
    let sound = decode_lines(&lines);
    let corrupted = 100;
    assert!(lines[corrupted].contains(r#""2.63972900""#), "{}", lines[corrupted]);
    lines[corrupted] = lines[corrupted].replace(r#""2.63972900""#, r#""2.63972901""#);
    lines.truncate(150);
    lines.extend(stream().into_iter().take(50));

    let events = decode_lines(&lines);
    let expected: Vec<_> = [None]
        .into_iter()
        .chain([Some(Checksum::Ok); 99])
        .chain([Some(Checksum::Mismatch)])
        .chain([None; 49]) // unverified up to the snapshot,
        .chain([None]) // which carries none,
        .chain([Some(Checksum::Ok); 49])
        .collect();
    assert_eq!(checksums(&events), expected);

    let gaps = events.iter().filter_map(|event| match &event.data {
        Data::Gap(gap) => Some((event, gap)),
        _ => None,
    });
    let gaps: Vec<_> = gaps.collect();
    let [(event, gap)] = gaps[..] else { panic!("{gaps:?}") };
    assert_eq!((gap.reason, gap.missed), (GapReason::Checksum, None));
    assert_eq!(
        (gap.from, gap.to),
        (sound[corrupted - 1].timestamp, sound[corrupted].timestamp)
    );
    assert_eq!((event.timestamp, event.symbol.as_str()), (gap.to, "BTC/USD"));
    assert_eq!(
        events[corrupted + 1],
        *event,
        "right after the change that does not fit"
    );
}

#[test]
fn a_missed_change_is_told_and_a_refused_one_too() {
    let lines = stream();
    let missed = lines
        .iter()
        .enumerate()
        .filter(|(at, _)| *at != 30)
        .map(|(_, line)| line);
    let told = checksums(&decode_lines(missed));
    assert_eq!(
        told.iter()
            .filter(|checksum| **checksum == Some(Checksum::Mismatch))
            .count(),
        1
    );

    let mut decoder = decoder();
    for (at, line) in lines[..32].iter().enumerate() {
        let torn = Frame::new(0, line[..line.len() - usize::from(at == 30)].to_owned());
        match decode(&mut decoder, &torn) {
            Ok((_, events)) if at == 31 => assert_eq!(checksums(&events), [Some(Checksum::Mismatch)]),
            Ok(_) => assert_ne!(at, 30),
            Err(error) => assert_eq!((at, error.kind()), (30, ErrorKind::Decode)),
        }
    }
}

#[test]
fn changes_without_a_snapshot_pass_unverified() {
    let events = decode_lines(&stream()[1..20]);
    assert_eq!(checksums(&events), [None; 19]);
}

#[test]
fn a_price_is_the_same_level_in_any_scale() {
    // The digits of a level are those of the text that came last: 32-bit CRCs of "1010" + "125" and of "101" + "7".
    let snapshot = r#"[1,{"as":[["10.10","1.25","1.0"]],"bs":[]},"book-10","A/B"]"#;
    let lines = [
        snapshot.to_owned(),
        change(r#""a":[["10.1","7","2.0"]]"#, crc_of("1017")),
        change(r#""a":[["10.10","1.25","2.5"]]"#, crc_of("1010125")),
        change(
            r#""a":[["10.1000","0.00","3.0"]],"b":[["0.050","2.0","3.0"]]"#,
            crc_of("5020"),
        ),
    ];
    assert_eq!(
        checksums(&decode_lines(&lines)),
        [None, Some(Checksum::Ok), Some(Checksum::Ok), Some(Checksum::Ok)]
    );
}

fn change(levels: &str, checksum: u32) -> String {
    format!(r#"[1,{{{levels},"c":"{checksum}"}},"book-10","A/B"]"#)
}

/// Bit by bit, as the definition has it.
pub(crate) fn crc_of(text: &str) -> u32 {
    !text.bytes().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 }
        })
    })
}

#[test]
fn books_of_two_depths_are_two_books() {
    let wide = r#"[1,{"as":[["1","1","1.0"],["2","1","1.0"]],"bs":[]},"book-25","A/B"]"#.to_owned();
    let narrow = r#"[1,{"as":[["1","1","1.0"]],"bs":[]},"book-1","A/B"]"#.to_owned();
    let in_wide = change(r#""a":[["3","1","2.0"]]"#, crc_of("112131")).replace("book-10", "book-25");
    let in_narrow = change(r#""a":[["3","1","2.0"]]"#, crc_of("11")).replace("book-10", "book-1");
    let told = checksums(&decode_lines(&[wide, narrow, in_wide, in_narrow]));
    assert_eq!(told, [None, None, Some(Checksum::Ok), Some(Checksum::Ok)]);
}

#[test]
fn a_change_of_both_sides_comes_as_two_payloads() {
    let message = r#"[9,{"a":[["1.2","3","5.5"]]},{"b":[["1.1","4","5.25"]],"c":"1"},"book-10","XBT/EUR"]"#;
    let events = events_of(message).unwrap();
    let json: Vec<_> = events
        .iter()
        .map(|event| serde_json::to_string(event).unwrap())
        .collect();
    let expected = r#"{"type":"book","exchange":"kraken","symbol":"BTC/EUR","timestamp":"1970-01-01T00:00:05.5Z","source":"kraken","kind":"delta","bids":[["1.1","4"]],"asks":[["1.2","3"]]}"#;
    assert_eq!(json, [expected]);
}
