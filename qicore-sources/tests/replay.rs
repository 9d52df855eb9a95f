//! Replay of recordings: real sessions, whole and damaged.

#![cfg(all(feature = "replay", feature = "kraken", feature = "coinbase", feature = "binance"))]

mod lanes;

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use lanes::recordings::{Expected, assert_frames, expected, lines, write};
use lanes::{LIMIT, RECORDINGS, Stored, decode, drain, drain_from, example, frames};
use qicore_data::{
    BatchLimit, Content, Data, ErrorKind, EventType, Frame, FromStart, GapReason, Lane, LaneEnd, Position, Settings,
    Source,
};
use qicore_sources::SOURCES;
use qicore_sources::replay::{Pace, Replay};

#[tokio::test]
async fn every_frame_comes_once_and_in_order() {
    for name in RECORDINGS {
        let mut replay = Replay::recording(example(name));
        let batches = drain(&mut replay).await;
        assert_frames(&frames(&batches), &expected(name, &lines(name)));
        let progress = replay.progress().unwrap();
        assert_eq!(Some(progress.done), progress.total, "{name}");
        assert_eq!(progress.total, Some(fs::metadata(example(name)).unwrap().len()));
    }
}

#[tokio::test]
async fn a_folder_is_replayed_side_by_side() {
    let folder = tempfile::tempdir().unwrap();
    let below = folder.path().join("day 1");
    fs::create_dir_all(&below).unwrap();
    let mut all = Expected::new();
    for name in RECORDINGS {
        // Compressed or not is told by the content.
        write(&below.join(format!("{name}.jsonl.zst")), &lines(name));
        all.extend(expected(&format!("day 1/{name}"), &lines(name)));
    }
    let batches = drain(&mut Replay::new([folder.path()])).await;
    assert_frames(&frames(&batches), &all);
}

#[tokio::test]
async fn files_take_turns() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a", "b", "c"] {
        let header = r#"{"t":"header","format":2,"exchange":"KRAKEN"}"#.to_owned();
        let record = |at| format!(r#"{{"t":"recv","conn":"1","ts":{at}.5,"data":"{name}{at}"}}"#);
        write(
            &folder.path().join(format!("{name}.jsonl")),
            &[vec![header], (0..50_000).map(record).collect()].concat(),
        );
    }
    let mut replay = Replay::new([folder.path()]);
    replay.open(Arc::new(FromStart)).await.unwrap();
    replay.next_batch(LIMIT).await.unwrap();
    // Until all readers wait for someone to take what they have read.
    let (mut done, mut still) = (0, 0);
    while still < 10 {
        tokio::time::sleep(Duration::from_millis(150)).await;
        let now = replay.progress().unwrap().done;
        still = if now == done && now > 0 { still + 1 } else { 0 };
        done = now;
    }
    assert!(done < replay.progress().unwrap().total.unwrap(), "readers are bounded");
    let mut turns = Vec::new();
    for _ in 0..9 {
        turns.push(replay.next_batch(LIMIT).await.unwrap().unwrap().lane);
    }
    assert!(
        turns
            .windows(3)
            .all(|three| three[0] != three[1] && three[1] != three[2] && three[0] != three[2])
    );
}

#[tokio::test]
async fn venues_decode_what_they_sent() {
    for name in RECORDINGS {
        let mut replay = Replay::recording(example(name));
        let batches = drain(&mut replay).await;
        let mut total = 0;
        // The order of lanes does not matter: the instruments are known from the start.
        for (lane, frames) in frames(&batches).iter().rev() {
            let (events, rejected) = decode(&replay, lane, frames);
            assert_eq!(rejected, Vec::<String>::new(), "{lane}");
            assert!(
                events
                    .iter()
                    .all(|event| event.exchange.as_str() == name.to_lowercase())
            );
            total += events.len();
        }
        assert!(total > 250, "{name}: {total} events");
    }
}

