//! Decoding: the venues' decoders against a bare serde decode of the same frames.

use std::hint::black_box;

use qicore::sources::{Venue, VenueContext};
use qicore::{Checksum, Data, Decoder, Event, Frame};

use crate::Result;
use crate::frames::{fixture, session, text};
use crate::kinds::{Bare, KINDS, Kind, Origin};

/// A pass over a kind has at least so many frames, by repetition, unless they have so many bytes.
const LEAST_FRAMES: usize = 128;
const LEAST_BYTES: usize = 1 << 20;

/// The frames of one kind, with a decoder that has seen them before.
pub struct KindDecode {
    /// The kind.
    pub kind: &'static Kind,
    frames: Vec<Frame>,
    decoder: Box<dyn Decoder>,
    /// The batch, as a lane gathers it; kept for its memory.
    events: Vec<Event>,
}

impl KindDecode {
    /// The workloads of all kinds.
    pub fn all() -> Result<Vec<Self>> {
        KINDS.iter().map(Self::new).collect()
    }

    /// The workload of a kind.
    pub fn new(kind: &'static Kind) -> Result<Self> {
        let frames = repeated(kind, found(kind)?)?;
        let mut this = Self {
            kind,
            frames,
            // Books are not maintained: that is measured by itself, over the session.
            decoder: decoder(kind.venue, false)?,
            events: Vec::new(),
        };
        for frame in &this.frames {
            (kind.bare)(&frame.payload).map_err(|error| format!("{}: {error}", kind.path()))?;
        }
        this.ours().map_err(|error| format!("{}: {error}", kind.path()))?;
        Ok(this)
    }

    /// Messages of a pass.
    pub fn messages(&self) -> usize {
        self.frames.len()
    }

    /// Events of the last pass.
    pub fn events(&self) -> usize {
        self.events.len()
    }

    /// Decodes all frames into one batch.
    pub fn ours(&mut self) -> Result<()> {
        self.events.clear();
        for frame in &self.frames {
            self.decoder.decode(black_box(frame), &mut self.events)?;
        }
        black_box(&self.events);
        Ok(())
    }

    /// Reads all frames into typed structs, and keeps none of them.
    pub fn reference(&self) -> Result<()> {
        for frame in &self.frames {
            (self.kind.bare)(black_box(&frame.payload))?;
        }
        Ok(())
    }
}

fn decoder(venue: &str, verify_checksums: bool) -> Result<Box<dyn Decoder>> {
    let context = VenueContext::new(venue, venue)?.verify_checksums(verify_checksums);
    Ok(Venue::named(venue)?.decoder(&context)?)
}

fn found(kind: &Kind) -> Result<Vec<Frame>> {
    if let Origin::Fixture(path) = kind.origin {
        return Ok(vec![fixture(path)?]);
    }
    let mut frames: Vec<_> = session(kind.venue)?
        .into_iter()
        .flat_map(|(_, frames)| frames)
        .collect();
    let is_of_kind = |frame: &Frame| {
        text(frame).is_ok_and(|text| Kind::of(kind.venue, text).is_some_and(|found| found.path() == kind.path()))
    };
    frames.retain(is_of_kind);
    if frames.is_empty() {
        return Err(format!("no {} in the recorded session", kind.path()).into());
    }
    Ok(frames)
}

fn repeated(kind: &Kind, found: Vec<Frame>) -> Result<Vec<Frame>> {
    let mut frames: Vec<Frame> = Vec::new();
    while frames.len() < LEAST_FRAMES && frames.iter().map(|frame| frame.payload.len()).sum::<usize>() < LEAST_BYTES {
        frames.extend_from_slice(&found);
    }
    if kind.venue == "coinbase" {
        // Its messages are numbered over all channels: with the others left out, each would come after a gap.
        for (number, frame) in frames.iter_mut().enumerate() {
            frame.payload = renumbered(text(frame)?, number).into();
        }
    }
    Ok(frames)
}

fn renumbered(text: &str, number: usize) -> String {
    const FIELD: &str = "\"sequence_num\":";
    match text.split_once(FIELD) {
        Some((before, rest)) => {
            let after = rest.trim_start_matches(|digit: char| digit.is_ascii_digit());
            format!("{before}{FIELD}{number}{after}")
        }
        None => text.to_owned(),
    }
}

/// A whole recorded session of Kraken: every frame, in order, and its book's checksums.
pub struct KrakenSession {
    lanes: Vec<Vec<(Frame, Bare)>>,
    /// Frames in all lanes.
    pub messages: usize,
}

impl KrakenSession {
    /// Reads the session.
    pub fn new() -> Result<Self> {
        let kind_of = |frame: Frame| {
            let kind = Kind::of("kraken", text(&frame)?).ok_or("a frame of no kind")?;
            Ok((frame, kind.bare))
        };
        let lanes = session("kraken")?
            .into_iter()
            .map(|(_, frames)| frames.into_iter().map(kind_of).collect());
        let lanes = lanes.collect::<Result<Vec<Vec<_>>>>()?;
        let messages = lanes.iter().map(Vec::len).sum();
        Ok(Self { lanes, messages })
    }

    /// Decodes the session from its start, each lane with a decoder of its own, into one batch a lane.
    pub fn ours(&self, verify_checksums: bool) -> Result<Vec<Vec<Event>>> {
        let lane = |frames: &Vec<(Frame, Bare)>| {
            let mut decoder = decoder("kraken", verify_checksums)?;
            let mut events = Vec::with_capacity(frames.len());
            for (frame, _) in frames {
                decoder.decode(black_box(frame), &mut events)?;
            }
            Ok(events)
        };
        self.lanes.iter().map(lane).collect()
    }

    /// Reads all frames into typed structs, and keeps none of them.
    pub fn reference(&self) -> Result<()> {
        for (frame, bare) in self.lanes.iter().flatten() {
            bare(black_box(&frame.payload))?;
        }
        Ok(())
    }

    /// How many books were compared with the venue's checksum and found to agree.
    ///
    /// # Errors
    /// If one does not.
    pub fn verified(&self) -> Result<usize> {
        let lanes = self.ours(true)?;
        let checksums = lanes.iter().flatten().filter_map(|event| match &event.data {
            Data::Book(book) => book.checksum,
            _ => None,
        });
        let (agreed, other): (Vec<_>, Vec<_>) = checksums.partition(|checksum| *checksum == Checksum::Ok);
        if agreed.is_empty() || !other.is_empty() {
            return Err(format!("{} checksums agree, {} do not", agreed.len(), other.len()).into());
        }
        Ok(agreed.len())
    }
}
