//! Gaps, and what survives a restart.

use super::*;

/// The depth frames of one symbol, by place in the session.
fn depth_of(stream: &str) -> Vec<usize> {
    let places = SESSION.iter().enumerate();
    places
        .filter(|(_, received)| received.json["stream"] == stream)
        .map(|(at, _)| at)
        .collect()
}

#[test]
fn a_lost_depth_update_is_one_gap_of_its_symbol() {
    let places = depth_of("nknusdt@depth@100ms");
    let [before, lost, after] = places[10..13] else {
        panic!()
    };
    let frames = SESSION
        .iter()
        .enumerate()
        .filter(|(at, _)| *at != lost)
        .map(|(_, received)| &received.frame);
    let events = all(&mut decoder(), frames);
    let gaps: Vec<_> = events
        .iter()
        .enumerate()
        .filter(|(_, event)| event.event_type() == EventType::Gap)
        .collect();
    let [(at, gap)] = gaps[..] else { panic!("{gaps:?}") };
    let Data::Gap(data) = &gap.data else { panic!() };
    let (number, time) = (
        |place: usize, field: &str| SESSION[place].json["data"][field].as_u64().unwrap(),
        |place: usize| millis(&SESSION[place].json["data"]["E"]),
    );
    assert_eq!((gap.symbol.as_str(), data.reason), ("NKN/USDT", GapReason::Sequence));
    assert_eq!(data.missed, Some(number(lost, "u") - number(lost, "U") + 1));
    assert_eq!(
        (data.from.to_string(), data.to.to_string()),
        (time(before), time(after))
    );
    let Data::Book(book) = &events[at + 1].data else {
        panic!("the gap comes before the update that shows it")
    };
    assert_eq!(
        (events[at + 1].symbol, book.sequence),
        (gap.symbol, Some(number(after, "u")))
    );
}

#[test]
fn a_stale_depth_update_is_passed_on_without_a_gap() {
    let places = depth_of("nknusdt@depth@100ms");
    let order = [places[0], places[1], places[0], places[2]];
    let events = all(&mut decoder(), order.map(|place| &SESSION[place].frame));
    assert_eq!(
        (count(&events, EventType::Book), count(&events, EventType::Gap)),
        (4, 0)
    );
}

#[test]
fn a_resumed_decoder_goes_on_as_if_nothing_had_happened() {
    // Without one depth update, so that the state matters.
    let lost = depth_of("nknusdt@depth@100ms")[10];
    let frames: Vec<_> = (0..SESSION.len())
        .filter(|at| *at != lost)
        .map(|at| &SESSION[at].frame)
        .collect();
    let straight = all(&mut decoder(), frames.iter().copied());
    for cut in [0, 1, 7, lost, frames.len() - 1] {
        let mut first = decoder();
        let mut events = all(&mut first, frames[..cut].iter().copied());
        let state = first.snapshot().unwrap().unwrap();
        let mut second = decoder();
        second.restore(&state).unwrap();
        assert_eq!(second.snapshot().unwrap().unwrap(), state);
        events.extend(all(&mut second, frames[cut..].iter().copied()));
        assert_eq!(events, straight, "cut at {cut}");
    }
    assert!(decoder().restore("{\"names\":1}").is_err());
}

#[test]
fn names_that_only_the_list_tells_survive_a_restart() {
    let list = r#"{"symbols":[{"symbol":"XYQ","status":"TRADING","baseAsset":"XY","quoteAsset":"Q","filters":[]}]}"#;
    let ticker = r#"{"u":1,"s":"XYQ","b":"1","B":"2","a":"3","A":"4"}"#;
    let mut first = decoder();
    let error = one(&mut first, ticker).unwrap_err();
    assert!(
        error.to_string().contains("instrument list") && error.to_string().contains("XYQ"),
        "{error}"
    );
    one(&mut first, list).unwrap();
    let mut second = decoder();
    second.restore(&first.snapshot().unwrap().unwrap()).unwrap();
    for decoder in [&mut first, &mut second] {
        assert_eq!(one(decoder, ticker).unwrap().1[0].symbol.as_str(), "XY/Q");
    }
}
