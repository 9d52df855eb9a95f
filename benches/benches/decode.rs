//! Decoding, by kind of message: QiCore and a bare serde decode of the same frames.
#![allow(missing_docs, reason = "what the macros of criterion make")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use qicore_benches::decode::{KindDecode, KrakenSession};

fn kinds(criterion: &mut Criterion) {
    for mut workload in KindDecode::all().expect("the recordings lie in examples/data") {
        let mut group = criterion.benchmark_group(workload.kind.path());
        group.throughput(Throughput::Elements(workload.messages() as u64));
        group.bench_function("qicore", |bencher| {
            bencher.iter(|| workload.ours().expect("recorded frames decode"))
        });
        group.bench_function("serde", |bencher| {
            bencher.iter(|| workload.reference().expect("recorded frames decode"))
        });
    }
}

fn session(criterion: &mut Criterion) {
    let session = KrakenSession::new().expect("the recordings lie in examples/data");
    let mut group = criterion.benchmark_group("kraken/session");
    group.throughput(Throughput::Elements(session.messages as u64));
    for (name, verify) in [("verified", true), ("unverified", false)] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| session.ours(verify).expect("recorded frames decode"))
        });
    }
    group.bench_function("serde", |bencher| {
        bencher.iter(|| session.reference().expect("recorded frames decode"))
    });
}

criterion_group!(benches, kinds, session);
criterion_main!(benches);
