//! Damaged and arbitrary bytes.

use super::*;

/// A short recorded frame of each channel.
fn samples() -> Vec<Vec<u8>> {
    let mut samples: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for received in SESSION.iter().filter(|received| received.frame.payload.len() < 4_000) {
        let key = format!("{} {}", received.json["channel"], received.json["events"][0]["type"]);
        samples.entry(key).or_insert_with(|| received.frame.payload.to_vec());
    }
    let others = short_fixtures().into_iter().map(|(_, payload)| payload);
    samples.into_values().chain(others).collect()
}

/// The first frame of each fixture of moderate length, with its channel.
fn short_fixtures() -> Vec<(String, Vec<u8>)> {
    let first = fixtures("coinbase").into_iter().map(|file| {
        let payload = fixture("coinbase", &file).remove(0).payload.to_vec();
        (file.split('/').next().unwrap().to_owned(), payload)
    });
    first.filter(|(_, payload)| payload.len() < 4_000).collect()
}

fn damage(mut payload: Vec<u8>, edits: &[(proptest::sample::Index, u8)]) -> Vec<u8> {
    for (at, byte) in edits {
        let at = at.index(payload.len());
        payload[at] = *byte;
    }
    payload
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
        let payload = damage(sample, &edits);
        let cut = keep.index(payload.len() + 1);
        let mut decoder = decoder();
        for damaged in [&payload[..], &payload[..cut]] {
            let _ = one(&mut decoder, damaged);
        }
        // The first message of a connection decodes as it would have without them.
        let good = &SESSION[place(0)].frame;
        prop_assert_eq!(all(&mut decoder, [good]), all(&mut self::decoder(), [good]));
    }

    #[test]
    fn damaged_answers_never_panic_and_cost_nothing_else(
        (channel, sample) in proptest::sample::select(short_fixtures()),
        edits in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..4),
        keep in any::<proptest::sample::Index>(),
    ) {
        let payload = damage(sample.clone(), &edits);
        let cut = keep.index(payload.len() + 1);
        let mut decoder = of_channel(&channel);
        for damaged in [&payload[..], &payload[..cut]] {
            let _ = one(&mut decoder, damaged);
        }
        // But for the gap before a trade whose number is far above the damaged one's, and names that stay as learnt.
        let kinds = |decoder: &mut Decoder| {
            let (_, events) = one(decoder, &sample).unwrap();
            events.iter().map(Event::event_type).filter(|kind| *kind != EventType::Gap).collect::<Vec<_>>()
        };
        prop_assert_eq!(kinds(&mut decoder), kinds(&mut of_channel(&channel)));
    }
}
