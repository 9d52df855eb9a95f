//! A copy of what is received, and its replay.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use qicore_data::{BatchLimit, Content, Data, Error, Event, FromStart, Source};
use qicore_localvenue::{LocalVenue, VenueKind};
use qicore_sources::{CaptureConfig, Channel, Replay};

use crate::common::{PATIENCE, Seen, each_venue, gather, opened, read, source, venue};

each_venue!(captures_replay_into_what_was_seen captures_of_a_killed_process_replay full_files_are_followed_by_others);

/// What the replay of these files gives.
async fn replayed(files: &[PathBuf]) -> Vec<Event> {
    let (events, error) = replayed_until(files).await;
    assert!(error.is_none(), "{error:?}");
    events
}

/// The same, with the reason of a frame that cannot be read.
async fn replayed_until(files: &[PathBuf]) -> (Vec<Event>, Option<Error>) {
    let mut replay = Replay::new(files);
    if let Err(error) = replay.open(Arc::new(FromStart)).await {
        return (Vec::new(), Some(error));
    }
    let (mut events, mut cut) = (Vec::new(), None);
    loop {
        let next = tokio::time::timeout(PATIENCE, replay.next_batch(BatchLimit::default()))
            .await
            .unwrap();
        let batch = match next {
            Ok(Some(batch)) => batch,
            Ok(None) => return (events, cut),
            Err(error) => panic!("{error}"),
        };
        match batch.content {
            Content::Events(mut more, _) => events.append(&mut more),
            Content::Frames(frames) => {
                let mut decoder = replay.decoder(&batch.lane).unwrap();
                for frame in frames {
                    cut = decoder.decode(&frame, &mut events).err().or(cut);
                }
            }
            _ => unreachable!(),
        }
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    files.sort();
    files
}

fn trades(events: &[Event]) -> Vec<&Event> {
    events
        .iter()
        .filter(|event| matches!(event.data, Data::Trade(_)))
        .collect()
}

/// Every live trade is in the replay, the same in all.
fn assert_same_trades(live: &[Event], replayed: &[Event]) {
    let replayed = trades(replayed);
    let key = |event: &Event| match &event.data {
        Data::Trade(trade) => (event.symbol, trade.id.clone().unwrap().to_string()),
        _ => unreachable!(),
    };
    let known: std::collections::HashMap<_, _> = replayed.iter().map(|event| (key(event), *event)).collect();
    for event in trades(live) {
        let other = known.get(&key(event)).unwrap_or_else(|| panic!("{event:?} is missing"));
        assert_eq!(
            (event.timestamp, &event.data, event.exchange),
            (other.timestamp, &other.data, other.exchange)
        );
    }
}

async fn session(kind: VenueKind, capture: CaptureConfig, count: usize) -> (LocalVenue, Vec<Event>) {
    let venue = venue(kind).book_depth(20).start().await.unwrap();
    let source = source(kind, &venue, 2, &[Channel::Trades, Channel::Quotes, Channel::Book]);
    let mut source = opened(source.capture(capture)).await;
    let mut reset = false;
    let events = gather(&mut source, |events| {
        if events.len() > count / 2 && !std::mem::replace(&mut reset, true) {
            venue.faults().reset_all();
        }
        events.len() > count
    })
    .await;
    source.close().await.unwrap();
    (venue, events)
}

async fn captures_replay_into_what_was_seen(kind: VenueKind) {
    let folder = tempfile::tempdir().unwrap();
    let (_venue, live) = session(kind, CaptureConfig::new(folder.path()), 600).await;
    let files = files(folder.path());
    assert_eq!(files.len(), 1, "{files:?}");
    let replayed = replayed(&files).await;
    assert_same_trades(&live, &replayed);
    let quotes = |events: &[Event]| {
        events
            .iter()
            .filter(|event| matches!(event.data, Data::Quote(_)))
            .count()
    };
    assert!(quotes(&replayed) >= quotes(&live));
}

/// The file has no end: it is good up to what was flushed, and then an error says that it is cut.
async fn captures_of_a_killed_process_replay(kind: VenueKind) {
    let folder = tempfile::tempdir().unwrap();
    let venue = venue(kind).start().await.unwrap();
    let source = source(kind, &venue, 1, &[Channel::Trades]);
    let mut source = opened(source.capture(CaptureConfig::new(folder.path()))).await;
    let mut seen = Seen::default();
    read(&mut source, &mut seen, |seen| seen.events.len() > 200)
        .await
        .unwrap();
    let cut = folder.path().join("cut.jsonl.zst");
    let whole = std::fs::read(&files(folder.path())[0]).unwrap();
    // As a killed process would leave it, and as a disk that was full.
    for length in [whole.len(), whole.len() - 7, whole.len() / 2] {
        std::fs::write(&cut, &whole[..length]).unwrap();
        let (replayed, error) = replayed_until(std::slice::from_ref(&cut)).await;
        let replayed: Vec<_> = trades(&replayed).into_iter().cloned().collect();
        let told = error.expect("it is cut").to_string();
        assert!(told.contains("cut or damaged at line"), "{told}");
        assert!(length < whole.len() || replayed.len() > 20, "{} trades", replayed.len());
        // Without what the first message of a subscription repeats.
        let first = seen.events.first().unwrap().timestamp;
        let known: Vec<_> = replayed.into_iter().filter(|event| event.timestamp >= first).collect();
        assert_same_trades(&known, &seen.events);
    }
}

async fn full_files_are_followed_by_others(kind: VenueKind) {
    let folder = tempfile::tempdir().unwrap();
    let config = CaptureConfig::new(folder.path()).file_bytes(40_000);
    let (_venue, live) = session(kind, config, 600).await;
    let files = files(folder.path());
    assert!(files.len() > 2, "{files:?}");
    let mut all = Vec::new();
    for file in &files {
        all.append(&mut replayed(std::slice::from_ref(file)).await);
    }
    assert_same_trades(&live, &all);
}
