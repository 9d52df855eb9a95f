//! Making up for differences.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use qicore_data::{Error, ErrorKind, Result, RetryAdvice};

use super::client::Admin;
use super::found::Found;
use super::plan::planned;
use super::{Change, Planned, TopicSpec, check_all};
use crate::kafka::Connection;

/// What of a topic that is there may be changed. Nothing, by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Allowed {
    /// Partitions may be added. They move keys to other partitions, and cannot be taken away again.
    pub partitions: bool,
    /// Settings may be changed, which may remove data.
    pub settings: bool,
}

impl Allowed {
    fn covers(self, change: &Change) -> bool {
        match change {
            Change::Missing => true,
            Change::MorePartitions { .. } => self.partitions,
            // One that the brokers do not know would be refused, and all others with it.
            Change::Setting { is, .. } => self.settings && is.is_some(),
            Change::Drift { .. } => false,
        }
    }
}

/// What came of a topic.
#[derive(Debug)]
#[non_exhaustive]
pub struct Applied {
    /// What has been changed.
    pub done: Vec<Change>,
    /// How the topic is now, and how it still differs.
    pub now: Planned,
    /// Why something that was to be done was not.
    pub failed: Option<Error>,
}

/// Makes the topics that are missing, and changes of others what is [allowed](Allowed). Then waits, as long as a request of
/// the connection may take, until clients see it.
///
/// What is as it should be is left alone, so that it may be done again, and by several programs at once: what counts is how
/// the topics are afterwards, whoever made them.
///
/// # Errors
/// Those of [`plan`](super::plan()), with nothing changed. What fails with a single topic is told with it.
pub async fn apply(connection: &Connection, specs: &[TopicSpec], allowed: Allowed) -> Result<Vec<Applied>> {
    check_all(specs)?;
    let specs = specs.to_vec();
    Admin::work(connection, move |admin| applied(admin, &specs, allowed)).await
}

/// Makes topics, and waits until clients see them; one that is there already is left as it is.
///
/// # Errors
/// What the brokers fail with.
pub async fn create(connection: &Connection, specs: &[TopicSpec]) -> Result<()> {
    check_all(specs)?;
    let specs = specs.to_vec();
    Admin::work(connection, move |admin| {
        let wanted: Vec<_> = specs.iter().collect();
        if let Some((_, error)) = admin.create(&wanted).pop_first() {
            return Err(error);
        }
        let until = Instant::now() + admin.timeout();
        for spec in &specs {
            let ready = |layout| admin.leads(&spec.name, &layout);
            while !admin.topic(&spec.name)?.is_some_and(ready) {
                pause(until).ok_or_else(|| not_seen(spec))?;
            }
        }
        Ok(())
    })
    .await
}

/// Waits a little, if there is time left.
fn pause(until: Instant) -> Option<()> {
    (Instant::now() < until).then(|| std::thread::sleep(Duration::from_millis(20)))
}

fn not_seen(spec: &TopicSpec) -> Error {
    let message = "it was asked for, and the brokers do not show it yet";
    Error::new(ErrorKind::Timeout, "kafka.topics", message)
        .with_retry(RetryAdvice::Backoff)
        .with("topic", &spec.name)
}

fn applied(admin: &Admin, specs: &[TopicSpec], allowed: Allowed) -> Result<Vec<Applied>> {
    let before = planned(admin, specs)?;
    let asked = |topic: &Planned| -> Vec<Change> {
        let covered = topic.changes.iter().filter(|change| allowed.covers(change));
        covered.cloned().collect()
    };
    let asked: Vec<_> = before.iter().map(asked).collect();
    let mut failures = act(admin, &before, &asked);
    let after = settled(admin, before, &asked, &failures)?;
    let applied = after.into_iter().zip(asked).map(|(now, asked)| {
        let (left, done): (Vec<_>, Vec<_>) = asked.into_iter().partition(|change| is_left(change, &now));
        let failed = left.first().map(|change| {
            let told = failures.remove(&now.spec.name);
            told.unwrap_or_else(|| not_taken(change, &now.spec))
        });
        Applied { done, now, failed }
    });
    Ok(applied.collect())
}

