//! The writer of one lane: staged parts, and their publication together with a checkpoint.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use qicore_data::{Checkpoint, Delivery, Error, ErrorKind, Lane, Receipt, RejectedRow, Result};

use super::Shared;
use super::format::{Format, Row};
use super::manifest::Manifest;
use super::part::{Part, Spare};
use super::partition::Partition;
use super::place::{Lock, Place};

pub(crate) struct LaneWriter<F: Format> {
    shared: Arc<Shared<F>>,
    lane: Lane,
    place: Place,
    /// Held from the first staged row to its publication. Another process may take the lane up in between; the
    /// manifest's sequence tells.
    lock: Option<Lock>,
    manifest: Manifest,
    parts: Vec<Part<F::Encoder>>,
    by_partition: HashMap<Partition, usize>,
    /// When the first delivery that is not yet published came.
    since: Option<Instant>,
    /// The checkpoint of the latest delivery, if it had one: what a publication now would hold.
    checkpoint: Option<Arc<Checkpoint>>,
    /// A delivery that is encoded, but not yet answered with success.
    unanswered: Option<Unanswered>,
    /// The manifest is replaced; its files may not have their final names yet.
    committed: bool,
    /// An encoder failed or a call was given up half way: what is staged cannot be trusted.
    pub(crate) broken: bool,
    spare: Spare,
}

struct Unanswered {
    token: String,
    rejected: Vec<RejectedRow>,
}

impl<F: Format> LaneWriter<F> {
    /// Takes the lane up: ends an interrupted publication, and removes what was not published.
    pub(crate) fn open(shared: Arc<Shared<F>>, lane: Lane) -> Result<Self> {
        let place = Place::new(&shared.config.path, F::NAME, &lane);
        let _lock = place.lock(&shared.disk, &lane)?;
        let manifest = place.recover(&shared.disk, &lane)?;
        Ok(Self {
            shared,
            lane,
            place,
            lock: None,
            manifest,
            parts: Vec::new(),
            by_partition: HashMap::new(),
            since: None,
            checkpoint: None,
            unanswered: None,
            committed: false,
            broken: false,
            spare: Spare::default(),
        })
    }

    pub(crate) fn stored(&self) -> Option<&Checkpoint> {
        self.manifest.checkpoint.as_ref()
    }

    pub(crate) fn write(&mut self, delivery: &Delivery) -> Result<Receipt> {
        self.usable()?;
        let token = delivery.token();
        match &self.unanswered {
            Some(earlier) if earlier.token == token => {}
            Some(earlier) => return Err(self.out_of_turn(&earlier.token, &token)),
            None => {
                self.take_lock()?;
                self.encode(delivery, token)?;
            }
        }
        for at in 0..self.parts.len() {
            self.write_part(at)?;
        }
        // Refused rows must be in the dead letters before the stored checkpoint covers them; a flush comes after that.
        let refused = self.unanswered.as_ref().is_some_and(|done| !done.rejected.is_empty());
        let publish = self.committed || self.checkpoint.is_some() && self.due() && !refused;
        if publish {
            self.publish()?;
        }
        let mut receipt = if publish { Receipt::durable() } else { Receipt::staged() };
        receipt.rejected = self.unanswered.take().map(|done| done.rejected).unwrap_or_default();
        Ok(receipt)
    }

    pub(crate) fn flush(&mut self) -> Result<()> {
        self.usable()?;
        if self.since.is_none() && !self.committed {
            return Ok(());
        }
        if self.unanswered.is_some() || self.checkpoint.is_none() && !self.committed {
            let message = "flush before a delivery with a checkpoint has succeeded";
            return Err(Error::new(ErrorKind::Internal, "files.flush", message).with("lane", &self.lane));
        }
        self.publish()
    }

    /// The lane's source has ended, and everything of it is published.
    pub(crate) fn is_done(&self) -> bool {
        self.since.is_none() && self.unanswered.is_none() && self.stored().is_some_and(|stored| stored.finished)
    }

    /// Rows that are written, but not published.
    pub(crate) fn unpublished(&self) -> u64 {
        self.parts.iter().map(Part::rows).sum()
    }

    fn usable(&self) -> Result<()> {
        if !self.broken && !self.parts.iter().any(Part::is_lost) {
            return Ok(());
        }
        let message = "an earlier write of this lane failed half way, so that its staged files cannot be trusted";
        Err(Error::new(ErrorKind::Abandoned, "files.write", message)
            .with("lane", &self.lane)
            .with(
                "advice",
                "restart: the lane resumes from its last published checkpoint, nothing is lost",
            ))
    }

