//! Recordings, read by other means than the source's.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use qicore_data::{Frame, Lane};
use serde_json::Value;

use super::example;

/// The lines of a recording.
pub(crate) fn lines(name: &str) -> Vec<String> {
    let bytes = zstd::decode_all(fs::File::open(example(name)).unwrap()).unwrap();
    String::from_utf8(bytes).unwrap().lines().map(str::to_owned).collect()
}

/// Line number, payload, URL and the digits of the time of each frame of a lane, read by other means.
pub(crate) type Expected = BTreeMap<String, Vec<(u64, String, Option<String>, String)>>;

pub(crate) fn expected(name: &str, lines: &[String]) -> Expected {
    let mut lanes = Expected::new();
    for (at, line) in lines.iter().enumerate() {
        let Ok(record) = serde_json::from_str::<Value>(line) else {
            continue;
        };
        if matches!(record["t"].as_str(), Some("recv" | "http")) {
            let text = |key: &str| record[key].as_str().map(str::to_owned);
            let lane = format!("{name}/{}", text("conn").unwrap());
            let time = line
                .split("\"ts\":")
                .nth(1)
                .unwrap()
                .split(',')
                .next()
                .unwrap()
                .to_owned();
            lanes
                .entry(lane)
                .or_default()
                .push((at as u64 + 1, text("data").unwrap(), text("url"), time));
        }
    }
    lanes
}

pub(crate) fn assert_frames(lanes: &BTreeMap<Lane, Vec<Frame>>, expected: &Expected) {
    let names: Vec<_> = lanes.keys().map(Lane::as_str).collect();
    assert_eq!(names, expected.keys().collect::<Vec<_>>());
    for (frames, expected) in lanes.values().zip(expected.values()) {
        assert_eq!(frames.len(), expected.len());
        for (frame, (offset, payload, url, time)) in frames.iter().zip(expected) {
            assert_eq!((frame.offset, &*frame.payload), (*offset, payload.as_bytes()));
            assert_eq!(frame.channel.as_deref(), url.as_deref());
            let (secs, fraction) = time.split_once('.').unwrap_or((time, ""));
            let nanos = format!("{secs}{fraction:0<9}");
            assert_eq!(frame.received.unwrap().nanos().to_string(), nanos);
        }
    }
}

pub(crate) fn write(path: &Path, lines: &[impl AsRef<[u8]>]) -> PathBuf {
    let mut file = fs::File::create(path).unwrap();
    for line in lines {
        file.write_all(line.as_ref()).unwrap();
        file.write_all(b"\n").unwrap();
    }
    path.to_owned()
}