/// Does what was asked, and gives what there was against it for each topic.
fn act(admin: &Admin, topics: &[Planned], asked: &[Vec<Change>]) -> BTreeMap<String, Error> {
    let (mut missing, mut narrow, mut other) = (Vec::new(), Vec::new(), Vec::new());
    for (topic, asked) in topics.iter().zip(asked) {
        let any = |wanted: fn(&Change) -> bool| asked.iter().any(wanted);
        missing.extend(any(|change| matches!(change, Change::Missing)).then_some(&topic.spec));
        narrow.extend(any(|change| matches!(change, Change::MorePartitions { .. })).then_some(&topic.spec));
        other.extend(any(|change| matches!(change, Change::Setting { .. })).then_some(topic));
    }
    let mut failures = BTreeMap::new();
    if !missing.is_empty() {
        failures.append(&mut admin.create(&missing));
    }
    if !narrow.is_empty() {
        failures.append(&mut admin.add_partitions(&narrow));
    }
    for topic in other {
        if let Err(error) = change_settings(admin, topic) {
            failures.insert(topic.spec.name.clone(), error);
        }
    }
    failures
}

/// Sends all settings that the topic has of its own, with the changed ones among them: the driver knows only the request
/// that replaces them all, and not the later one that names single ones. What somebody else changes between the reading
/// and this is undone by it, which is why it is done only where it was asked for.
fn change_settings(admin: &Admin, topic: &Planned) -> Result<()> {
    let mut settings = BTreeMap::new();
    let found = topic.found.iter().flat_map(|found| &found.settings);
    for (name, setting) in found.filter(|(_, setting)| setting.own && !setting.fixed) {
        let Some(value) = &setting.value else {
            let message =
                format!("the topic has a secret setting, {name}, which would be lost by changing another one");
            let command = "kafka-configs.sh --alter --entity-type topics --entity-name TOPIC --add-config NAME=VALUE";
            return Err(Error::new(ErrorKind::Unsupported, "kafka.change_settings", message)
                .with("topic", &topic.spec.name)
                .with("advice", command));
        };
        settings.insert(name.clone(), value.clone());
    }
    for change in &topic.changes {
        if let Change::Setting {
            name,
            is: Some(_),
            wanted,
        } = change
        {
            settings.insert(name.clone(), wanted.clone());
        }
    }
    admin.replace_settings(&topic.spec.name, &settings)
}

/// The topics once all is seen that was asked for and has not failed, or when the time for that is over. The brokers
/// learn of a change one after the other.
fn settled(
    admin: &Admin,
    before: Vec<Planned>,
    asked: &[Vec<Change>],
    failures: &BTreeMap<String, Error>,
) -> Result<Vec<Planned>> {
    if asked.iter().all(Vec::is_empty) {
        return Ok(before);
    }
    let specs: Vec<_> = before.into_iter().map(|topic| topic.spec).collect();
    let until = Instant::now() + admin.timeout();
    loop {
        let waits = |(now, asked): (&Planned, &Vec<Change>)| {
            let unseen = asked.iter().any(|change| is_left(change, now));
            let ready = |found: &Found| admin.leads(&now.spec.name, &found.layout);
            let waits = !asked.is_empty() && !failures.contains_key(&now.spec.name);
            waits && (unseen || !now.found.as_ref().is_some_and(ready))
        };
        match planned(admin, &specs) {
            Ok(now) if !now.iter().zip(asked).any(waits) => return Ok(now),
            now => {
                if pause(until).is_none() {
                    return now.map_err(|error| {
                        error.with(
                            "advice",
                            "some of the topics may have been made: apply once more, and see",
                        )
                    });
                }
            }
        }
    }
}

fn is_left(change: &Change, now: &Planned) -> bool {
    let left = |left: &Change| match (change, left) {
        (Change::Missing, Change::Missing) | (Change::MorePartitions { .. }, Change::MorePartitions { .. }) => true,
        (Change::Setting { name, .. }, Change::Setting { name: left, .. }) => name == left,
        _ => false,
    };
    now.changes.iter().any(left)
}

fn not_taken(change: &Change, spec: &TopicSpec) -> Error {
    let Change::Setting { name, .. } = change else {
        return not_seen(spec);
    };
    // The driver does not tell why.
    let message = format!("the brokers have not taken {name}");
    Error::new(ErrorKind::Rejected, "kafka.change_settings", message)
        .with("topic", &spec.name)
        .with(
            "advice",
            "the user needs AlterConfigs on the topic, and the values must be valid",
        )
}
