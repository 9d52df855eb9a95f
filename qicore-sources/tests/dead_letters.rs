//! Replay of dead letters.

#![cfg(all(feature = "replay", feature = "kraken"))]

mod lanes;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lanes::{Stored, decode, drain, drain_from, events, example, frames};
use qicore_data::{
    DeadLetter, ErrorKind, Event, Frame, FromStart, Lane, Payload, Position, Settings, Source, Timestamp,
};
use qicore_sources::SOURCES;
use qicore_sources::dead_letters::DeadLetters;
use qicore_sources::replay::Replay;

fn letter(id: u64, source: &str, stage: &str, lane: &Lane, payload: Payload) -> DeadLetter {
    DeadLetter {
        id: id.to_string(),
        at: Timestamp::from_nanos(1),
        pipeline: "p".into(),
        source: source.into(),
        stage: stage.into(),
        reason: "decode".into(),
        error: "no".into(),
        lane: lane.clone(),
        offset: id,
        payload,
    }
}

fn of_frame(source: &str, lane: &Lane, frame: &Frame) -> DeadLetter {
    letter(frame.offset, source, "decode", lane, Payload::of_frame(frame))
}

fn of_event(id: u64, stage: &str, event: &Event) -> DeadLetter {
    letter(
        id,
        "kraken",
        stage,
        &Lane::new("l"),
        Payload::Event {
            event: Box::new(event.clone()),
        },
    )
}

fn write(path: &Path, letters: &[DeadLetter]) -> PathBuf {
    let lines = letters
        .iter()
        .map(|letter| serde_json::to_string(letter).unwrap() + "\n");
    fs::write(path, lines.collect::<String>()).unwrap();
    path.to_owned()
}

/// A lane of the recorded Kraken session, and what its frames decode to.
async fn recorded() -> (Lane, Vec<Frame>, Vec<Event>) {
    let mut replay = Replay::recording(example("KRAKEN"));
    let mut lanes = frames(&drain(&mut replay).await);
    let lane = Lane::new("KRAKEN/KRAKEN.ws.48");
    let frames = lanes.remove(&lane).unwrap();
    let (events, _) = decode(&replay, &lane, &frames);
    (lane, frames, events)
}

/// The lane of a replay's letters, whatever their mark.
fn lane_of<T>(lanes: &BTreeMap<Lane, T>, name: &str) -> Lane {
    let plain = |lane: &Lane| {
        lane.as_str()
            .splitn(3, '/')
            .enumerate()
            .filter(|(at, _)| *at != 1)
            .map(|(_, part)| part.to_owned())
            .collect::<Vec<_>>()
            .join("/")
    };
    let found = lanes.keys().find(|lane| lane.as_str() == name || plain(lane) == name);
    found
        .unwrap_or_else(|| panic!("no lane {name} among {:?}", lanes.keys()))
        .clone()
}

#[tokio::test]
async fn frames_are_decoded_again() {
    let folder = tempfile::tempdir().unwrap();
    let (lane, recorded, expected) = recorded().await;
    assert!(expected.len() >= 9);
    // The venue is told by the source, by the lane of a recording, or by the configuration.
    for (source, lane, venue) in [
        ("kraken", Lane::new("wss://ws.kraken.com"), None),
        ("replay", lane, None),
        ("mine", Lane::new("l"), Some("kraken")),
    ] {
        let letters: Vec<_> = recorded.iter().map(|frame| of_frame(source, &lane, frame)).collect();
        let mut source = DeadLetters::new(write(&folder.path().join("letters.jsonl"), &letters));
        if let Some(venue) = venue {
            source = source.venue(venue);
        }
        let lanes = frames(&drain(&mut source).await);
        let lane = lane_of(&lanes, &format!("dead-letters/decode/{lane}"));
        let frames = &lanes[&lane];
        assert_eq!(lanes.len(), 1);
        let payloads = |frames: &[Frame]| frames.iter().map(|frame| frame.payload.clone()).collect::<Vec<_>>();
        assert_eq!(payloads(frames), payloads(&recorded));
        assert_eq!(decode(&source, &lane, frames), (expected.clone(), Vec::new()));
        assert_eq!(source.progress().unwrap().total, Some(source.progress().unwrap().done));
    }
}

