//! What there is.

use std::collections::BTreeMap;
use std::fmt;

use qicore_data::Result;

use super::TopicSpec;
use super::client::Admin;

/// How a topic is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) partitions: i32,
    /// The least and the most copies of a partition.
    pub(super) replication: (i32, i32),
    /// Whether every partition has a leader.
    pub(super) ready: bool,
}

/// A setting as it is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Setting {
    /// `None` where the brokers keep it secret.
    pub(super) value: Option<String>,
    /// Whether it is the topic's own, and not what the brokers have for all.
    pub(super) own: bool,
    pub(super) fixed: bool,
}

/// A topic as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub(super) layout: Layout,
    pub(super) settings: BTreeMap<String, Setting>,
}

impl Found {
    /// Partitions.
    pub fn partitions(&self) -> i32 {
        self.layout.partitions
    }

    /// The least and the most copies that a partition has.
    pub fn replication(&self) -> (i32, i32) {
        self.layout.replication
    }

    /// The value of a setting that is in force, be it the topic's own or the brokers' default.
    pub fn setting(&self, name: &str) -> Option<&str> {
        self.settings.get(name)?.value.as_deref()
    }

    /// The settings that the topic has of its own.
    pub fn own_settings(&self) -> impl Iterator<Item = (&str, &str)> {
        let own = self.settings.iter().filter(|(_, setting)| setting.own);
        own.filter_map(|(name, setting)| Some((name.as_str(), setting.value.as_deref()?)))
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let copies = match self.layout.replication {
            (least, most) if least == most => most.to_string(),
            (least, most) => format!("{least} to {most}"),
        };
        write!(f, "{} × {copies}", self.layout.partitions)
    }
}

/// The topics of a list of wishes as they are; `None` for one that is not there.
pub(super) fn find(admin: &Admin, specs: &[TopicSpec]) -> Result<Vec<Option<Found>>> {
    let layouts = specs.iter().map(|spec| admin.topic(&spec.name));
    let layouts = layouts.collect::<Result<Vec<_>>>()?;
    let there = specs.iter().zip(&layouts).filter(|(_, layout)| layout.is_some());
    let there: Vec<_> = there.map(|(spec, _)| spec.name.as_str()).collect();
    let mut settings = admin.settings(&there)?;
    let found = |(spec, layout): (&TopicSpec, Option<Layout>)| {
        Some(Found {
            layout: layout?,
            settings: settings.remove(&spec.name).unwrap_or_default(),
        })
    };
    Ok(specs.iter().zip(layouts).map(found).collect())
}
