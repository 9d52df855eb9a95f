//! How many events a lane has seen go by, over all its runs.

use qicore_data::{Checkpoint, Error, ErrorKind, Result, Snapshot};
use serde::{Deserialize, Serialize};

/// The name of its state in a checkpoint. No transform's begins so: theirs begin with their place.
pub(super) const TALLY: &str = "tally";

/// Events since the lane's first start. They number the letters of refused ones, and go into the checkpoint, so that an
/// event has the same number in every run.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Tally {
    /// Handed out to the sinks.
    pub(super) given: u64,
    /// Refused, by transform.
    pub(super) refused: Vec<u64>,
}

impl Tally {
    pub(super) fn restored(from: Option<&Checkpoint>, transforms: usize) -> Result<Self> {
        let state = from.and_then(|from| from.state.iter().find(|state| state.stage == TALLY));
        let read = state.map(|snapshot| serde_json::from_str(&snapshot.state)).transpose();
        let mut tally: Self = read.map_err(internal)?.unwrap_or_default();
        tally.refused.resize(transforms, 0);
        Ok(tally)
    }

    pub(super) fn snapshot(&self) -> Result<Snapshot> {
        Ok(Snapshot {
            stage: TALLY.to_owned(),
            state: serde_json::to_string(self).map_err(internal)?.into(),
        })
    }
}

fn internal(error: serde_json::Error) -> Error {
    Error::new(ErrorKind::Checkpoint, "lane.tally", "the stored state is damaged").with_source(error)
}
