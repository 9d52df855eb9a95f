//! Events as messages: both encodings give back what they were given, whatever that is, and refuse everything else.

mod arbitrary;
mod hostile;
#[path = "../../../qicore-data/tests/one_of_each/mod.rs"]
mod one_of_each;
mod proto;

use proptest::prelude::*;
use qicore_data::{Decimal, Event, Level, Levels, Quote, Result};
use qicore_stores::messages::Encoding;

fn encoded(encoding: Encoding, event: &Event) -> Vec<u8> {
    let mut payload = Vec::new();
    encoding.encode(event, &mut payload).unwrap();
    payload
}

/// What is wrong with a Protobuf message.
#[track_caller]
fn refused(payload: &[u8]) -> String {
    Encoding::Protobuf.decode(payload).unwrap_err().to_string()
}

/// Equal decimals may differ in their digits; their `Debug` text has them all.
#[track_caller]
fn assert_same(decoded: Result<Event>, event: &Event) {
    let decoded = decoded.unwrap();
    assert_eq!(&decoded, event);
    assert_eq!(format!("{decoded:?}"), format!("{event:?}"));
}

#[test]
fn one_of_each_comes_back() {
    for event in one_of_each::one_of_each() {
        for encoding in Encoding::ALL {
            assert_same(encoding.decode(&encoded(*encoding, &event)), &event);
        }
    }
}

#[test]
fn json_is_the_normalised_form() {
    for event in one_of_each::one_of_each() {
        assert_eq!(encoded(Encoding::Json, &event), serde_json::to_vec(&event).unwrap());
    }
}

#[test]
fn media_types() {
    for encoding in Encoding::ALL {
        let told = encoding.content_type();
        for text in [told.to_owned(), told.to_uppercase(), format!(" {told} ; charset=utf-8")] {
            assert_eq!(Encoding::from_content_type(&text), Some(*encoding), "{text}");
        }
        // A pipeline file names it.
        let name = serde_json::to_value(encoding).unwrap();
        assert_eq!(serde_json::from_value::<Encoding>(name).unwrap(), *encoding);
    }
    for text in ["", "json", "application/avro", "application/json+zstd"] {
        assert_eq!(Encoding::from_content_type(text), None, "{text}");
    }
}

#[test]
fn a_message_is_appended() {
    let event = &one_of_each::one_of_each()[0];
    for encoding in Encoding::ALL {
        let mut out = b"before".to_vec();
        encoding.encode(event, &mut out).unwrap();
        assert_same(encoding.decode(out.strip_prefix(b"before").unwrap()), event);
    }
}

/// Lengths of one, two and three bytes.
#[test]
fn books_of_any_depth() {
    let mut event = one_of_each::one_of_each().remove(3);
    for depth in [0, 1, 10, 31, 32, 33, 500, 3_000] {
        let levels: Vec<_> = (0..depth)
            .map(|at| Level::new(Decimal::new(6_712_345 + at, 2), Decimal::new(at, 8)))
            .collect();
        for (bids, asks) in [(&levels[..], &levels[..]), (&levels[..], &[]), (&[], &levels[..])] {
            let qicore_data::Data::Book(book) = &mut event.data else {
                panic!("{event:?}");
            };
            book.levels = Levels::new(bids, asks);
            for encoding in Encoding::ALL {
                assert_same(encoding.decode(&encoded(*encoding, &event)), &event);
            }
        }
    }
}

#[test]
fn decimals_of_every_scale_and_sign() {
    let mantissas = [0, 1, 255, 1 << 31, (1 << 32) - 1, 1 << 63, 1 << 64, (1 << 96) - 1i128];
    let signed = mantissas.into_iter().flat_map(|mantissa| [mantissa, -mantissa]);
    for (mantissa, scale) in signed.flat_map(|mantissa| (0..=28).map(move |scale| (mantissa, scale))) {
        let value = Decimal::from_i128_with_scale(mantissa, scale);
        let mut event = one_of_each::one_of_each().remove(1);
        event.data = Quote {
            bid: value,
            bid_size: value,
            ask: value,
            ask_size: value,
        }
        .into();
        for encoding in Encoding::ALL {
            assert_same(encoding.decode(&encoded(*encoding, &event)), &event);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn every_event_comes_back(event in arbitrary::event()) {
        for encoding in Encoding::ALL {
            assert_same(encoding.decode(&encoded(*encoding, &event)), &event);
        }
    }
}