/// A broker's messages are read as their headers told, which the letters keep.
#[cfg(feature = "kafka")]
#[tokio::test]
async fn messages_of_topics_are_decoded_again() {
    use qicore_stores::messages::Encoding;
    let folder = tempfile::tempdir().unwrap();
    let expected = qicore_stream::testkit::trades(0..3);
    let lane = Lane::new("trades/0");
    let json = Encoding::Json.content_type();
    let forms = [
        (Encoding::Json, None),
        (Encoding::Protobuf, Some("application/x-protobuf;version=1".to_owned())),
        // What a newer program has written is refused by this one, and again.
        (Encoding::Json, Some(format!("{json};version=99"))),
    ];
    let messages = expected
        .iter()
        .zip(forms)
        .zip(1..)
        .map(|((event, (encoding, channel)), offset)| {
            let mut payload = Vec::new();
            encoding.encode(event, &mut payload).unwrap();
            let mut frame = Frame::new(offset, payload);
            frame.channel = channel.map(Into::into);
            of_frame("kafka", &lane, &frame)
        });
    let messages: Vec<_> = messages.collect();
    let mut source = DeadLetters::new(write(&folder.path().join("letters.jsonl"), &messages));
    let lanes = frames(&drain(&mut source).await);
    let lane = lane_of(&lanes, "dead-letters/decode/trades/0");
    let (found, refused) = decode(&source, &lane, &lanes[&lane]);
    assert_eq!(found, expected[..2]);
    assert_eq!(refused.len(), 1);
}

#[tokio::test]
async fn events_by_stage_and_each_letter_once() {
    let folder = tempfile::tempdir().unwrap();
    let (_, _, all) = recorded().await;
    let letters = [
        of_event(1, "validate", &all[0]),
        of_event(2, "sink:timescale", &all[1]),
        of_event(1, "validate", &all[0]),
        of_event(3, "validate", &all[2]),
        // The ids of live connections may repeat; this is another row.
        of_event(1, "validate", &all[4]),
    ];
    let path = write(&folder.path().join("letters.jsonl"), &letters);
    let lanes = events(&drain(&mut DeadLetters::new(&path)).await);
    assert_eq!(
        lanes[&lane_of(&lanes, "dead-letters/validate")],
        [(1, all[0].clone()), (4, all[2].clone()), (5, all[4].clone())]
    );
    assert_eq!(
        lanes[&lane_of(&lanes, "dead-letters/sink:timescale")],
        [(2, all[1].clone())]
    );
    let only = events(&drain(&mut DeadLetters::new(&path).stage("sink:timescale")).await);
    assert_eq!(only.len(), 1);
    lane_of(&only, "dead-letters/sink:timescale");
    assert!(drain(&mut DeadLetters::new(&path).reason("rejected")).await.is_empty());
    assert_eq!(
        events(&drain(&mut DeadLetters::new(&path).reason("decode")).await).len(),
        2
    );
    // A letter that is there again in the next file is the same letter.
    write(
        &folder.path().join("more.jsonl"),
        &[of_event(3, "validate", &all[2]), of_event(9, "validate", &all[3])],
    );
    let lanes = events(&drain(&mut DeadLetters::new(folder.path())).await);
    let offsets: Vec<_> = lanes[&lane_of(&lanes, "dead-letters/validate")]
        .iter()
        .map(|(offset, _)| *offset)
        .collect();
    assert_eq!(offsets, [1, 4, 5, 7]);
}