    fn out_of_turn(&self, expected: &str, got: &str) -> Error {
        let message = "a delivery came before the failed one before it was tried again";
        Error::new(ErrorKind::Internal, "files.write", message)
            .with("expected", expected)
            .with("got", got)
    }

    fn take_lock(&mut self) -> Result<()> {
        if self.lock.is_some() {
            return Ok(());
        }
        let lock = self.place.lock(&self.shared.disk, &self.lane)?;
        let stored = Manifest::read(&self.place.manifest, &self.lane)?;
        if stored.sequence != self.manifest.sequence {
            self.broken = true;
            let message = "another process has written this lane in the meantime";
            return Err(Error::new(ErrorKind::Unavailable, "files.lock", message)
                .with("lane", &self.lane)
                .with(
                    "advice",
                    "give each pipeline a folder of its own, or restart to resume after the other",
                ));
        }
        self.lock = Some(lock);
        Ok(())
    }

    /// Encodes a delivery into the parts. No I/O: what is encoded stays with the parts until it is written.
    fn encode(&mut self, delivery: &Delivery, token: String) -> Result<()> {
        let mut rows: Vec<Vec<Row<'_>>> = Vec::new();
        let mut current: Option<(Partition, usize)> = None;
        for (index, event) in delivery.iter().enumerate() {
            let partition = Partition::of(event);
            if !self.shared.wants(partition.event_type) {
                continue;
            }
            let at = match current {
                Some((same, at)) if same == partition => at,
                _ => self.part(partition)?,
            };
            current = Some((partition, at));
            if rows.len() <= at {
                rows.resize_with(at + 1, Vec::new);
            }
            rows[at].push(Row { index, event });
        }
        let mut rejected = Vec::new();
        // From here on the delivery counts as taken: a retry must not encode it again.
        self.broken = true;
        for (part, rows) in self.parts.iter_mut().zip(&rows) {
            if !rows.is_empty() {
                part.encode(rows, &mut rejected, &mut self.spare)?;
            }
        }
        self.broken = false;
        rejected.sort_by_key(|row| row.index);
        self.unanswered = Some(Unanswered { token, rejected });
        self.checkpoint.clone_from(&delivery.checkpoint);
        self.since.get_or_insert_with(Instant::now);
        Ok(())
    }

    fn part(&mut self, partition: Partition) -> Result<usize> {
        if let Some(at) = self.by_partition.get(&partition) {
            return Ok(*at);
        }
        let (at, sequence) = (self.parts.len(), self.manifest.sequence + 1);
        let file_name = format!("{}-{sequence:010}.{}", self.lane.file_name(), F::NAME);
        let encoder = self.shared.format.encoder(partition.event_type)?;
        let staged = format!("{sequence:010}-{at:06}.part");
        let target = partition.folder().join(file_name);
        self.parts.push(Part::new(encoder, &self.place.staging, staged, target));
        self.by_partition.insert(partition, at);
        Ok(at)
    }

    fn write_part(&mut self, at: usize) -> Result<()> {
        let part = &mut self.parts[at];
        part.write(&self.shared.disk, &mut self.spare)?;
        if at >= self.shared.config.max_open_files {
            part.park();
        }
        Ok(())
    }

    fn due(&self) -> bool {
        let config = &self.shared.config;
        self.since.is_some_and(|since| since.elapsed() >= config.rotate_after)
            || self.parts.len() > config.max_open_files
            || self.parts.iter().any(|part| part.bytes() >= config.rotate_bytes)
    }

    /// Makes everything staged durable, together with the checkpoint. May be called again after an error.
    fn publish(&mut self) -> Result<()> {
        let disk = &self.shared.disk;
        if !self.committed {
            for part in self.parts.iter_mut().filter(|part| part.rows() > 0) {
                part.finish(disk, &mut self.spare)?;
            }
            disk.sync_dir(&self.place.staging)?;
            let mut next = Manifest::new(self.lane.clone());
            next.sequence = self.manifest.sequence + 1;
            next.checkpoint = self.checkpoint.as_deref().cloned();
            next.files = self.parts.iter().filter_map(Part::published).collect();
            next.write(disk, &self.place.manifest)?;
            self.manifest = next;
            self.committed = true;
        }
        self.place.roll_forward(disk, &self.manifest.files)?;
        // Parts without a row, all of theirs having been rejected.
        self.place.clear_staging(disk)?;
        self.parts.clear();
        self.by_partition.clear();
        self.since = None;
        self.committed = false;
        self.lock = None;
        Ok(())
    }
}
