//! Whole pipelines from memory into a sink that does nothing.
#![allow(missing_docs, reason = "what the macros of criterion make")]

use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use qicore_benches::pipelines::{self, Chain, Ids};
use tokio::runtime::Runtime;

const EVENTS: u64 = 200_000;

fn bench(criterion: &mut Criterion, name: &str, runtime: &Runtime, lanes: u32, chain: Chain, ids: Ids) {
    let source = pipelines::source(&pipelines::trades(lanes, EVENTS, ids).expect("a sound configuration"));
    let events = EVENTS * u64::from(lanes);
    let mut group = criterion.benchmark_group("pipeline");
    group
        .throughput(Throughput::Elements(events))
        .sample_size(20)
        .measurement_time(Duration::from_secs(4));
    group.bench_function(name, |bencher| {
        let once = || pipelines::run(runtime, source.clone(), chain, events).expect("nothing fails in memory");
        bencher.iter_custom(|times| (0..times).map(|_| once()).sum());
    });
}

fn pipeline(criterion: &mut Criterion) {
    let one = pipelines::one_core().expect("a runtime");
    bench(criterion, "discard", &one, 1, Chain::None, Ids::BySymbol);
    bench(criterion, "chain", &one, 1, Chain::Full, Ids::BySymbol);
    bench(criterion, "chain-venue-ids", &one, 1, Chain::Full, Ids::ByVenue);
    let two = pipelines::cores(2).expect("a runtime");
    bench(criterion, "two-lanes/discard", &two, 2, Chain::None, Ids::BySymbol);
    bench(criterion, "two-lanes/chain", &two, 2, Chain::Full, Ids::BySymbol);
}

criterion_group!(benches, pipeline);
criterion_main!(benches);
