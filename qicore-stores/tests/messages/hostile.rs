//! Newer messages, damaged ones and arbitrary bytes.

use proptest::prelude::*;
use prost_reflect::prost::Message;
use prost_reflect::{DynamicMessage, Value};
use qicore_data::{Data, Event, TradeId};
use qicore_stores::messages::Encoding;

use super::one_of_each::one_of_each;
use super::{arbitrary, assert_same, encoded, proto, refused};

/// Messages of a version that has more than this one.
fn newer() -> prost_reflect::DescriptorPool {
    proto::compiled(|text| {
        [
            (
                "oneof data {",
                "string region = 40; Decimal fee = 41;\n oneof data { Trade liquidation = 18;",
            ),
            (
                "message Trade {",
                "message Trade { Decimal fee = 20; repeated string flags = 21; fixed32 checksum = 22;",
            ),
            ("message Decimal {", "message Decimal { uint32 wider = 4;"),
            ("message Levels {", "message Levels { repeated uint32 bid_orders = 9;"),
            ("SIDE_SELL = 2;", "SIDE_SELL = 2; SIDE_AUCTION = 3;"),
        ]
        .iter()
        .fold(text, |text, (from, to)| {
            assert!(text.contains(from), "{from}");
            text.replacen(from, to, 1)
        })
    })
}

/// An event as the newer version has it, after `change`.
fn changed(event: &Event, change: impl FnOnce(&mut DynamicMessage)) -> Vec<u8> {
    let payload = encoded(Encoding::Protobuf, event);
    let mut message = DynamicMessage::decode(proto::message(&newer(), "Event"), &payload[..]).unwrap();
    change(&mut message);
    message.encode_to_vec()
}

/// The message in a field.
fn within<'a>(message: &'a mut DynamicMessage, field: &str) -> &'a mut DynamicMessage {
    let Value::Message(within) = message.get_field_by_name_mut(field).unwrap() else {
        panic!("{field}");
    };
    within
}

fn set(message: &mut DynamicMessage, field: &str, value: Value) {
    message.set_field_by_name(field, value);
}

fn trade() -> Event {
    one_of_each().remove(0)
}

#[test]
fn newer_fields_are_ignored() {
    let texts = || Value::List(vec![Value::String("x".into()); 3]);
    let payload = changed(&trade(), |message| {
        let price = within(within(message, "trade"), "price").clone();
        set(message, "region", Value::String("eu".into()));
        set(message, "fee", Value::Message(price.clone()));
        let trade = within(message, "trade");
        set(trade, "fee", Value::Message(price));
        set(trade, "flags", texts());
        set(trade, "checksum", Value::U32(7));
        set(within(trade, "price"), "wider", Value::U32(1));
    });
    assert_same(Encoding::Protobuf.decode(&payload), &trade());
    let book = one_of_each().remove(3);
    let payload = changed(&book, |message| {
        let levels = within(within(message, "book"), "levels");
        set(levels, "bid_orders", Value::List(vec![Value::U32(300)]));
    });
    assert_same(Encoding::Protobuf.decode(&payload), &book);

    let mut json = serde_json::to_value(trade()).unwrap();
    json["fee"] = serde_json::json!({"price": ["0.1", {}], "type": "maker"});
    assert_same(Encoding::Json.decode(json.to_string().as_bytes()), &trade());
}

#[test]
fn newer_words_are_not_read_as_others() {
    let payload = changed(&trade(), |message| {
        set(within(message, "trade"), "side", Value::EnumNumber(3))
    });
    assert!(
        refused(&payload).contains("the value 3, which this version does not know"),
        "{}",
        refused(&payload)
    );
    assert!(refused(&payload).contains("Trade.side"), "{}", refused(&payload));
    let payload = changed(&trade(), |message| {
        let trade = within(message, "trade").clone();
        set(message, "liquidation", Value::Message(trade));
    });
    assert!(
        refused(&payload).contains("without data of a kind that this version knows"),
        "{}",
        refused(&payload)
    );
    let candle = one_of_each().remove(4);
    let payload = changed(&candle, |message| {
        set(within(message, "candle"), "timeframe", Value::String("2d".into()));
    });
    assert!(
        refused(&payload).contains("unknown timeframe \"2d\""),
        "{}",
        refused(&payload)
    );

    let json = serde_json::to_string(&trade()).unwrap();
    for (from, to) in [
        ("\"buy\"", "\"auction\""),
        ("\"type\":\"trade\"", "\"type\":\"liquidation\""),
    ] {
        assert!(json.contains(from));
        assert!(
            Encoding::Json.decode(json.replace(from, to).as_bytes()).is_err(),
            "{to}"
        );
    }
}

