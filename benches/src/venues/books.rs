//! Maintained order books, against so many feeds in real time.

use std::hint::black_box;
use std::time::Duration;

use qicore::sources::{Venue, VenueContext};
use qicore::{Checksum, Data, Decoder, Event, Frame};

use crate::Result;
use crate::frames::{session, text};
use crate::kinds::Kind;
use crate::ratio::{Ratio, measure, passes_in, timed};

/// Feeds like the recorded one that are to be kept by a core with ease.
const FEEDS: f64 = 100.0;
const SAMPLE: Duration = Duration::from_millis(200);
const ROUNDS: usize = 9;

/// The recorded books of Kraken, and what their decoders have to know before.
struct Recorded {
    lanes: Vec<Vec<Frame>>,
    books: usize,
    /// Of the market.
    time: Duration,
}

impl Recorded {
    fn new() -> Result<Self> {
        let (mut books, mut times) = (0, Vec::new());
        let mut lanes = session("kraken")?;
        for (_, frames) in &mut lanes {
            let mut kept = Vec::new();
            for frame in frames.drain(..) {
                let kind = Kind::of("kraken", text(&frame)?).ok_or("a frame of no kind")?;
                if kind.name.starts_with("book") {
                    books += 1;
                    times.extend(frame.received);
                    kept.push(frame);
                } else if ["AssetPairs", "control"].contains(&kind.name) {
                    kept.push(frame);
                }
            }
            *frames = kept;
        }
        let (first, last) = (times.iter().min(), times.iter().max());
        Ok(Self {
            lanes: lanes.into_iter().map(|(_, frames)| frames).collect(),
            books,
            time: match (first, last) {
                (Some(first), Some(last)) => last.since(*first),
                _ => return Err("no books in the recorded session".into()),
            },
        })
    }

    /// Decodes the session, keeps each book and compares it with its checksum. How many agreed.
    fn pass(&self, events: &mut Vec<Event>) -> Result<usize> {
        let mut agreed = 0;
        for frames in &self.lanes {
            let context = VenueContext::new("kraken", "kraken")?.verify_checksums(true);
            let mut decoder: Box<dyn Decoder> = Venue::named("kraken")?.decoder(&context)?;
            events.clear();
            for frame in frames {
                decoder.decode(black_box(frame), events)?;
            }
            for event in black_box(&*events) {
                if let Data::Book(book) = &event.data {
                    match book.checksum {
                        Some(Checksum::Ok) => agreed += 1,
                        Some(_) => return Err("a checksum does not agree".into()),
                        None => {}
                    }
                }
            }
        }
        Ok(agreed)
    }
}

/// The line `venues/books-kraken`: frames a second on one core, over those of a hundred feeds.
pub fn books() -> Result<Ratio> {
    let recorded = Recorded::new()?;
    let mut events = Vec::new();
    let agreed = recorded.pass(&mut events)?;
    if agreed * 10 < recorded.books * 9 {
        return Err(format!("of {} messages {agreed} books were compared", recorded.books).into());
    }
    let mut pass = || recorded.pass(&mut events).map(drop);
    let passes = passes_in(SAMPLE, &mut pass)?;
    let work = (passes * recorded.books) as f64;
    measure(
        "venues/books-kraken",
        "frames/s",
        ROUNDS,
        (work, FEEDS * recorded.books as f64),
        &mut || timed(passes, &mut pass),
        &mut || Ok(recorded.time),
    )
}
