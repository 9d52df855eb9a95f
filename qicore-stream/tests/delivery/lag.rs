//! How far behind a source is, as it is told.

use std::sync::Arc;
use std::time::Duration;

use qicore_data::{Batch, BatchLimit, Lane, Position, Result, Resume, Source, SourceCapabilities};
use qicore_stream::testkit::trades;

use super::pipeline;
use super::store::{Mode, Store};

/// Gives one batch, tells that more is behind it, and learns later that there is none; then another process takes the lane.
struct Follower {
    given: bool,
    lag: Option<u64>,
}

fn lane() -> Lane {
    Lane::new("a")
}

#[async_trait::async_trait]
impl Source for Follower {
    fn name(&self) -> &str {
        "follower"
    }

    fn capabilities(&self) -> SourceCapabilities {
        SourceCapabilities::default().replayable().tells_lag()
    }

    async fn open(&mut self, _: Arc<dyn Resume>) -> Result<()> {
        Ok(())
    }

    async fn next_batch(&mut self, _: BatchLimit) -> Result<Option<Batch>> {
        if !std::mem::replace(&mut self.given, true) {
            return Ok(Some(Batch::events(lane(), trades(0..5), Position::at(5))));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        self.lag = match self.lag {
            Some(1) => Some(0),
            _ => None,
        };
        std::future::pending().await
    }

    fn lag(&self) -> Vec<(Lane, u64)> {
        self.lag.map(|lag| (lane(), lag)).into_iter().collect()
    }
}

#[tokio::test(start_paused = true)]
async fn it_is_asked_for_while_nothing_comes() {
    let follower = Follower {
        given: false,
        lag: Some(1),
    };
    let run = pipeline(super::three_lanes(0)).source(follower);
    let run = run.sink(Store::new(Mode::Plain)).build().unwrap().start();
    let mut told = Vec::new();
    for _ in 0..1000 {
        told.push(run.stats().total().lag);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    told.dedup();
    assert_eq!(told, [None, Some(1), Some(0), None]);
    run.stop();
    run.wait().await.unwrap();
}