#[test]
fn what_is_wrong_is_told() {
    type Change = fn(&mut DynamicMessage);
    let cases: [(&str, &str, Change); 8] = [
        ("Event.exchange", "the field is missing", |message| {
            message.clear_field_by_name("exchange")
        }),
        ("Event.timestamp", "the field is missing", |message| {
            message.clear_field_by_name("timestamp")
        }),
        ("Event.symbol", "BASE/QUOTE", |message| {
            set(message, "symbol", Value::String("BTCUSD".into()))
        }),
        ("Event.source", "not a name", |message| {
            set(message, "source", Value::String("two words".into()))
        }),
        ("Event.source", "not a name", |message| {
            set(message, "source", Value::String("x".repeat(100_000)))
        }),
        ("Trade.size", "the field is missing", |message| {
            within(message, "trade").clear_field_by_name("size")
        }),
        ("Trade.price", "29 digits behind the point", |message| {
            set(within(within(message, "trade"), "price"), "sign_scale", Value::U32(58));
        }),
        ("Trade.id", "a number or a text", |message| {
            within(within(message, "trade"), "id").clear_field_by_name("number");
        }),
    ];
    for (field, what, change) in cases {
        let told = refused(&changed(&trade(), change));
        assert!(told.contains(field) && told.contains(what), "{told}");
        assert!(told.len() < 500, "{told}");
    }
    let book = one_of_each().remove(3);
    let uneven: [Change; 4] = [
        |levels| levels.clear_field_by_name("bid_prices"),
        |levels| levels.clear_field_by_name("bid_sizes"),
        |levels| within(levels, "bid_sizes").clear_field_by_name("low"),
        |levels| set(within(levels, "bid_sizes"), "high", Value::List(vec![Value::U32(0); 2])),
    ];
    for change in uneven {
        let told = refused(&changed(&book, |message| {
            change(within(within(message, "book"), "levels"))
        }));
        assert!(
            told.contains("columns of different lengths") && told.contains("Book.levels"),
            "{told}"
        );
    }
}

/// Fields by hand: what no encoder writes.
#[test]
fn malformed_fields() {
    let whole = encoded(Encoding::Protobuf, &trade());
    let cases: [(&str, &[u8]); 9] = [
        ("comes twice", &[0x0a, 1, b'x']),
        ("Varint where LengthDelimited is to be", &[0x08, 1]),
        ("cut short", &[0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f]),
        (
            "cut short",
            &[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
        ),
        ("underflow", &[0xa2, 0x06, 0xff, 0xff, 0xff, 0xff, 0x0f]),
        (
            "varint",
            &[0x30, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
        ),
        ("tag", &[0x00]),
        ("wire type", &[0x0f]),
        ("data of two kinds", &encoded_data(&one_of_each()[1])),
    ];
    for (what, field) in cases {
        let told = refused(&[field, &whole[..]].concat());
        assert!(told.contains(what), "{told}, not {what}");
        assert!(
            Encoding::Protobuf.decode(&[&whole[..], field].concat()).is_err(),
            "{what}"
        );
    }
    // A group in a group in a group …
    let groups = [&whole[..], &[0xa3, 0x06].repeat(100_000)].concat();
    assert!(refused(&groups).contains("recursion"), "{}", refused(&groups));
}

/// The data of an event without its header.
fn encoded_data(event: &Event) -> Vec<u8> {
    let mut message = DynamicMessage::decode(
        proto::message(&newer(), "Event"),
        &encoded(Encoding::Protobuf, event)[..],
    )
    .unwrap();
    for field in ["exchange", "symbol", "timestamp", "received", "source", "quality"] {
        message.clear_field_by_name(field);
    }
    message.encode_to_vec()
}

/// Another encoder may write numbers as text: they are the same ids.
#[test]
fn ids_are_read_as_their_text() {
    for (text, id) in [("7", TradeId::Number(7)), ("007", TradeId::new("007"))] {
        let payload = changed(&trade(), |message| {
            set(
                within(within(message, "trade"), "id"),
                "text",
                Value::String(text.into()),
            );
        });
        let Data::Trade(read) = Encoding::Protobuf.decode(&payload).unwrap().data else {
            panic!("no trade");
        };
        assert_eq!(read.id, Some(id));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn arbitrary_bytes_never_panic(payload: Vec<u8>) {
        for encoding in Encoding::ALL {
            let _ = encoding.decode(&payload);
        }
    }

    #[test]
    fn damaged_messages_never_panic(
        event in arbitrary::event(),
        edits in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..4),
    ) {
        for encoding in Encoding::ALL {
            let mut payload = encoded(*encoding, &event);
            for (at, byte) in &edits {
                let at = at.index(payload.len());
                payload[at] = *byte;
            }
            let _ = encoding.decode(&payload);
        }
    }

    #[test]
    fn what_was_cut_short_is_no_event(event in arbitrary::event(), keep in any::<proptest::sample::Index>()) {
        for encoding in Encoding::ALL {
            let payload = encoded(*encoding, &event);
            let cut = &payload[..keep.index(payload.len())];
            prop_assert!(encoding.decode(cut).is_err());
        }
    }
}
