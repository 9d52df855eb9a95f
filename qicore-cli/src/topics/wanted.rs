//! The topics that a command line asks for, and where.

use std::process::ExitCode;

use qicore::stores::kafka::Connection;
use qicore::stores::kafka::admin::{Contents, TopicSpec, TopicsConfig, default_topics};
use qicore::{Error, Result, Secret};

use super::args::Which;
use super::pipelines::{Cluster, Uses};
use crate::{commands, report};

/// The topics of a cluster.
pub(super) struct Wanted {
    pub(super) connection: Connection,
    pub(super) topics: Vec<TopicSpec>,
}

/// What is asked for; or the exit status once mistakes in files have been told.
pub(super) fn wanted(which: &Which) -> Result<Result<Vec<Wanted>, ExitCode>> {
    let config = match config(which)? {
        Ok(config) => config,
        Err(mistaken) => return Ok(Err(mistaken)),
    };
    let clusters = if which.files.is_empty() {
        vec![named(which, &config)?]
    } else {
        let mut uses = Uses::new(config.connection.clone());
        for path in &which.files {
            if let Err(mistakes) = uses.read(&commands::read(path)?) {
                return Ok(Err(report::mistakes(path, &mistakes)));
            }
        }
        let clusters = uses.clusters();
        if clusters.is_empty() {
            let message = "no source, table or sink of type \"kafka\" in these files: there are no topics to make";
            return Err(Error::config("topics", message));
        }
        if !which.quiet {
            tell_unused(&config, &clusters);
        }
        clusters
    };
    let wanted = |cluster: Cluster| {
        let topics = cluster.topics.iter();
        Wanted {
            topics: topics.map(|(name, contents)| config.spec(name, *contents)).collect(),
            connection: cluster.connection,
        }
    };
    Ok(Ok(clusters.into_iter().map(wanted).collect()))
}

/// The file of `--spec`, and what the command line says in place of it.
fn config(which: &Which) -> Result<Result<TopicsConfig, ExitCode>> {
    let mut config = TopicsConfig::default();
    if let Some(path) = &which.spec {
        match TopicsConfig::from_toml(&commands::read(path)?) {
            Ok(read) => config = read,
            Err(mistakes) => return Ok(Err(report::mistakes(path, &mistakes))),
        }
    }
    config.partitions = which.partitions.or(config.partitions);
    config.replication = which.replication.or(config.replication);
    if let Some(text) = &which.retention {
        let retention = text.parse();
        config.retention = Some(retention.map_err(|error| Error::config("topics", format!("--retention: {error}")))?);
    }
    Ok(Ok(config))
}

/// The topics that the file names, or else the default ones.
fn named(which: &Which, config: &TopicsConfig) -> Result<Cluster> {
    let mut connection = config.connection.clone().unwrap_or_default();
    let variable = || {
        std::env::var("QICORE_KAFKA_BROKERS")
            .ok()
            .filter(|text| !text.is_empty())
    };
    let asked = which.brokers.clone().map(Secret::new);
    let known = asked.or(connection.brokers).or_else(|| variable().map(Secret::new));
    let Some(brokers) = known else {
        let message = "which brokers? name a pipeline file, or --brokers HOST:PORT, or set QICORE_KAFKA_BROKERS";
        return Err(Error::config("topics", message));
    };
    connection.brokers = Some(brokers);
    connection.check()?;
    let of_file = |name: &String| {
        let contents = match Contents::of_name(name) {
            Contents::Foreign => Contents::Events,
            contents => contents,
        };
        (name.clone(), contents)
    };
    let topics = match config.topics.is_empty() {
        true => default_topics().into_iter().collect(),
        false => config.topics.keys().map(of_file).collect(),
    };
    Ok(Cluster { connection, topics })
}

/// A name that no pipeline has may be a slip of the pen, or another pipeline's.
fn tell_unused(config: &TopicsConfig, clusters: &[Cluster]) {
    let used = |name: &String| clusters.iter().any(|cluster| cluster.topics.contains_key(name));
    let unused: Vec<_> = config.topics.keys().filter(|name| !used(name)).cloned().collect();
    if !unused.is_empty() {
        report::line(&format!(
            "left out, as none of the pipelines uses them: {}",
            unused.join(", ")
        ));
    }
}
