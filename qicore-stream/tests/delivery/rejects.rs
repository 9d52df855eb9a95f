//! What cannot be processed.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use qicore_data::{
    Batch, DeadLetter, Decoded, Decoder, ErrorKind, Event, Frame, Lane, LaneEnd, Output, Payload, Position, Result,
    Sink, Transform,
};
use qicore_stream::testkit::{Fault, FaultySink, Scripted, trades};

use super::store::{Mode, Store, id, ids};
use super::{pipeline, quick, quick_retries};

fn letters(path: &Path) -> Vec<DeadLetter> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Refuses every tenth trade.
#[derive(Clone)]
struct Tenth;

impl Transform for Tenth {
    fn name(&self) -> &str {
        "tenth"
    }

    fn apply(&mut self, events: Vec<Event>, out: &mut Output) -> Result<()> {
        for event in events {
            match id(&event) {
                Some(id) if id % 10 == 0 => out.reject(event, "tenth", format!("trade {id}")),
                _ => out.events.push(event),
            }
        }
        Ok(())
    }
}

#[tokio::test]
async fn refused_events_go_to_the_dead_letters_and_the_rest_lands() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("letters.jsonl");
    let store = Store::new(Mode::Transactional);
    let kept = store.kept();
    let source = Scripted::events("a", trades(0..1000), 64);
    let builder = pipeline(source.clone())
        .transform(Tenth)
        .sink(store)
        .dead_letters(&path);
    let stats = builder.build().unwrap().run().await.unwrap().stats;
    assert!(ids(&kept, "a").into_iter().eq((0..1000).filter(|id| id % 10 != 0)));
    assert_eq!((stats.total().rejected, stats.stages[0].rejected), (100, 100));

    let letters = letters(&path);
    let expected: Vec<_> = trades(0..1000)
        .into_iter()
        .filter(|event| id(event).unwrap().is_multiple_of(10))
        .collect();
    let found = letters.iter().map(|letter| match &letter.payload {
        Payload::Event { event } => Event::clone(event),
        other => panic!("{other:?}"),
    });
    assert_eq!(found.collect::<Vec<_>>(), expected);
    assert_eq!(
        (
            letters[1].stage.as_str(),
            letters[1].reason.as_str(),
            letters[1].error.as_str()
        ),
        ("tenth", "tenth", "trade 10")
    );
    assert_eq!(
        (letters[1].source.as_str(), letters[1].lane.as_str(), letters[1].offset),
        ("scripted", "a", 64)
    );
    assert!(
        source.commits().last().unwrap().finished,
        "a batch with rejects is done"
    );
}

#[tokio::test]
async fn rows_that_a_store_refuses_name_the_sink() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("letters.jsonl");
    let store = Store::new(Mode::Staged).batch(100);
    let (kept, whole) = (store.kept(), Store::new(Mode::Plain));
    let all = whole.kept();
    let faulty: Arc<dyn Sink> = Arc::new(FaultySink::new(Arc::new(store), |call| {
        (call == 1).then_some(Fault::RejectRow(3))
    }));
    let source = Scripted::events("a", trades(0..500), 50);
    let builder = pipeline(source)
        .sink_with(faulty, quick_retries().name("pg"))
        .sink(whole)
        .dead_letters(&path);
    let stats = builder.build().unwrap().run().await.unwrap().stats;
    let letters = letters(&path);
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].stage, "sink:pg");
    let Payload::Event { event } = &letters[0].payload else {
        panic!("{letters:?}")
    };
    let refused = id(event).unwrap();
    assert!(ids(&kept, "a").into_iter().eq((0..500).filter(|id| *id != refused)));
    assert!(ids(&all, "a").into_iter().eq(0..500), "the other sink has the row");
    assert_eq!((stats.sinks[0].rows, stats.sinks[0].rejected), (499, 1));
}