#[tokio::test]
async fn resumes_anywhere() {
    let lines = lines("KRAKEN");
    let whole = frames(&drain(&mut Replay::recording(example("KRAKEN"))).await);
    let lane = Lane::new("KRAKEN/KRAKEN.ws.50");
    let detail = drain(&mut Replay::recording(example("KRAKEN"))).await[0]
        .position
        .detail
        .clone()
        .unwrap();
    for offset in [
        0,
        1,
        115,
        116,
        117,
        1000,
        1001,
        lines.len() as u64 - 1,
        lines.len() as u64,
        u64::MAX,
    ] {
        let position = Position::at(offset).with_detail(Arc::clone(&detail));
        let resume = Arc::new(Stored::at(&lane, position));
        let batches = drain_from(&mut Replay::recording(example("KRAKEN")), resume)
            .await
            .unwrap();
        let mut expected = whole.clone();
        expected.get_mut(&lane).unwrap().retain(|frame| frame.offset > offset);
        assert_eq!(batches.iter().filter(|batch| batch.end.is_some()).count(), whole.len());
        let resumed = frames_lenient(&batches);
        assert_eq!(resumed, expected, "from {offset}");
    }
    let last = whole[&lane].last().unwrap().offset;
    for (offset, left) in [
        (last, 0),
        (200, whole[&lane].iter().filter(|frame| frame.offset > 200).count()),
    ] {
        let position = Position::at(offset).with_detail(Arc::clone(&detail));
        let finished = Stored::at(&lane, position).finished();
        let batches = drain_from(&mut Replay::recording(example("KRAKEN")), Arc::new(finished))
            .await
            .unwrap();
        let again = frames_lenient(&batches).remove(&lane).unwrap_or_default();
        assert_eq!(
            again.len(),
            left,
            "a finished lane goes on only where its file has grown"
        );
        let ended = batches.iter().any(|batch| batch.lane == lane && batch.end.is_some());
        assert_eq!(ended, left > 0);
    }
}

/// Frames by lane, where a lane may have none after its checkpoint.
fn frames_lenient(batches: &[qicore_data::Batch]) -> BTreeMap<Lane, Vec<Frame>> {
    let mut lanes: BTreeMap<Lane, Vec<Frame>> = BTreeMap::new();
    for batch in batches {
        let Content::Frames(frames) = &batch.content else {
            panic!()
        };
        lanes
            .entry(batch.lane.clone())
            .or_default()
            .extend(frames.iter().cloned());
    }
    lanes
}

/// Recorders that write no time into the header write equal ones.
#[tokio::test]
async fn a_checkpoint_of_another_recording_with_the_same_header_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("KRAKEN.jsonl");
    let lines = lines("KRAKEN");
    let mut replay = Replay::recording(write(&path, &lines[..200]));
    let batches = drain(&mut replay).await;
    let batch = batches
        .iter()
        .find(|batch| batch.lane.as_str().ends_with(".ws.50"))
        .unwrap();
    let resume = Arc::new(Stored::at(&batch.lane, batch.position.clone()));
    let other = [&lines[..1], &lines[100..300]].concat();
    let mut replay = Replay::recording(write(&path, &other));
    let error = drain_from(&mut replay, resume).await.unwrap_err();
    assert!(error.to_string().contains("made with other data"), "{error}");
}

#[tokio::test]
async fn a_checkpoint_of_another_recording_is_refused() {
    let lane = Lane::new("KRAKEN/KRAKEN.http.sync");
    let folder = tempfile::tempdir().unwrap();
    let mut other = lines("KRAKEN");
    other[0] = other[0].replace("\"recorded\":", "\"recorded\":9");
    let other = write(&folder.path().join("KRAKEN.jsonl"), &other);
    let position = drain(&mut Replay::recording(other)).await[0].position.clone();
    let resume = Arc::new(Stored::at(&lane, position));
    let error = drain_from(&mut Replay::recording(example("KRAKEN")), resume)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Checkpoint);
    assert!(error.to_string().contains("made with other data"), "{error}");
}

#[tokio::test]
async fn binary_payloads() {
    let folder = tempfile::tempdir().unwrap();
    let lines = [
        r#"{"t":"header","format":2,"exchange":"kraken"}"#,
        r#"{"b64":"/wCA","ts":12.5,"conn":"c\u0031","t":"recv"}"#,
        r#"{"t":"recv","conn":"c1","data":"\ud83d\ude00"}"#,
    ];
    let mut replay = Replay::recording(write(&folder.path().join("k.jsonl"), &lines));
    let lanes = frames(&drain(&mut replay).await);
    let frames = &lanes[&Lane::new("k/c1")];
    assert_eq!(*frames[0].payload, [0xff, 0x00, 0x80]);
    assert_eq!(frames[0].received.unwrap().nanos(), 12_500_000_000);
    assert_eq!((&*frames[1].payload, frames[1].received), ("😀".as_bytes(), None));
}

