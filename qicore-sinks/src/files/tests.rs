//! Crashes and failures at every step: rows exactly once, and a checkpoint that agrees with them.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use qicore_data::{
    Checkpoint, Data, Delivery, Error, ErrorKind, Event, Lane, Position, Receipt, RetryAdvice, Sink, TradeId, WriterId,
};
use tempfile::TempDir;

use super::{FileSink, FilesConfig, Format};
use crate::testing::{DAY, trade};

#[path = "../../tests/read/mod.rs"]
mod read;

/// The deliveries of a run: events `after + 1` to `offset`, and whether a checkpoint comes with them. Event 250 is the
/// first of the next day.
const RUN: &[(u64, u64, bool)] = &[
    (0, 100, false),
    (100, 200, true),
    (200, 300, true),
    (300, 300, true),
    (300, 350, false),
    (350, 400, true),
];
const LAST: u64 = 400;

fn lane(name: &str) -> Lane {
    Lane::new(name)
}

/// Trades numbered `after + 1` to `offset`, a second apart, and the checkpoint at their end.
fn delivery(lane: &Lane, after: u64, offset: u64) -> Delivery {
    let events = (after + 1..=offset)
        .map(|id| trade(id, DAY + id as i64 * 1_000_000_000))
        .collect();
    let mut delivery = Delivery::of(lane.clone(), after, offset, events);
    delivery.checkpoint = Some(Arc::new(Checkpoint::new(lane.clone(), Position::at(offset))));
    delivery
}

fn step(lane: &Lane, after: u64, offset: u64, with_checkpoint: bool) -> Delivery {
    let events = (after + 1..=offset).map(|id| trade(id, if id < 250 { DAY } else { DAY + 86_400_000_000_000 }));
    let mut delivery = Delivery::of(lane.clone(), after, offset, events.collect());
    delivery.checkpoint = with_checkpoint.then(|| Arc::new(Checkpoint::new(lane.clone(), Position::at(offset))));
    delivery
}

fn config(root: &TempDir) -> FilesConfig {
    let mut config = FilesConfig::new(root.path());
    config.rotate_after = Duration::ZERO;
    config
}

/// Runs from the stored checkpoint to the end; `again` says which errors to try again after.
async fn run<F: Format>(sink: &FileSink<F>, again: fn(&Error) -> bool) -> Result<(), Error> {
    let lane = lane("ws:kraken/0");
    let mut stored = sink.open(&WriterId::new("test", "files")).await;
    while stored.as_ref().is_err_and(again) {
        stored = sink.open(&WriterId::new("test", "files")).await;
    }
    stored?;
    let resumed = loop {
        match sink.checkpoint(&lane).await {
            Err(error) if again(&error) => {}
            other => break other?.map_or(0, |checkpoint| checkpoint.position.offset),
        }
    };
    for &(after, offset, with_checkpoint) in RUN.iter().filter(|(after, ..)| *after >= resumed) {
        loop {
            match sink.write(&step(&lane, after, offset, with_checkpoint)).await {
                Err(error) if again(&error) => {}
                other => break assert!(other?.rejected.is_empty()),
            }
        }
    }
    while let Err(error) = sink.flush(&lane).await {
        if !again(&error) {
            return Err(error);
        }
    }
    sink.close().await
}