#[tokio::test]
async fn without_dead_letters_a_refused_row_fails_the_run() {
    let source = Scripted::events("a", trades(0..100), 64);
    let builder = pipeline(source.clone()).transform(Tenth).sink(Store::new(Mode::Plain));
    let error = builder.build().unwrap().run().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Rejected);
    assert!(error.to_string().contains(".dead_letters("), "{error}");
    assert_eq!(source.commits(), []);
}

#[tokio::test]
async fn dead_letters_that_cannot_be_written_fail_the_run() {
    let source = Scripted::events("a", trades(0..100), 64);
    let builder = pipeline(source.clone())
        .transform(Tenth)
        .sink(Store::new(Mode::Plain))
        .dead_letters("/dev/full");
    let error = builder.build().unwrap().run().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io, "{error}");
    assert_eq!(source.commits(), []);
}

/// One trade a frame, told by its id; anything else is no frame.
struct Ids;

impl Decoder for Ids {
    fn decode(&mut self, frame: &Frame, out: &mut Vec<Event>) -> Result<Decoded> {
        let text = std::str::from_utf8(&frame.payload).unwrap_or_default();
        if text == "heartbeat" {
            return Ok(Decoded::Control);
        }
        out.extend(trades(frame.offset..frame.offset + 1));
        let parsed = text.parse::<u64>();
        parsed
            .map(|_| Decoded::Data)
            .map_err(|error| qicore_data::Error::decode("ids.decode", error.to_string()))
    }
}

#[tokio::test]
async fn a_frame_that_cannot_be_decoded_is_kept_as_it_came() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("letters.jsonl");
    let payloads: [&[u8]; 6] = [b"1", b"heartbeat", b"nonsense", &[0xff, 0xfe], &[b'9'; 2000], b"6"];
    let frames = payloads
        .iter()
        .zip(1..)
        .map(|(payload, offset)| Frame::new(offset, payload.to_vec()));
    let batch = Batch::frames(Lane::new("a"), frames.collect(), Position::at(6)).ending(LaneEnd::Exhausted);
    let source = Scripted::new([batch]).decoder(|_| Box::new(Ids));
    let store = Store::new(Mode::Plain);
    let kept = store.kept();
    let builder = pipeline(source)
        .options(quick().max_frame_bytes(1000))
        .sink(store)
        .dead_letters(&path);
    let total = builder.build().unwrap().run().await.unwrap().stats.total();
    assert_eq!(
        ids(&kept, "a"),
        [1, 6],
        "what a refused frame had put out is taken back"
    );
    assert_eq!((total.messages, total.control, total.rejected), (6, 1, 3));

    let letters = letters(&path);
    let raw: Vec<_> = letters
        .iter()
        .map(|letter| letter.payload.to_frame(0).unwrap().payload)
        .collect();
    assert_eq!(raw, [payloads[2], payloads[3], payloads[4]]);
    assert_eq!(
        letters.iter().map(|letter| letter.offset).collect::<Vec<_>>(),
        [3, 4, 5]
    );
    assert!(letters[2].error.contains("max_frame_bytes"), "{}", letters[2].error);
}

/// Refuses the third row, once, and keeps checkpoints with the rest.
fn refusing(kept: &Arc<std::sync::Mutex<super::store::Kept>>, mode: Mode) -> Arc<dyn Sink> {
    let store = Store::on(Arc::clone(kept), mode).batch(100);
    Arc::new(FaultySink::new(Arc::new(store), |call| {
        (call == 0).then_some(Fault::RejectRow(3))
    }))
}

