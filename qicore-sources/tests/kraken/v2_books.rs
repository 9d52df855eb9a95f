//! WebSocket v2: maintained books, their checksums and precisions.

use qicore_data::{Checksum, Data, Decoder as _, Event, Frame, GapReason, Timestamp};
use qicore_sources::kraken::Decoder;

use crate::{book, books::crc_of, context, decoder, read_fixture};

use Checksum::{Mismatch, Ok};

fn stream() -> Vec<String> {
    let text = read_fixture("ws2_book_checksum/pks_orderbook-v2_first_half.jsonl");
    text.lines().map(str::to_owned).collect()
}

fn decode_into(decoder: &mut Decoder, lines: &[String]) -> Vec<Event> {
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

fn told(lines: &[String]) -> Vec<Option<Checksum>> {
    checksums(&decode_into(&mut decoder(), lines))
}

/// A price and a size, as sent.
type Level = (&'static str, &'static str);

/// A message of bids, with the checksum of the book that it leaves, best bid first, at a precision.
fn bids(kind: &str, levels: &[Level], book: &[Level], (price, size): (usize, usize)) -> String {
    let digits = book.iter().map(|level| at(level.0, price) + &at(level.1, size));
    let checksum = crc_of(&digits.collect::<String>());
    let levels = levels
        .iter()
        .map(|(price, qty)| format!(r#"{{"price":{price},"qty":{qty}}}"#));
    let levels = levels.collect::<Vec<_>>().join(",");
    format!(
        r#"{{"channel":"book","type":"{kind}","data":[{{"symbol":"A/B","bids":[{levels}],"asks":[],"checksum":{checksum},"timestamp":"2023-07-30T15:29:58Z"}}]}}"#
    )
}

/// The digits of a number at a precision, as the definition has it.
fn at(number: &str, precision: usize) -> String {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = format!("{whole}{fraction:0<precision$}");
    digits.trim_start_matches('0').to_owned()
}

fn snapshot(book: &[Level], precision: (usize, usize)) -> String {
    bids("snapshot", book, book, precision)
}

fn update(level: Level, book: &[Level], precision: (usize, usize)) -> String {
    bids("update", &[level], book, precision)
}

fn instrument(price: u32, qty: u32) -> String {
    format!(
        r#"{{"channel":"instrument","type":"update","data":{{"pairs":[{{"symbol":"A/B","base":"A","quote":"B","status":"online","price_precision":{price},"qty_precision":{qty}}}]}}}}"#
    )
}

/// The numbers of this recording have lost their trailing zeros.
#[test]
fn every_checksum_of_the_recording_holds() {
    assert_eq!(told(&stream()), [Some(Ok); 255]);
}

#[test]
fn a_corrupted_change_is_told_once_and_the_next_snapshot_recovers() {
    let mut lines = stream();
    let corrupted = 100;
    let sound = lines[corrupted].clone();
    let at = sound.rfind("\"qty\":").unwrap() + 6;
    lines[corrupted] = format!("{}9{}", &sound[..at], &sound[at..]);
    lines.truncate(150);
    lines.extend(stream().into_iter().take(50));
    let events = decode_into(&mut decoder(), &lines);
    let expected: Vec<_> = std::iter::repeat_n(Some(Ok), 100)
        .chain([Some(Mismatch)])
        .chain([None; 49])
        .chain([Some(Ok); 50])
        .collect();
    assert_eq!(checksums(&events), expected);
    let gaps: Vec<_> = events
        .iter()
        .filter_map(|event| match &event.data {
            Data::Gap(gap) => Some((gap.reason, gap.from, gap.to)),
            _ => None,
        })
        .collect();
    assert_eq!(
        gaps,
        [(GapReason::Checksum, events[99].timestamp, events[100].timestamp)]
    );
}

#[test]
fn without_a_snapshot_nothing_is_compared() {
    assert_eq!(told(&stream()[1..20]), [None; 19]);
}

#[test]
fn a_precision_that_is_not_known_makes_no_mismatch() {
    let precision = (2, 3);
    let lines = [
        // No size shows its third digit, which may be 0.
        snapshot(&[("10.25", "1.5"), ("10", "2")], precision),
        update(
            ("10.5", "0.25"),
            &[("10.5", "0.25"), ("10.25", "1.5"), ("10", "2")],
            precision,
        ),
        update(
            ("10.5", "0.125"),
            &[("10.5", "0.125"), ("10.25", "1.5"), ("10", "2")],
            precision,
        ),
        update(("10.5", "0"), &[("10.25", "1.5"), ("10", "2")], precision),
        // From then on it is known.
        update(("10.5", "7"), &[("10.25", "1.5"), ("10", "2")], precision),
        update(("10.5", "0"), &[("10.25", "1.5"), ("10", "2")], precision),
        snapshot(&[("10.25", "1.5")], precision),
    ];
    // Fewer than ten levels: their depth is but supposed, so that what does not fit makes no mismatch either.
    assert_eq!(told(&lines), [None, None, Some(Ok), Some(Ok), None, None, Some(Ok)]);
    let acknowledged = [vec![ack(10)], lines.to_vec()].concat();
    assert_eq!(
        told(&acknowledged),
        [None, None, Some(Ok), Some(Ok), Some(Mismatch), None, Some(Ok)]
    );
}

#[test]
fn a_list_of_instruments_tells_the_precision() {
    let book = [("10.25", "1.5"), ("10", "2")];
    let lines = [
        ack(10),
        instrument(2, 3),
        snapshot(&book, (2, 3)),
        update(("10.25", "1"), &[("10.25", "1"), ("10", "2")], (2, 3)),
        // It may change while a book is maintained.
        instrument(2, 5),
        update(("10.25", "1.5"), &book, (2, 5)),
        update(("10.25", "1"), &book, (2, 5)),
        snapshot(&book, (2, 5)),
    ];
    assert_eq!(told(&lines), [Some(Ok), Some(Ok), Some(Ok), Some(Mismatch), Some(Ok)]);

    let list = r#"{"error":[],"result":{"AB":{"altname":"AB","wsname":"A/B","base":"A","quote":"B","pair_decimals":2,"lot_decimals":3}}}"#;
    let mut decoder = decoder();
    let mut events = Vec::new();
    let list = Frame::new(0, list).channel("https://api.kraken.com/0/public/AssetPairs");
    decoder.decode(&list, &mut events).unwrap();
    assert_eq!(checksums(&decode_into(&mut decoder, &lines[2..4])), [Some(Ok); 2]);
}

#[test]
fn a_snapshot_that_fits_at_another_precision_overrides_the_list() {
    let book = [("10.25", "1.125"), ("10.00", "2.000")];
    assert_eq!(told(&[ack(10), instrument(2, 8), snapshot(&book, (2, 3))]), [Some(Ok)]);
    // None fits where not even its own digits are told, and the list is taken at its word.
    let lost = [("10.25", "1.5"), ("10", "2")];
    assert_eq!(
        told(&[ack(10), instrument(2, 8), snapshot(&lost, (2, 3))]),
        [Some(Mismatch)]
    );
}

#[test]
fn a_precision_changes() {
    let (fine, coarse) = ([("10.25", "1.125")], [("10.5", "1.5")]);
    let lines = [
        ack(10),
        snapshot(&fine, (2, 3)),
        // Less: the next snapshot is of fewer digits, and if it does not show them all it is no mismatch.
        snapshot(&coarse, (1, 2)),
        update(("10.5", "1.25"), &[("10.5", "1.25")], (1, 2)),
        // More: a change shows digits that there were not.
        update(("10.5", "1.2525"), &[("10.5", "1.2525")], (1, 4)),
    ];
    assert_eq!(told(&lines), [Some(Ok), None, Some(Ok), Some(Ok)]);
}

fn ack(depth: usize) -> String {
    format!(
        r#"{{"method":"subscribe","result":{{"channel":"book","depth":{depth},"snapshot":true,"symbol":"A/B"}},"success":true}}"#
    )
}

#[test]
fn the_depth_is_that_acknowledged() {
    let all = [("3", "1"), ("2", "1"), ("1", "1")];
    let lines = |depth| {
        [
            ack(depth),
            snapshot(&all[1..], (0, 0)),
            update(all[0], &all[..depth], (0, 0)),
        ]
    };
    assert_eq!(told(&lines(2)), [Some(Ok); 2]);
    assert_eq!(told(&lines(3)), [Some(Ok); 2]);
    // Without an acknowledgement it is supposed, and not known to be wrong.
    let events = decode_into(&mut decoder(), &lines(2)[1..]);
    assert_eq!(checksums(&events), [Some(Ok), None]);
    assert_eq!(events.len(), 2, "no gap");
}

#[test]
fn an_empty_book_tells_no_precision() {
    let lines = [
        ack(10),
        snapshot(&[], (0, 0)),
        update(("10", "2"), &[("10", "2")], (2, 3)),
        update(("10.25", "2.125"), &[("10.25", "2.125"), ("10", "2")], (2, 3)),
    ];
    assert_eq!(told(&lines), [Some(Ok), None, Some(Ok)]);
}

#[test]
fn a_lane_goes_on_in_another_process() {
    let mut lines = stream();
    lines.insert(0, instrument(2, 3));
    lines.insert(1, ack(10));
    lines.insert(100, snapshot(&[("10.25", "1.5")], (2, 3)));
    let straight = decode_into(&mut decoder(), &lines);
    for at in [0, 1, 2, 3, 20, 100, 101, 250, lines.len()] {
        let mut first = decoder();
        let mut events = decode_into(&mut first, &lines[..at]);
        let mut second = decoder();
        if let Some(state) = first.snapshot().unwrap() {
            second.restore(&state).unwrap();
            assert_eq!(second.snapshot().unwrap(), Some(state));
        }
        events.extend(decode_into(&mut second, &lines[at..]));
        assert_eq!(events, straight, "resumed at line {at}");
    }
}

#[test]
fn a_state_from_before_version_2_is_read() {
    let state = r#"[{"native":"A/B","symbol":"A/B","books":[{"depth":10,"last":"2021-04-17T16:49:10Z","book":{"book":{"depth":10,"bids":[["10.10","1.25"]],"asks":[]}}}]}]"#;
    let mut decoder = decoder();
    decoder.restore(state).unwrap();
    let change = format!(
        r#"[1,{{"b":[["10.10","2.50","3.5"]],"c":"{}"}},"book-10","A/B"]"#,
        crc_of("1010250")
    );
    assert_eq!(checksums(&decode_into(&mut decoder, &[change])), [Some(Ok)]);
}

#[test]
fn a_lost_connection_leaves_no_book() {
    let mut decoder = decoder();
    let lines = stream();
    decode_into(&mut decoder, &lines[..10]);
    let mut events = Vec::new();
    let [lost, back] = [1, 2].map(Timestamp::from_nanos);
    decoder.reconnected(lost, back, &mut events).unwrap();
    assert!(matches!(&events[..], [Event { data: Data::Gap(gap), .. }] if gap.reason == GapReason::Disconnect));
    assert_eq!(checksums(&decode_into(&mut decoder, &lines[10..20])), [None; 10]);
    assert_eq!(checksums(&decode_into(&mut decoder, &lines[..10])), [Some(Ok); 10]);
}

#[test]
fn without_verification_the_same_events_come_without_checksums() {
    let lines = [vec![instrument(2, 3), ack(10)], stream()].concat();
    let mut unverified = Decoder::new(&context().verify_checksums(false));
    let events = decode_into(&mut unverified, &lines);
    let mut expected = decode_into(&mut decoder(), &lines);
    for event in &mut expected {
        if let Data::Book(book) = &mut event.data {
            book.checksum = None;
        }
    }
    assert_eq!(events, expected);
    let state = unverified.snapshot().unwrap().unwrap();
    assert!(state.len() < 100, "no books are maintained: {state}");
}