fn ids(root: &Path, format: &str) -> Vec<u64> {
    let id = |event: Event| match event.data {
        Data::Trade(trade) => match trade.id {
            Some(TradeId::Number(id)) => id,
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    };
    let mut ids: Vec<_> = read::events(root, format).into_iter().map(id).collect();
    ids.sort_unstable();
    ids
}

fn staged(root: &Path, format: &str) -> usize {
    let lanes = root.join("_qicore").join(format).join("staging");
    let lanes = std::fs::read_dir(lanes).unwrap();
    lanes
        .map(|lane| std::fs::read_dir(lane.unwrap().path()).unwrap().count())
        .sum()
}

fn all_rows() -> Vec<u64> {
    (1..=LAST).collect()
}

fn never(_: &Error) -> bool {
    false
}

/// Kills a run before each of its steps (or every few of them), checks what a restart finds, and lets that go on to the end.
async fn killed_at_every_step<F: Format>(stride: usize, new: impl Fn(&TempDir) -> FileSink<F>) {
    for at in (0..).step_by(stride) {
        let root = TempDir::new().unwrap();
        let killed = new(&root);
        killed.shared.disk.faults.kill_at(at);
        let ended = run(&killed, never).await;
        drop(killed);
        if ended.is_ok() {
            assert!(at > 40, "the faults are not met: {at}");
            return;
        }
        let again = new(&root);
        let stored = again.checkpoint(&lane("ws:kraken/0")).await.unwrap();
        let held = stored.map_or(0, |checkpoint| checkpoint.position.offset);
        assert_eq!(
            ids(root.path(), F::NAME),
            (1..=held).collect::<Vec<_>>(),
            "after a kill at step {at}"
        );
        run(&again, never).await.unwrap();
        assert_eq!(ids(root.path(), F::NAME), all_rows(), "after a kill at step {at}");
        assert_eq!(staged(root.path(), F::NAME), 0);
    }
}

/// Lets the disk be full at each step of a run, once. What cannot be tried again is taken up by a restart.
async fn full_at_every_step<F: Format>(stride: usize, new: impl Fn(&TempDir) -> FileSink<F>) {
    for at in (0..).step_by(stride) {
        let root = TempDir::new().unwrap();
        let full = new(&root);
        full.shared.disk.faults.full_at(at);
        let ended = run(&full, |error| {
            error.retry() == RetryAdvice::Backoff && error.kind() == ErrorKind::Io
        })
        .await;
        let met = full.shared.disk.faults.taken() > at;
        drop(full);
        if let Err(error) = ended {
            assert_eq!(error.operation(), "files.sync", "{error}");
            run(&new(&root), never).await.unwrap();
        }
        assert_eq!(ids(root.path(), F::NAME), all_rows(), "with a full disk at step {at}");
        if !met {
            return;
        }
    }
}

mod jsonl {
    use super::super::manifest::Manifest;
    use super::super::place::Place;
    use super::*;
    use crate::Jsonl;

    fn sink(root: &TempDir) -> Jsonl {
        Jsonl::from_config(config(root))
    }

    #[tokio::test]
    async fn a_kill_at_any_step() {
        killed_at_every_step(1, sink).await;
    }

    #[tokio::test]
    async fn a_kill_at_any_step_of_one_publication() {
        killed_at_every_step(1, |root| sink(root).rotate_after(Duration::from_secs(3600))).await;
    }

    #[tokio::test]
    async fn a_full_disk_at_any_step() {
        full_at_every_step(1, sink).await;
    }

    /// A root where a run was killed between its first manifest and the renames of the files that this publishes.
    async fn half_published(from: &mut usize) -> TempDir {
        loop {
            let root = TempDir::new().unwrap();
            let killed = sink(&root).rotate_after(Duration::from_secs(3600));
            killed.shared.disk.faults.kill_at(*from);
            run(&killed, never).await.unwrap_err();
            let manifest = Place::new(root.path(), "jsonl", &lane("ws:kraken/0")).manifest;
            if manifest.exists() {
                assert!(read::files(root.path(), "jsonl").is_empty());
                return root;
            }
            *from += 1;
        }
    }

    #[tokio::test]
    async fn a_kill_at_any_step_of_the_recovery() {
        let mut from = 0;
        for at in 0.. {
            let root = half_published(&mut from).await;
            let second = sink(&root);
            second.shared.disk.faults.kill_at(at);
            let recovered = second.checkpoint(&lane("ws:kraken/0")).await.is_ok();
            drop(second);
            run(&sink(&root), never).await.unwrap();
            assert_eq!(
                ids(root.path(), "jsonl"),
                all_rows(),
                "after a kill at step {at} of the recovery"
            );
            if recovered {
                assert!(at > 5, "the faults are not met");
                return;
            }
        }
    }

    #[tokio::test]
    async fn a_final_name_that_is_taken() {
        let root = half_published(&mut 0).await;
        let lane = lane("ws:kraken/0");
        let place = Place::new(root.path(), "jsonl", &lane);
        let manifest = Manifest::read(&place.manifest, &lane).unwrap();
        assert_eq!(manifest.files.len(), 2);
        let [first, second] = [0, 1].map(|at| {
            (
                place.staging.join(&manifest.files[at].staged),
                root.path().join(&manifest.files[at].file),
            )
        });
        // A copy of the first is fine (a rename that a crash has undone), another file in the place of the second is not.
        std::fs::create_dir_all(first.1.parent().unwrap()).unwrap();
        std::fs::copy(&first.0, &first.1).unwrap();
        std::fs::create_dir_all(second.1.parent().unwrap()).unwrap();
        std::fs::write(&second.1, "mine\n").unwrap();
        let error = sink(&root).checkpoint(&lane).await.unwrap_err();
        assert!(error.to_string().contains("never overwritten"), "{error}");
        assert_eq!(std::fs::read_to_string(&second.1).unwrap(), "mine\n");
        std::fs::remove_file(&second.1).unwrap();
        run(&sink(&root), never).await.unwrap();
        assert_eq!(ids(root.path(), "jsonl"), all_rows());
    }

    #[tokio::test]
    async fn two_sinks_on_one_lane() {
        let root = TempDir::new().unwrap();
        let lane = lane("l");
        let (one, two) = (sink(&root).rotate_after(Duration::from_secs(3600)), sink(&root));
        one.write(&delivery(&lane, 0, 10)).await.map(drop).unwrap();
        let error = two.checkpoint(&lane).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.to_string().contains("another process"), "{error}");
        // Once the first has published, the lane can move.
        one.flush(&lane).await.unwrap();
        assert_eq!(two.checkpoint(&lane).await.unwrap().unwrap().position.offset, 10);
        two.write(&delivery(&lane, 10, 20)).await.map(drop).unwrap();
        let error = one.write(&delivery(&lane, 10, 20)).await.unwrap_err();
        assert!(error.to_string().contains("in the meantime"), "{error}");
        assert_eq!(ids(root.path(), "jsonl"), (1..=20).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn a_call_that_is_given_up() {
        let root = TempDir::new().unwrap();
        let lane = lane("l");
        let sink = sink(&root);
        sink.checkpoint(&lane).await.unwrap();
        let given_up = delivery(&lane, 0, 10);
        {
            let mut write = std::pin::pin!(sink.write(&given_up));
            // One poll starts the work on its thread; the answer is never heard.
            let polled = futures_poll(write.as_mut()).await;
            assert!(polled.is_pending());
        }
        let error = sink.write(&delivery(&lane, 10, 20)).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.retry()),
            (ErrorKind::Abandoned, RetryAdvice::Never)
        );
        // Taking the lane up anew tells how far it came.
        let held = sink.checkpoint(&lane).await.unwrap().map_or(0, |at| at.position.offset);
        assert_eq!(ids(root.path(), "jsonl"), (1..=held).collect::<Vec<_>>());
    }

    async fn futures_poll<T>(mut future: std::pin::Pin<&mut impl Future<Output = T>>) -> std::task::Poll<T> {
        std::future::poll_fn(|context| std::task::Poll::Ready(future.as_mut().poll(context))).await
    }

    #[tokio::test]
    async fn a_delivery_out_of_turn() {
        let root = TempDir::new().unwrap();
        let lane = lane("l");
        let sink = sink(&root);
        sink.checkpoint(&lane).await.unwrap();
        sink.shared.disk.faults.full_at(sink.shared.disk.faults.taken() + 2);
        assert!(sink.write(&delivery(&lane, 0, 10)).await.is_err());
        let error = sink.write(&delivery(&lane, 10, 20)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Internal, "{error}");
        let receipt: Receipt = sink.write(&delivery(&lane, 0, 10)).await.unwrap();
        assert!(!receipt.staged);
    }
}

#[cfg(feature = "csv")]
#[tokio::test]
async fn csv_killed_or_full_at_any_step() {
    killed_at_every_step(7, |root| crate::Csv::from_config(config(root))).await;
    full_at_every_step(7, |root| crate::Csv::from_config(config(root))).await;
}

#[cfg(feature = "parquet")]
#[tokio::test]
async fn parquet_killed_or_full_at_any_step() {
    let sink = |root: &TempDir| {
        crate::Parquet::new(root.path())
            .rotate_after(Duration::ZERO)
            .row_group(64, 1 << 20)
    };
    killed_at_every_step(5, sink).await;
    full_at_every_step(5, sink).await;
}
