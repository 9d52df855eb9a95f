//! Any event that there can be, put together from the columns of its type.

use std::borrow::Cow;
use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use qicore_data::columns::{self, Cell, Column, Kind};
use qicore_data::{Decimal, Enrichment, Event, EventType, InstrumentKind, Label, Level, Timestamp};

pub(crate) fn event() -> impl Strategy<Value = Event> {
    select(EventType::ALL).prop_flat_map(event_of)
}

pub(crate) fn event_of(event_type: EventType) -> impl Strategy<Value = Event> {
    let cells: Vec<_> = columns::columns(event_type).iter().map(any_cell).collect();
    (cells, proptest::option::of(enrichment())).prop_map(move |(cells, enrichment)| {
        let mut event = columns::event(event_type, |at| Ok(cells[at].clone())).unwrap();
        event.enrichment = enrichment.map(Arc::new);
        event
    })
}

/// What an event may be enriched with; never nothing, which is no enrichment.
fn enrichment() -> impl Strategy<Value = Enrichment> {
    let label = || "[a-zA-Z0-9_:]{1,12}".prop_map(|text| Label::new(&text).unwrap());
    let names = [label(), label(), label(), label()].prop_map(|names| names.map(Some));
    let facts = (
        vec(label(), 0..4),
        select(InstrumentKind::ALL),
        any::<bool>(),
        any::<i64>(),
    );
    (names, facts, decimal(), decimal()).prop_map(|(names, (reasons, kind, active, at), price, size)| {
        let [native, base, quote, quote_currency] = names;
        Enrichment {
            validated_at: Some(Timestamp::from_nanos(at)),
            reasons,
            native,
            base,
            quote,
            quote_currency,
            kind: Some(kind).filter(|_| active),
            active: Some(active),
            price_step: Some(price),
            size_step: Some(size).filter(|_| active),
        }
    })
}

fn any_cell(column: &Column) -> BoxedStrategy<Cell<'static>> {
    let present = present(column);
    if column.required {
        return present;
    }
    prop_oneof![1 => Just(Cell::Absent), 3 => present].boxed()
}

fn present(column: &Column) -> BoxedStrategy<Cell<'static>> {
    let text = |text: String| Cell::Text(Cow::Owned(text));
    match (column.kind, column.name) {
        (Kind::Text, _) if !column.words.is_empty() => {
            select(column.words).prop_map(|word| Cell::Text(word.into())).boxed()
        }
        (Kind::Text, "symbol") => "[A-Z0-9é.]{1,10}/[A-Z]{1,5}".prop_map(text).boxed(),
        (Kind::Text, "message") => any::<String>().prop_map(text).boxed(),
        (Kind::Text, "id") => prop_oneof![any::<u64>().prop_map(|id| id.to_string()), "[0-9a-f-]{1,40}"]
            .prop_map(text)
            .boxed(),
        (Kind::Text, _) => "[a-z0-9_:ü]{1,20}".prop_map(text).boxed(),
        (Kind::Decimal, _) => decimal().prop_map(Cell::Decimal).boxed(),
        (Kind::Time, _) => any::<i64>()
            .prop_map(|at| Cell::Time(Timestamp::from_nanos(at)))
            .boxed(),
        (Kind::Count, "revision") => any::<u32>().prop_map(|count| Cell::Count(count.into())).boxed(),
        (Kind::Count, _) => prop_oneof![0..300u64, any::<u64>()].prop_map(Cell::Count).boxed(),
        (Kind::Flag, _) => any::<bool>().prop_map(Cell::Flag).boxed(),
        (Kind::Levels, _) => vec(
            (decimal(), decimal()).prop_map(|(price, size)| Level::new(price, size)),
            0..30,
        )
        .prop_map(|levels| Cell::Levels(Cow::Owned(levels)))
        .boxed(),
        (Kind::Json, _) => proptest::collection::btree_map(any::<String>(), any::<i64>(), 0..4)
            .prop_map(|all| {
                let object = all.into_iter().map(|(key, value)| (key, value.into()));
                Cell::Json(Cow::Owned(object.collect()))
            })
            .boxed(),
    }
}

fn decimal() -> impl Strategy<Value = Decimal> {
    let mantissa = prop_oneof![
        -100_000..100_000i128,
        any::<i64>().prop_map(i128::from),
        -(1 << 96) + 1..1i128 << 96
    ];
    (mantissa, 0..=28u32).prop_map(|(mantissa, scale)| Decimal::from_i128_with_scale(mantissa, scale))
}