#[tokio::test]
async fn mistakes_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, line: &str| write(&folder.path().join(name), &[line]);
    let no_header = file("a.jsonl", r#"{"t":"recv","conn":"c","data":""}"#);
    let unknown = file("b.jsonl", r#"{"t":"header","format":2,"exchange":"NOWHERE"}"#);
    let newer = file("c.jsonl", r#"{"t":"header","format":3,"exchange":"KRAKEN"}"#);
    let half = file("d.jsonl", r#"{"t":"header","format":2,"exch"#);
    let wrong = file("e.jsonl", r#"{"t":"header","format":2,"exchange":5}"#);
    let empty = file("f.jsonl", "");
    fs::create_dir(folder.path().join("nothing")).unwrap();
    for (path, told) in [
        (no_header, "{\"t\":\"header\",\"format\":2,\"exchange\":\"KRAKEN\"}"),
        (unknown, "unknown venue \"NOWHERE\"; known: binance, coinbase, kraken"),
        (newer, "recordings of format 3 are not known"),
        (half, "whose first line is a header"),
        (wrong, "the header is damaged"),
        (empty, "whose first line is a header"),
        (folder.path().join("nothing"), "holds no .jsonl"),
    ] {
        let error = Replay::recording(path).open(Arc::new(FromStart)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains(told), "{error}");
    }
    let error = Replay::recording("no/such/file")
        .open(Arc::new(FromStart))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    let twice = Replay::new([example("KRAKEN"), example("KRAKEN")])
        .open(Arc::new(FromStart))
        .await
        .unwrap_err();
    assert!(twice.to_string().contains("the same name"), "{twice}");
}

#[test]
fn is_built_from_settings() {
    let plugin = SOURCES.iter().find(|plugin| plugin.name == "replay").unwrap();
    let build = |text: &str| (plugin.build.unwrap())(&Settings::parse(text).unwrap());
    let source = build("paths = [\"x.jsonl\"]\npace = 10\nfrom = \"2026-01-01T00:00:00Z\"")
        .ok()
        .unwrap();
    assert!(source.capabilities().replayable && source.capabilities().finite);
    for (text, told) in [
        ("", "paths is empty"),
        ("paths = [\"x\"]\npace = 0", "line 2: "),
        (
            "paths = [\"x\"]\npace = \"fast\"",
            "expected \"full\" or a number above 0",
        ),
        ("paths = [\"x\"]\npaze = 1", "unknown field `paze`"),
        (
            "paths = [\"x\"]\nfrom = \"2026-01-02T00:00:00Z\"\nto = \"2026-01-01T00:00:00Z\"",
            "from must be before to",
        ),
    ] {
        let error = build(text).err().unwrap().to_string();
        assert!(error.contains(told), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn recorded_pace() {
    for factor in [1.0, 10.0] {
        let mut replay = Replay::recording(example("KRAKEN")).pace(Pace::Times(factor));
        replay.open(Arc::new(FromStart)).await.unwrap();
        let began = tokio::time::Instant::now();
        let (mut first, mut count, mut batches) = (None, 0, Vec::new());
        while let Some(batch) = replay.next_batch(LIMIT).await.unwrap() {
            let Content::Frames(frames) = &batch.content else {
                panic!()
            };
            for frame in frames {
                let at = frame.received.unwrap();
                let since = at.since(*first.get_or_insert(at)).div_f64(factor);
                let late = began.elapsed().checked_sub(since).expect("never early");
                // The runtime's clock ticks in milliseconds.
                assert!(late <= Duration::from_millis(2), "{late:?} late");
                count += 1;
            }
            batches.push(batch);
        }
        assert_eq!(count, 4431);
        assert_frames(&frames(&batches), &expected("KRAKEN", &lines("KRAKEN")));
    }
}

#[tokio::test(start_paused = true)]
async fn recordings_of_different_years_follow_each_other() {
    let began = tokio::time::Instant::now();
    let names = ["COINBASE", "KRAKEN", "BINANCE"];
    let mut replay = Replay::new(names.map(example)).pace(Pace::Times(1.0));
    let batches = drain(&mut replay).await;
    // Kraken's was made half a year before that of Binance, and five years before that of Coinbase. None takes a minute.
    assert!(began.elapsed() < Duration::from_secs(180), "{:?}", began.elapsed());
    let frames = batches.iter().filter_map(|batch| match &batch.content {
        Content::Frames(frames) => Some(frames),
        _ => None,
    });
    let mut months: Vec<_> = frames
        .flatten()
        .map(|frame| frame.received.unwrap().date()[..7].to_owned())
        .collect();
    months.dedup();
    assert_eq!(months, ["2021-04", "2021-10", "2026-08"]);
}

#[tokio::test]
async fn a_dropped_future_loses_nothing() {
    let whole = frames(&drain(&mut Replay::recording(example("KRAKEN"))).await);
    for pace in [Pace::Full, Pace::Times(200.0)] {
        let mut replay = Replay::recording(example("KRAKEN")).pace(pace);
        replay.open(Arc::new(Stored::default())).await.unwrap();
        let (mut batches, mut dropped) = (Vec::new(), 0);
        loop {
            // Polls a varying number of times, then drops the future.
            let mut polls = (batches.len() + dropped) % 4;
            let next = replay.next_batch(BatchLimit::new(7, 1 << 20));
            tokio::select! {
                biased;
                batch = next => match batch.unwrap() {
                    Some(batch) => batches.push(batch),
                    None => break,
                },
                () = async { while polls > 0 { polls -= 1; tokio::task::yield_now().await; } } => {
                    dropped += 1;
                    tokio::task::yield_now().await;
                }
            }
        }
        assert!(dropped > 0);
        assert_eq!(frames(&batches), whole);
        assert!(
            batches
                .iter()
                .filter(|batch| batch.end == Some(LaneEnd::Exhausted))
                .count()
                == whole.len()
        );
    }
}

/// Each venue's session, cut in the middle by a connection that is made again half a minute later.
#[tokio::test]
async fn a_connection_made_again_leaves_gaps() {
    let folder = tempfile::tempdir().unwrap();
    for venue in RECORDINGS {
        let mut lines = lines(venue);
        let is_frame = |line: &String| line.starts_with("{\"t\":\"recv\"");
        let conn = lines
            .iter()
            .find(|line| is_frame(line))
            .unwrap()
            .split('"')
            .nth(7)
            .unwrap()
            .to_owned();
        let of_conn = |line: &String| is_frame(line) && line.split('"').nth(7) == Some(conn.as_str());
        let places: Vec<_> = (0..lines.len()).filter(|at| of_conn(&lines[*at])).collect();
        let at = places[places.len() / 2];
        let value: serde_json::Value =
            serde_json::from_str(&lines[at - 1 + usize::from(!of_conn(&lines[at - 1]))]).unwrap();
        let back = value["ts"].as_f64().unwrap() + 30.0;
        lines.insert(at, format!("{{\"t\":\"connect\",\"conn\":\"{conn}\",\"ts\":{back}}}"));
        let mut replay = Replay::recording(write(&folder.path().join(format!("{venue}.jsonl")), &lines));
        let read = frames(&drain(&mut replay).await);
        let lane = Lane::new(format!("{venue}/{conn}"));
        let (events, rejected) = decode(&replay, &lane, &read[&lane]);
        assert!(rejected.is_empty(), "{venue}: {rejected:?}");
        let gaps: Vec<_> = events
            .iter()
            .filter(|event| event.event_type() == EventType::Gap)
            .collect();
        let mut symbols: Vec<_> = gaps.iter().map(|gap| gap.symbol).collect();
        symbols.sort();
        symbols.dedup();
        assert!(
            !gaps.is_empty() && symbols.len() == gaps.len(),
            "{venue}: one for each symbol: {gaps:?}"
        );
        for gap in gaps {
            let Data::Gap(data) = &gap.data else { panic!() };
            assert_eq!((data.reason, data.missed), (GapReason::Disconnect, None), "{venue}");
            assert!(data.to.since(data.from) >= Duration::from_secs(29), "{venue}: {data:?}");
            assert_eq!(data.to, gap.timestamp);
        }
    }
}
