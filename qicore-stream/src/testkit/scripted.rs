use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use async_trait::async_trait;
use qicore_data::{
    Batch, BatchLimit, Checkpoint, Content, Decoder, Error, ErrorKind, Event, Lane, LaneEnd, Offsets, Position, Result,
    Resume, Source, SourceCapabilities,
};

/// Makes the decoder of a scripted lane.
type NewDecoder = Arc<dyn Fn(&Lane) -> Box<dyn Decoder> + Send + Sync>;

/// A source that gives prepared batches, for tests and benches. Goes on behind a checkpoint, as a replayable source
/// must.
#[derive(Clone)]
pub struct Scripted {
    batches: VecDeque<Batch>,
    resume: Option<Arc<dyn Resume>>,
    starts: HashMap<Lane, Option<Arc<Checkpoint>>>,
    decoder: Option<NewDecoder>,
    commits: Arc<std::sync::Mutex<Vec<Checkpoint>>>,
}

impl Scripted {
    /// Gives these batches, in order. Each lane's last one must carry its end.
    pub fn new(batches: impl IntoIterator<Item = Batch>) -> Self {
        Self {
            batches: batches.into_iter().collect(),
            resume: None,
            starts: HashMap::new(),
            decoder: None,
            commits: Arc::default(),
        }
    }

    /// Gives events of one lane, `size` a batch, with offsets from 1.
    pub fn events(lane: &str, events: Vec<Event>, size: usize) -> Self {
        Self::lanes([(lane, events)], size)
    }

    /// Gives events of several lanes, `size` a batch, in turn.
    pub fn lanes<'a>(lanes: impl IntoIterator<Item = (&'a str, Vec<Event>)>, size: usize) -> Self {
        let mut queues: VecDeque<VecDeque<Batch>> = lanes
            .into_iter()
            .map(|(lane, events)| cut(lane, &events, size))
            .collect();
        let mut batches = Vec::new();
        while let Some(mut queue) = queues.pop_front() {
            if let Some(batch) = queue.pop_front() {
                batches.push(batch);
                queues.push_back(queue);
            }
        }
        Self::new(batches)
    }

    /// Sets the decoder of lanes whose batches hold frames.
    #[must_use]
    pub fn decoder(mut self, new: impl Fn(&Lane) -> Box<dyn Decoder> + Send + Sync + 'static) -> Self {
        self.decoder = Some(Arc::new(new));
        self
    }

    /// What has been committed so far, also by clones of this source.
    pub fn commits(&self) -> Vec<Checkpoint> {
        self.commits
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .clone()
    }
}

fn cut(lane: &str, events: &[Event], size: usize) -> VecDeque<Batch> {
    let lane = Lane::new(lane);
    let mut offset = 0;
    let mut batches: VecDeque<_> = events
        .chunks(size)
        .map(|events| {
            offset += events.len() as u64;
            Batch::events(lane.clone(), events.to_vec(), Position::at(offset))
        })
        .collect();
    match batches.back_mut() {
        Some(last) => last.end = Some(LaneEnd::Exhausted),
        None => batches.push_back(Batch::end(lane, Position::at(0), LaneEnd::Exhausted)),
    }
    batches
}

/// Takes the first `items` out of a batch that has more.
fn first_part(batch: &mut Batch, items: usize) -> Option<Batch> {
    let len = batch.content.len();
    if len <= items {
        return None;
    }
    let cut = match &batch.content {
        Content::Frames(frames) => frames[items - 1].offset,
        Content::Events(_, Offsets::Each(offsets)) => offsets[items - 1],
        _ => batch.position.offset - (len - items) as u64,
    };
    Some(batch.split_to(cut))
}

#[async_trait]
impl Source for Scripted {
    fn name(&self) -> &str {
        "scripted"
    }

    fn capabilities(&self) -> SourceCapabilities {
        SourceCapabilities::default().replayable().finite()
    }

    async fn open(&mut self, resume: Arc<dyn Resume>) -> Result<()> {
        self.resume = Some(resume);
        Ok(())
    }

    async fn next_batch(&mut self, limit: BatchLimit) -> Result<Option<Batch>> {
        while let Some(batch) = self.batches.front() {
            let start = match (self.starts.get(&batch.lane), &self.resume) {
                (Some(start), _) => start.clone(),
                (None, Some(resume)) => {
                    let start = resume.checkpoint(&batch.lane).await?;
                    self.starts.insert(batch.lane.clone(), start.clone());
                    start
                }
                (None, None) => return Err(Error::new(ErrorKind::Internal, "scripted.next_batch", "not opened")),
            };
            let Some(mut batch) = self.batches.pop_front() else {
                break;
            };
            if start.as_ref().is_some_and(|start| start.finished) {
                continue;
            }
            batch.split_to(start.map_or(0, |start| start.position.offset));
            if let Some(first) = first_part(&mut batch, limit.items) {
                self.batches.push_front(batch);
                return Ok(Some(first));
            }
            if !batch.content.is_empty() || batch.end.is_some() {
                return Ok(Some(batch));
            }
        }
        Ok(None)
    }

    fn decoder(&self, lane: &Lane) -> Result<Box<dyn Decoder>> {
        match &self.decoder {
            Some(new) => Ok(new(lane)),
            None => Err(Error::new(
                ErrorKind::Config,
                "scripted.decoder",
                "frames without .decoder(…)",
            )),
        }
    }

    async fn commit(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        self.commits
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .push(checkpoint.clone());
        Ok(())
    }
}
