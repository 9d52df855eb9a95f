//! Damaged and arbitrary bytes.

use super::*;

/// A short recorded frame of each channel.
fn samples() -> Vec<Vec<u8>> {
    let mut samples: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for received in SESSION.iter().filter(|received| received.frame.payload.len() < 4_000) {
        let key = format!("{} {}", received.json["channel"], received.json["events"][0]["type"]);
        samples.entry(key).or_insert_with(|| received.frame.payload.to_vec());
    }
    let status = fixture("coinbase", "advanced_ws_status/jk_Symbol_3.json").remove(0);
    samples.into_values().chain([status.payload.to_vec()]).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn arbitrary_bytes_never_panic(payload: Vec<u8>) {
        let _ = one(&mut decoder(), &payload);
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
        // The first message of a connection decodes as it would have without them.
        let good = &SESSION[place(0)].frame;
        prop_assert_eq!(all(&mut decoder, [good]), all(&mut self::decoder(), [good]));
    }
}