#[tokio::test]
async fn a_refused_row_is_not_covered_before_it_is_in_the_dead_letters() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("letters.jsonl");
    let kept = Store::new(Mode::Staged).kept();
    let source = Scripted::events("a", trades(0..500), 50);
    let run = |letters: Option<&Path>| {
        let builder = pipeline(source.clone()).sink_with(refusing(&kept, Mode::Staged), quick_retries());
        match letters {
            Some(path) => builder.dead_letters(path),
            None => builder,
        }
    };
    // The dead letters cannot be written: the store must not hold a checkpoint behind the row.
    run(Some(Path::new("/dev/full")))
        .build()
        .unwrap()
        .run()
        .await
        .unwrap_err();
    run(None).build().unwrap().run().await.unwrap_err();
    run(Some(&path)).build().unwrap().run().await.unwrap();
    let refused: Vec<_> = letters(&path).iter().map(|letter| letter.payload.clone()).collect();
    let [Payload::Event { event }] = &refused[..] else {
        panic!("{refused:?}")
    };
    let refused = id(event).unwrap();
    assert!(ids(&kept, "a").into_iter().eq((0..500).filter(|id| *id != refused)));
}

#[tokio::test]
async fn a_sink_that_covers_a_refused_row_too_early_breaks_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    let kept = Store::new(Mode::Transactional).kept();
    let source = Scripted::events("a", trades(0..50), 50);
    let builder = pipeline(source.clone()).sink_with(refusing(&kept, Mode::Transactional), quick_retries());
    let error = builder
        .dead_letters(folder.path().join("l"))
        .build()
        .unwrap()
        .run()
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Internal, "{error}");
}

#[tokio::test]
async fn the_id_of_a_letter_does_not_depend_on_how_batches_are_cut() {
    let folder = tempfile::tempdir().unwrap();
    let mut found = Vec::new();
    for size in [7, 64] {
        let path = folder.path().join(size.to_string());
        let source = Scripted::events("a", trades(0..200), size);
        let builder = pipeline(source)
            .transform(Tenth)
            .sink(Store::new(Mode::Plain))
            .dead_letters(&path);
        builder.build().unwrap().run().await.unwrap();
        found.push(
            letters(&path)
                .into_iter()
                .map(|letter| letter.id)
                .collect::<std::collections::BTreeSet<_>>(),
        );
    }
    assert_eq!(found[0].len(), 20);
    assert_eq!(found[0], found[1]);
}

/// Equal rows in different batches, and a run that is cut off: each row has its letter, and it is the same in every run.
#[tokio::test]
async fn equal_rows_have_letters_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let equal = || {
        trades(0..200)
            .iter()
            .map(|_| trades(10..11).remove(0))
            .collect::<Vec<_>>()
    };
    let ids = |path: &Path| {
        letters(path)
            .into_iter()
            .map(|letter| letter.id)
            .collect::<std::collections::BTreeSet<_>>()
    };
    let run = |size, path: &Path, sink: Arc<dyn Sink>| {
        let source = Scripted::events("a", equal(), size);
        let builder = pipeline(source).options(quick().checkpoint_every(Duration::ZERO));
        let builder = builder
            .transform(Tenth)
            .sink_with(sink, quick_retries())
            .dead_letters(path);
        builder.build().unwrap().start()
    };
    let whole = folder.path().join("whole");
    run(64, &whole, Arc::new(Store::new(Mode::Plain))).wait().await.unwrap();
    assert_eq!((letters(&whole).len(), ids(&whole).len()), (200, 200));

    let (broken, kept) = (folder.path().join("broken"), Store::new(Mode::Transactional).kept());
    let stuck = FaultySink::new(Arc::new(Store::on(Arc::clone(&kept), Mode::Transactional)), |call| {
        (call == 5).then_some(Fault::StopAfter)
    });
    let handle = run(7, &broken, Arc::new(stuck));
    let lines = |path: &Path| std::fs::read_to_string(path).unwrap_or_default().lines().count();
    while lines(&broken) < 60 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    handle.abort();
    handle.wait().await.unwrap_err();
    assert!(
        kept.lock().unwrap().checkpoints.contains_key(&Lane::new("a")),
        "the next run goes on"
    );
    run(9, &broken, Arc::new(Store::on(kept, Mode::Transactional)))
        .wait()
        .await
        .unwrap();
    assert_eq!(ids(&broken), ids(&whole));
}
