//! Replay of recordings that are cut or damaged: all that is whole comes out, the rest is rejected with the reason.

#![cfg(all(feature = "replay", feature = "kraken"))]

mod lanes;

use std::fs;
use std::sync::Arc;

use lanes::recordings::{assert_frames, expected, lines, write};
use lanes::{decode, drain, drain_from, example, frames};
use qicore_data::{FromStart, Lane};
use qicore_sources::replay::{Pace, Replay, ReplayConfig};

#[tokio::test]
async fn a_cut_recording_gives_all_that_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let lines = &lines("KRAKEN")[..300];
    let bytes = lines
        .iter()
        .flat_map(|line| line.bytes().chain(*b"\n"))
        .collect::<Vec<u8>>();
    let header = lines[0].len();
    let cuts = (0..40)
        .map(|step| header + 1 + step * (bytes.len() - header - 1) / 39)
        .chain(bytes.len() - 30..bytes.len());
    for cut in cuts {
        let path = folder.path().join("KRAKEN.jsonl");
        fs::write(&path, &bytes[..cut]).unwrap();
        let ended = bytes[..cut].iter().filter(|byte| **byte == b'\n').count();
        let rest = &bytes[..cut][lines[..ended].iter().map(|line| line.len() + 1).sum()..];
        // A last line is whole if only its end is missing.
        let whole = ended + usize::from(lines.get(ended).is_some_and(|line| line.as_bytes() == rest));
        let mut replay = Replay::recording(&path);
        let mut lanes = frames(&drain(&mut replay).await);
        let damaged = Lane::new("KRAKEN/damaged records");
        let cut_line = lanes.remove(&damaged);
        assert_frames(&lanes, &expected("KRAKEN", &lines[..whole]));
        assert_eq!(cut_line.is_some(), whole == ended && !rest.is_empty(), "cut at {cut}");
        if let Some(frames) = cut_line {
            assert_eq!(frames.len(), 1);
            assert_eq!(*frames[0].payload, rest[..rest.len().min(4096)]);
            let (events, rejected) = decode(&replay, &damaged, &frames);
            assert!(events.is_empty());
            assert!(
                rejected[0].contains(&format!("cut at line {}", ended + 1)),
                "{}",
                rejected[0]
            );
        }
    }
}

#[tokio::test]
async fn a_cut_compressed_recording_gives_all_that_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let whole = frames(&drain(&mut Replay::recording(example("KRAKEN"))).await);
    let bytes = fs::read(example("KRAKEN")).unwrap();
    let mut most = 0;
    for cut in (1..40).map(|step| step * bytes.len() / 40) {
        let path = folder.path().join("KRAKEN.jsonl.zst");
        fs::write(&path, &bytes[..cut]).unwrap();
        let mut replay = Replay::recording(&path);
        let batches = match drain_from(&mut replay, Arc::new(FromStart)).await {
            Ok(batches) => batches,
            // So early that not even the header is there.
            Err(error) => {
                assert!(error.to_string().contains("cut or damaged at line 1"), "{error}");
                continue;
            }
        };
        let mut lanes = frames(&batches);
        let damaged = lanes.remove(&Lane::new("KRAKEN/damaged records")).unwrap();
        assert_eq!(damaged.len(), 1);
        assert!(
            damaged[0].channel.as_deref().unwrap().contains("cut or damaged"),
            "{:?}",
            damaged[0].channel
        );
        for (lane, frames) in &lanes {
            assert_eq!(frames[..], whole[lane][..frames.len()]);
        }
        let count = lanes.values().map(Vec::len).sum::<usize>();
        assert!(count >= most);
        most = count;
    }
    assert!(most > 3000, "{most}");
}

#[tokio::test]
async fn damage_in_the_middle_costs_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let good = lines("KRAKEN");
    let mut bad: Vec<Vec<u8>> = good[..200].iter().map(|line| line.clone().into_bytes()).collect();
    let deep = [
        "{\"t\":\"recv\",\"conn\":\"KRAKEN.ws.50\",\"x\":".to_owned(),
        "[".repeat(5000),
    ]
    .concat();
    let long = format!(
        "{{\"t\":\"recv\",\"conn\":\"KRAKEN.ws.50\",\"ts\":1,\"data\":\"{}\"}}",
        "x".repeat(600_000)
    );
    let faults: [&[u8]; 6] = [
        b"\xff\xfe\x00",
        b"{}",
        b"[1",
        br#"{"t":"recv"}"#,
        deep.as_bytes(),
        long.as_bytes(),
    ];
    for (at, fault) in faults.iter().enumerate() {
        bad[100 + at] = fault.to_vec();
    }
    let path = write(&folder.path().join("KRAKEN.jsonl"), &bad);
    let mut config = ReplayConfig::new([path]);
    config.max_record_bytes = 500_000;
    for pace in [Pace::Full, Pace::Times(1e9)] {
        config.pace = pace;
        let mut replay = Replay::with_config(config.clone());
        let mut lanes = frames(&drain(&mut replay).await);
        let damaged = lanes.remove(&Lane::new("KRAKEN/damaged records")).unwrap();
        let offsets: Vec<_> = damaged.iter().map(|frame| frame.offset).collect();
        assert_eq!(offsets, [101, 102, 103, 104, 105, 106]);
        let (_, rejected) = decode(&replay, &Lane::new("KRAKEN/damaged records"), &damaged);
        assert_eq!(rejected.len(), 6);
        assert_eq!(damaged[5].payload.len(), 4096);
        assert!(
            rejected[5].contains(&format!("{} bytes, more than the 500000", long.len() + 1)),
            "{}",
            rejected[5]
        );
        let mut expected = expected("KRAKEN", &good[..200]);
        expected
            .values_mut()
            .for_each(|lane| lane.retain(|frame| !offsets.contains(&frame.0)));
        assert_frames(&lanes, &expected);
    }
}

#[tokio::test]
async fn a_connection_may_have_any_name_but_the_reserved_one() {
    let folder = tempfile::tempdir().unwrap();
    let renamed = |name: &str| {
        let mut lines: Vec<_> = lines("KRAKEN")[..100]
            .iter()
            .map(|line| line.replace("\"conn\":\"KRAKEN.ws.49\"", &format!("\"conn\":\"{name}\"")))
            .collect();
        lines.push("no record".to_owned());
        lines
    };
    for name in ["damaged", "wss://host/damaged", "records"] {
        let lines = renamed(name);
        let path = write(&folder.path().join("KRAKEN.jsonl"), &lines);
        let mut replay = Replay::recording(path);
        let mut read = frames(&drain(&mut replay).await);
        let damaged = read.remove(&Lane::new("KRAKEN/damaged records")).unwrap();
        assert_eq!(damaged.len(), 1, "{name}");
        let lane = Lane::new(format!("KRAKEN/{name}"));
        assert!(
            decode(&replay, &lane, &read[&lane]).1.is_empty(),
            "{name}: frames are rejected"
        );
        assert_frames(&read, &expected("KRAKEN", &lines[..100]));
    }
    let path = write(&folder.path().join("KRAKEN.jsonl"), &renamed("damaged records"));
    let mut replay = Replay::recording(path);
    let read = frames(&drain(&mut replay).await);
    let damaged = Lane::new("KRAKEN/damaged records");
    let (_, rejected) = decode(&replay, &damaged, &read[&damaged]);
    let reserved = rejected.iter().filter(|why| why.contains("is reserved"));
    assert_eq!(reserved.count() + 1, rejected.len());
    assert!(rejected.len() > 10, "{} frames of the connection", rejected.len());
}
