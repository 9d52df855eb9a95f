//! The flat columns: every kind of event as cells and as their texts, and back.

mod one_of_each;

use std::collections::BTreeSet;

use one_of_each::one_of_each;
use proptest::prelude::*;
use qicore_data::columns::{Cell, Kind, columns, event};
use qicore_data::{Data, Decimal, Error, ErrorKind, Event, EventType, Result, Timestamp, TradeId};

fn through_texts(of: &Event) -> Result<Event> {
    let layout = columns(of.event_type());
    let texts: Vec<_> = layout
        .iter()
        .map(|column| {
            let mut text = String::new();
            column.cell(of).push_text(&mut text);
            text
        })
        .collect();
    event(of.event_type(), |at| layout[at].kind.parse(&texts[at]))
}

#[test]
fn events_survive_their_cells() {
    for of in one_of_each() {
        let layout = columns(of.event_type());
        let back = event(of.event_type(), |at| Ok(layout[at].cell(&of))).unwrap();
        assert_eq!(back, of);
        assert_eq!(through_texts(&of).unwrap(), of);
    }
}

/// A text or a decimal where it lies is what its cell says, and there is none where the cell is something else.
#[test]
fn values_where_they_lie_are_those_of_cells() {
    let all = one_of_each();
    for (of, other) in all.iter().flat_map(|of| all.iter().map(move |other| (of, other))) {
        for column in columns(of.event_type()) {
            let cell = column.cell(other);
            let text = match &cell {
                Cell::Text(text) => Some(&**text),
                _ => None,
            };
            let decimal = match &cell {
                Cell::Decimal(decimal) => Some(decimal),
                _ => None,
            };
            assert_eq!(
                (column.text(other), column.decimal(other)),
                (text, decimal),
                "{}",
                column.name
            );
        }
    }
}

#[test]
fn every_type_has_its_json_fields_as_columns() {
    let mut seen = BTreeSet::new();
    for of in one_of_each() {
        seen.insert(of.event_type());
        let names: Vec<_> = columns(of.event_type()).iter().map(|column| column.name).collect();
        assert_eq!(
            names[..6],
            ["exchange", "symbol", "timestamp", "received", "source", "quality"]
        );
        assert_eq!(
            names.iter().collect::<BTreeSet<_>>().len(),
            names.len(),
            "a name twice in {names:?}"
        );
        let json = serde_json::to_value(&of).unwrap();
        for field in json.as_object().unwrap().keys() {
            assert!(
                field == "type" || field == "metadata" || names.contains(&field.as_str()),
                "{field}"
            );
        }
    }
    assert_eq!(seen.len(), EventType::ALL.len());
}

#[test]
fn a_column_knows_its_kind_and_whether_it_is_required() {
    for of in one_of_each() {
        for column in columns(of.event_type()) {
            let kind = match column.cell(&of) {
                Cell::Absent => {
                    assert!(!column.required, "{}", column.name);
                    continue;
                }
                Cell::Text(_) | Cell::Digits(_) => Kind::Text,
                Cell::Decimal(_) => Kind::Decimal,
                Cell::Time(_) => Kind::Time,
                Cell::Count(_) => Kind::Count,
                Cell::Flag(_) => Kind::Flag,
                Cell::Levels(_) => Kind::Levels,
                Cell::Json(_) => Kind::Json,
            };
            assert_eq!(kind, column.kind, "{}", column.name);
        }
    }
}

#[test]
fn a_column_of_another_type_is_absent() {
    let events = one_of_each();
    for of in &events {
        for other in &events {
            for column in &columns(of.event_type())[6..] {
                assert!(of.event_type() == other.event_type() || column.cell(other) == Cell::Absent);
            }
        }
    }
}

#[test]
fn what_does_not_fit_is_told_by_its_column() {
    let trade = &one_of_each()[0];
    let layout = columns(EventType::Trade);
    let with = |name: &str, cell: fn() -> Cell<'static>| -> Error {
        let read = |at: usize| {
            Ok(if layout[at].name == name {
                cell()
            } else {
                layout[at].cell(trade)
            })
        };
        event(EventType::Trade, read).unwrap_err()
    };
    for (name, cell, told) in [
        ("price", (|| Cell::Absent) as fn() -> Cell<'static>, "missing"),
        ("price", || Cell::Flag(true), "not a decimal"),
        ("side", || Cell::Text("up".into()), "buy, sell"),
        ("symbol", || Cell::Text("BTC".into()), "BASE/QUOTE"),
    ] {
        let error = with(name, cell);
        assert_eq!(error.kind(), ErrorKind::Decode);
        assert!(
            error.to_string().contains(told) && error.to_string().contains(name),
            "{error}"
        );
    }
    for (kind, text) in [
        (Kind::Decimal, "1,5"),
        (Kind::Time, "2026-08-09"),
        (Kind::Count, "-1"),
        (Kind::Flag, "yes"),
        (Kind::Levels, "[[1,2]]"),
        (Kind::Json, "[]"),
    ] {
        assert_eq!(
            kind.parse(text).unwrap_err().kind(),
            ErrorKind::Decode,
            "{kind:?} {text}"
        );
    }
}

#[test]
fn an_empty_message_stays_empty() {
    let mut alert = one_of_each().pop().unwrap();
    let Data::Alert(data) = &mut alert.data else {
        panic!("the last is the alert")
    };
    data.message = "".into();
    assert_eq!(through_texts(&alert).unwrap(), alert);
}

proptest! {
    #[test]
    fn values_survive_their_cells_and_texts(
        id in "[0-9a-f-]{1,40}",
        (lo, mid, hi, scale) in (any::<u32>(), any::<u32>(), any::<u32>(), 0u32..=28),
        nanos: i64,
        received: Option<i64>,
    ) {
        let mut trade = one_of_each().remove(0);
        trade.timestamp = Timestamp::from_nanos(nanos);
        trade.received = received.map(Timestamp::from_nanos);
        let Data::Trade(data) = &mut trade.data else { unreachable!("the first is the trade") };
        data.id = Some(TradeId::new(&id));
        data.price = Decimal::from_parts(lo, mid, hi, false, scale);
        let layout = columns(EventType::Trade);
        prop_assert_eq!(&event(EventType::Trade, |at| Ok(layout[at].cell(&trade))).unwrap(), &trade);
        prop_assert_eq!(&through_texts(&trade).unwrap(), &trade);
    }

    #[test]
    fn arbitrary_text_never_panics(text in "\\PC{0,40}") {
        for kind in [Kind::Text, Kind::Decimal, Kind::Time, Kind::Count, Kind::Flag, Kind::Levels, Kind::Json] {
            let _ = kind.parse(&text);
        }
    }
}
