//! Gaps, and what survives a restart.

use super::*;

#[test]
fn a_lost_message_is_a_gap_of_every_symbol_on_the_connection() {
    let heartbeat = SESSION
        .iter()
        .position(|received| received.json["channel"] == "heartbeats")
        .unwrap();
    let book = place(100);
    for lost in [heartbeat, book] {
        let mut decoder = decoder();
        let events = all(&mut decoder, frames().take(lost));
        assert_eq!(count(&events, EventType::Gap), 0);
        let after = all(&mut decoder, frames().skip(lost + 1));
        let gaps: Vec<_> = after
            .iter()
            .filter(|event| event.event_type() == EventType::Gap)
            .collect();
        let symbols: Vec<_> = gaps.iter().map(|gap| gap.symbol.as_str()).collect();
        assert_eq!(symbols, ["BTC/USD", "ETH/USD"]);
        assert_eq!(after[0], *gaps[0], "the gap comes before the message that shows it");
        for gap in gaps {
            let Data::Gap(data) = &gap.data else { panic!() };
            assert_eq!((data.reason, data.missed), (GapReason::Sequence, Some(1)));
            assert_eq!(data.from.to_string(), time(&SESSION[lost - 1].json["timestamp"]));
            assert_eq!(data.to.to_string(), time(&SESSION[lost + 1].json["timestamp"]));
        }
    }
}

#[test]
fn a_gap_shown_by_a_heartbeat_is_data() {
    let heartbeat = SESSION
        .iter()
        .position(|received| received.json["channel"] == "heartbeats")
        .unwrap();
    let mut decoder = decoder();
    all(&mut decoder, frames().take(heartbeat - 1));
    let mut out = Vec::new();
    assert_eq!(
        decoder.decode(&SESSION[heartbeat].frame, &mut out).unwrap(),
        Decoded::Data
    );
    assert_eq!((count(&out, EventType::Gap), out.len()), (2, 2));
}

#[test]
fn a_message_that_cannot_be_decoded_leaves_a_gap() {
    let mut decoder = decoder();
    all(&mut decoder, frames().take(place(100)));
    let mut damaged = SESSION[place(100)].frame.clone();
    damaged.payload = damaged.payload.slice(..damaged.payload.len() - 5);
    assert!(decoder.decode(&damaged, &mut Vec::new()).is_err());
    let events = all(&mut decoder, frames().skip(place(101)));
    assert_eq!(count(&events, EventType::Gap), 2);
}

#[test]
fn a_message_of_a_channel_that_is_not_decoded_is_no_loss() {
    let mut decoder = decoder();
    all(&mut decoder, frames().take(place(100)));
    let mut other = SESSION[place(100)].frame.clone();
    let text = String::from_utf8(other.payload.to_vec()).unwrap();
    let channel = SESSION[place(100)].json["channel"].as_str().unwrap();
    other.payload = text.replacen(channel, "futures_balance_summary", 1).into();
    let error = decoder.decode(&other, &mut Vec::new()).unwrap_err();
    assert!(error.to_string().contains("channel=futures_balance_summary"), "{error}");
    let events = all(&mut decoder, frames().skip(place(101)));
    assert_eq!(count(&events, EventType::Gap), 0);
}

#[test]
fn a_new_connection_begins_at_0_and_messages_out_of_order_pass() {
    let mut decoder = decoder();
    all(&mut decoder, frames().take(place(100)));
    let again = all(&mut decoder, frames().skip(1));
    assert_eq!(count(&again, EventType::Gap), 0, "numbers restart at 0");
    let (late, early) = (&SESSION[place(50)].frame, &SESSION[place(617)].frame);
    let events = all(&mut decoder, [late, early]);
    assert_eq!(count(&events, EventType::Gap), 0);
}

#[test]
fn a_resumed_decoder_goes_on_as_if_nothing_had_happened() {
    // Without one message, so that the state matters.
    let lost = place(300);
    let frames: Vec<_> = (0..SESSION.len())
        .filter(|at| *at != lost)
        .map(|at| &SESSION[at].frame)
        .collect();
    let straight = all(&mut decoder(), frames.iter().copied());
    for cut in [0, 1, 20, lost, frames.len() - 1] {
        let mut first = decoder();
        let mut events = all(&mut first, frames[..cut].iter().copied());
        let state = first.snapshot().unwrap().unwrap();
        let mut second = decoder();
        second.restore(&state).unwrap();
        assert_eq!(second.snapshot().unwrap().unwrap(), state);
        events.extend(all(&mut second, frames[cut..].iter().copied()));
        assert!(events == straight, "cut at {cut}");
    }
    assert!(decoder().restore("[]").is_err());
}
