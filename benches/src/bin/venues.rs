//! Prints how fast the venues' source is, against local venues in processes of their own: the program `qicore-localvenue`,
//! built beside this one. A line each: `RATIO name value (ours X unit, reference Y unit)`, with `CORE name X unit of a core`
//! for all the processor time that it took; `LATENCY name …`; `SOAK name …`.
//!
//! Arguments are names, or the beginnings of names. Without any, everything is measured.

use std::io::Write;

use qicore_benches::Result;
use qicore_benches::venues::{Feed, Limited, Venue, books, free, limited, receive_to_sink, soak};

fn main() -> Result<()> {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|start| name.starts_with(start.as_str()));
    for venue in Venue::ALL {
        if wanted(&format!("venues/frames-{}", venue.name())) {
            let (ratio, core) = Feed::new(venue)?.measured()?;
            say(ratio)?;
            say(core)?;
        }
    }
    if wanted("venues/receive-to-sink") {
        say(receive_to_sink()?)?;
    }
    if wanted("venues/books-kraken") {
        say(books()?)?;
    }
    if wanted("venues/backfill-limit") {
        say(limited(Limited::BENCH)?)?;
    }
    if wanted("venues/backfill-free") {
        let (ratio, core) = free()?;
        say(ratio)?;
        say(core)?;
    }
    if wanted("venues/live") {
        let (lines, sound) = soak()?;
        lines.into_iter().try_for_each(say)?;
        if !sound {
            return Err("trades were lost, or came twice".into());
        }
    }
    Ok(())
}

fn say(line: impl std::fmt::Display) -> Result<()> {
    Ok(writeln!(std::io::stdout(), "{line}")?)
}
