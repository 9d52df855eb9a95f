//! File sinks and the plain way of writing the same, each to a durable file.
#![allow(missing_docs, reason = "what the macros of criterion make")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use qicore_benches::files::{self, Arrays};
use qicore_benches::pipelines::{self, Ids};

const EVENTS: u64 = 200_000;

fn sinks(criterion: &mut Criterion) {
    let temp = tempfile::tempdir().expect("a temporary folder");
    let (folder, file) = (temp.path().join("sink"), temp.path().join("plain"));
    let runtime = pipelines::one_core().expect("a runtime");
    let trades = pipelines::trades(1, EVENTS, Ids::BySymbol).expect("a sound configuration");
    let deliveries = files::deliveries(&trades[0]);
    files::parquet(&runtime, &folder, &deliveries).expect("a folder that can be written");
    let arrays = Arrays::of(&folder).expect("the file that was written");

    let mut group = criterion.benchmark_group("sink");
    group.throughput(Throughput::Elements(EVENTS)).sample_size(20);
    let mut bench = |name: &str, once: &dyn Fn() -> qicore_benches::Result<std::time::Duration>| {
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|times| (0..times).map(|_| once().expect("a folder that can be written")).sum());
        });
    };
    bench("jsonl/qicore", &|| files::jsonl(&runtime, &folder, &deliveries));
    bench("jsonl/serde_json", &|| files::plain_json(&file, &deliveries));
    bench("parquet/qicore", &|| files::parquet(&runtime, &folder, &deliveries));
    bench("parquet/arrow", &|| arrays.write(&file));
}

criterion_group!(benches, sinks);
criterion_main!(benches);