#[tokio::test]
async fn what_cannot_be_tried_again_is_rejected_again() {
    let folder = tempfile::tempdir().unwrap();
    let (lane, recorded, all) = recorded().await;
    let path = write(
        &folder.path().join("letters.jsonl"),
        &[of_event(1, "validate", &all[0])],
    );
    let damaged_before = Frame::new(7, "half a rec").channel("the record is cut at line 7");
    let mut text = fs::read_to_string(&path).unwrap();
    for letter in [
        of_frame("nobody", &Lane::new("l"), &recorded[0]),
        of_frame("replay", &Lane::new("KRAKEN/damaged records"), &damaged_before),
    ] {
        text += &(serde_json::to_string(&letter).unwrap() + "\n");
    }
    let binary = of_frame("kraken", &lane, &Frame::new(99, vec![0xff]));
    text += &serde_json::to_string(&binary).unwrap().replace("\"ff\"", "\"fx\"");
    text += "\nno letter\n{\"id\":\"half";
    fs::write(&path, text).unwrap();
    let mut source = DeadLetters::new(&path);
    let batches = drain(&mut source).await;
    let sound = events(&batches);
    assert_eq!(sound[&lane_of(&sound, "dead-letters/validate")].len(), 1);
    let refused = frames(&batches);
    let rejected = |name: &str| {
        let lane = lane_of(&refused, name);
        decode(&source, &lane, &refused[&lane]).1.join("\n")
    };
    assert!(rejected("dead-letters/decode/l").contains("set venue"));
    assert!(rejected("dead-letters/decode/KRAKEN/damaged records").contains("cut at line 7"));
    let damaged = rejected("dead-letters/damaged records");
    assert!(
        damaged.contains("hexadecimal") && damaged.contains("line 5 is no dead letter"),
        "{damaged}"
    );
    assert!(damaged.contains("line 6 is no dead letter: EOF"), "{damaged}");
}

#[tokio::test]
async fn an_interrupted_replay_goes_on_and_other_letters_are_sent_whole() {
    let folder = tempfile::tempdir().unwrap();
    let (_, _, all) = recorded().await;
    let letters: Vec<_> = (1..=8).map(|id| of_event(id, "validate", &all[id as usize])).collect();
    let path = write(&folder.path().join("letters.jsonl"), &letters[..5]);
    let mut first = DeadLetters::new(&path);
    first.open(Arc::new(FromStart)).await.unwrap();
    fs::write(
        &path,
        fs::read_to_string(&path).unwrap() + &serde_json::to_string(&letters[5]).unwrap() + "\n",
    )
    .unwrap();
    let batch = first.next_batch(lanes::LIMIT).await.unwrap().unwrap();
    assert_eq!(batch.content.len(), 5, "only what was there at the start");

    let offsets = async |at: u64| {
        let mut source = DeadLetters::new(&path);
        let whole = events(&drain(&mut source).await);
        let resume = Arc::new(Stored::at(&lane_of(&whole, "dead-letters/validate"), Position::at(at)));
        let rest = events(&drain_from(&mut DeadLetters::new(&path), resume).await.unwrap());
        rest.values().flatten().map(|(offset, _)| *offset).collect::<Vec<_>>()
    };
    assert_eq!(offsets(4).await, [5, 6]);
    // The letters of the first replay, of which there were fewer, have another mark.
    let earlier = Arc::new(Stored::at(&batch.lane, batch.position.clone()).finished());
    let anew = events(&drain_from(&mut DeadLetters::new(&path), earlier).await.unwrap());
    assert_eq!(anew.values().map(Vec::len).sum::<usize>(), 6);
}

#[tokio::test]
async fn mistakes_are_told() {
    let plugin = SOURCES.iter().find(|plugin| plugin.name == "dead-letters").unwrap();
    let build = |text: &str| (plugin.build.unwrap())(&Settings::parse(text).unwrap());
    assert!(build("path = \"x\"\nstage = \"decode\"").is_ok());
    for (text, told) in [
        ("", "path is missing"),
        ("path = \"x\"\nvenue = \"y\"", "known: binance, coinbase, kraken"),
    ] {
        let error = build(text).err().unwrap().to_string();
        assert!(error.contains(told), "{error}");
    }
    let folder = tempfile::tempdir().unwrap();
    let empty = DeadLetters::new(folder.path())
        .open(Arc::new(FromStart))
        .await
        .unwrap_err();
    assert!(empty.to_string().contains("holds no .jsonl"), "{empty}");
    let missing = DeadLetters::new(folder.path().join("x"))
        .open(Arc::new(FromStart))
        .await
        .unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::Io);
}
