//! Recorded frames, as a pipeline's source gives them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use qicore::sources::replay::Replay;
use qicore::{BatchLimit, Content, Frame, FromStart, Lane, Source};

use crate::Result;

/// The workspace's folder.
fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// A recorded session of `examples/data`: the frames of each of its lanes, in order.
pub fn session(venue: &str) -> Result<Vec<(Lane, Vec<Frame>)>> {
    let path = root().join(format!("examples/data/{}.jsonl.zst", venue.to_ascii_uppercase()));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(read(path))
}

async fn read(path: PathBuf) -> Result<Vec<(Lane, Vec<Frame>)>> {
    let mut source = Replay::recording(path);
    source.open(Arc::new(FromStart)).await?;
    let mut lanes: Vec<(Lane, Vec<Frame>)> = Vec::new();
    while let Some(batch) = source.next_batch(BatchLimit::default()).await? {
        let Content::Frames(frames) = batch.content else {
            continue;
        };
        match lanes.iter_mut().find(|(lane, _)| *lane == batch.lane) {
            Some((_, all)) => all.extend(frames),
            None => lanes.push((batch.lane, frames)),
        }
    }
    source.close().await?;
    Ok(lanes)
}

/// A payload from the sources' test data, without the white space between its tokens: venues send none.
pub fn fixture(path: &str) -> Result<Frame> {
    let path = root().join("qicore-sources/tests/fixtures").join(path);
    let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(Frame::new(1, text.split_ascii_whitespace().collect::<String>()))
}

/// The text of a frame.
pub fn text(frame: &Frame) -> Result<&str> {
    Ok(std::str::from_utf8(&frame.payload)?)
}
