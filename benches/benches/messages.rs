//! Messages of a broker: each encoding, from events and back.
#![allow(
    clippy::print_stdout,
    missing_docs,
    reason = "a bench, and what the macros of criterion make"
)]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use qicore::stores::messages::Encoding;
use qicore_benches::messages::Messages;

fn messages(criterion: &mut Criterion) {
    for workload in Messages::all().expect("sound names") {
        for &encoding in Encoding::ALL {
            let payloads = workload.encoded(encoding).expect("all kinds have a form");
            let bytes = payloads.iter().map(Vec::len).sum::<usize>() as f64 / payloads.len() as f64;
            println!("{} {encoding:?}: {bytes:.0} bytes a message", workload.name);
            let mut group = criterion.benchmark_group(format!("{}/{encoding:?}", workload.name).to_lowercase());
            group.throughput(Throughput::Elements(payloads.len() as u64));
            let mut out = Vec::with_capacity(1 << 20);
            group.bench_function("encode", |bencher| {
                bencher.iter(|| {
                    out.clear();
                    for event in &workload.events {
                        encoding
                            .encode(black_box(event), &mut out)
                            .expect("all kinds have a form");
                    }
                    black_box(&out);
                })
            });
            group.bench_function("decode", |bencher| {
                bencher.iter(|| {
                    for payload in &payloads {
                        black_box(encoding.decode(black_box(payload)).expect("what was encoded"));
                    }
                })
            });
        }
    }
}

criterion_group!(benches, messages);
criterion_main!(benches);
