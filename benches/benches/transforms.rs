//! Single transforms on one core.
#![allow(missing_docs, reason = "what the macros of criterion make")]

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use qicore::prelude::*;
use qicore::{EventType, Instrument, InstrumentKind, Output, Tables};
use qicore_benches::rows;

const BATCH: usize = 2048;
const INSTRUMENTS: usize = 5_000;

/// Candles of 5,000 instruments, minute by minute, and a table that lists all of them.
fn market() -> (Vec<Vec<Event>>, Tables) {
    let name = |number: usize| format!("I{number:04}/USDT").parse().expect("a sound name");
    let symbols: Vec<Symbol> = (0..INSTRUMENTS).map(name).collect();
    let mut candles = rows::events(EventType::Candle, (8 * INSTRUMENTS) as u64).expect("sound names");
    // No neighbour in memory is a neighbour in time.
    for (at, candle) in candles.iter_mut().enumerate() {
        candle.symbol = symbols[at * 7919 % INSTRUMENTS];
    }
    let tables = Tables::new(["instruments"]);
    let described: Vec<_> = symbols.iter().map(|symbol| describe(&candles[0], *symbol)).collect();
    tables.instruments("instruments").expect("is there").update(&described);
    (candles.chunks(BATCH).map(<[_]>::to_vec).collect(), tables)
}

fn describe(like: &Event, symbol: Symbol) -> Event {
    let instrument = Instrument {
        native: symbol.as_str().parse().expect("a sound name"),
        base: symbol.base().parse().expect("a sound name"),
        quote: symbol.quote().parse().expect("a sound name"),
        kind: InstrumentKind::Spot,
        active: true,
        price_step: "0.01".parse().ok(),
        size_step: "0.00000001".parse().ok(),
    };
    Event {
        symbol,
        data: instrument.into(),
        ..like.clone()
    }
}

fn bench(criterion: &mut Criterion, name: &str, batches: &[Vec<Event>], transform: &mut dyn Transform) {
    let events: usize = batches.iter().map(Vec::len).sum();
    let mut group = criterion.benchmark_group("transforms");
    group.throughput(Throughput::Elements(events as u64));
    group.bench_function(name, |bencher| {
        bencher.iter_batched(
            || batches.to_vec(),
            |batches| {
                let through = |events| {
                    let mut out = Output::default();
                    transform.apply(events, &mut out).expect("nothing fails in memory");
                    out.events
                };
                batches.into_iter().map(through).collect::<Vec<_>>()
            },
            BatchSize::LargeInput,
        );
    });
}

fn transforms(criterion: &mut Criterion) {
    let (batches, tables) = market();
    bench(criterion, "map/nothing", &batches, &mut Map::new("nothing", Some));
    bench(criterion, "validate", &batches, &mut Validate::default());
    let config = EnrichConfig::default().instruments("instruments");
    let mut enrich = |name, config| {
        let mut enrich = Enrich::new(config).expect("a sound configuration");
        enrich.tables(&tables).expect("the table is there");
        bench(criterion, name, &batches, &mut enrich);
    };
    enrich("enrich", config.clone());
    enrich("enrich/steps", config.off_step(qicore::transform::enrich::Action::Mark));
}

criterion_group!(benches, transforms);
criterion_main!(benches);
