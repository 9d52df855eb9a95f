//! Damaged and arbitrary bytes.

use super::*;

/// A recorded frame of each kind.
fn samples() -> Vec<Vec<u8>> {
    let files = fixtures("binance").into_iter().filter(|file| file.starts_with("ws_"));
    files
        .map(|file| fixture("binance", &file)[0].payload.to_vec())
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn arbitrary_bytes_never_panic(payload: Vec<u8>, url: bool) {
        let mut frame = Frame::new(1, payload);
        if url {
            frame = frame.channel("https://api.binance.com/api/v3/depth?symbol=BTCUSDT");
        }
        let _ = decoder().decode(&frame, &mut Vec::new());
    }

    #[test]
    fn damaged_frames_never_panic_and_cost_nothing_else(
        sample in proptest::sample::select(samples()),
        edits in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..4),
        keep in any::<proptest::sample::Index>(),
    ) {
        let mut payload = sample;
        for (at, byte) in edits {
            let at = at.index(payload.len());
            payload[at] = byte;
        }
        let cut = keep.index(payload.len() + 1);
        let mut decoder = decoder();
        for damaged in [&payload[..], &payload[..cut]] {
            let _ = one(&mut decoder, damaged);
        }
        // A frame of another symbol than any sample's decodes as it would have without them.
        let good = r#"{"stream":"bnbeur@aggTrade","data":{"e":"aggTrade","E":2,"s":"BNBEUR","a":1,"p":"1.0","q":"2.0","f":1,"l":1,"T":3,"m":true,"M":true}}"#;
        let (_, events): (_, Vec<Event>) = one(&mut decoder, good).unwrap();
        prop_assert_eq!(&events, &one(&mut self::decoder(), good).unwrap().1);
        prop_assert_eq!(events.len(), 1);
    }
}
