//! How what there is differs from what there is to be.

use std::fmt;

use qicore_data::Result;

use super::client::Admin;
use super::found::{Found, find};
use super::{Partitions, TopicSpec, check_all};
use crate::kafka::Connection;

/// A difference between a topic and what it is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// It is not there. The only difference that is made up for unasked.
    Missing,
    /// It has too few partitions. More of them are possible, but move keys to other ones: a symbol's events are in two
    /// partitions then, and no longer in order.
    MorePartitions {
        /// How many there are.
        from: i32,
        /// How many there are to be.
        to: i32,
    },
    /// A setting has another value.
    Setting {
        /// Its name.
        name: String,
        /// The value in force; `None` where the brokers do not know the setting, or keep it secret.
        is: Option<String>,
        /// The value that it is to have.
        wanted: String,
    },
    /// What cannot be changed in place: too many partitions, another number of copies.
    Drift {
        /// What differs.
        what: &'static str,
        /// How it is.
        is: String,
        /// How it is to be.
        wanted: String,
    },
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("missing"),
            Self::MorePartitions { from, to } => write!(f, "partitions: {from} → {to}"),
            Self::Setting { name, is, wanted } => {
                write!(f, "{name}: {} → {wanted}", is.as_deref().unwrap_or("unknown"))
            }
            Self::Drift { what, is, wanted } => write!(f, "{what}: {is} → {wanted}"),
        }
    }
}

/// A topic, what it is to be, and how it differs from that.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Planned {
    /// What it is to be.
    pub spec: TopicSpec,
    /// What it is; `None` where it is missing.
    pub found: Option<Found>,
    /// How it differs; nothing where it is as it should be.
    pub changes: Vec<Change>,
}

impl Planned {
    pub(super) fn new(spec: TopicSpec, found: Option<Found>) -> Self {
        Self {
            changes: differences(&spec, found.as_ref()),
            spec,
            found,
        }
    }

    /// Whether the topic is not there.
    pub fn is_missing(&self) -> bool {
        self.found.is_none()
    }
}

/// Compares topics with what they are to be, and changes nothing.
///
/// # Errors
/// [`Config`](qicore_data::ErrorKind::Config) for what no topic can be,
/// [`Unauthorized`](qicore_data::ErrorKind::Unauthorized) where a topic or its settings may not be looked at, and what the
/// brokers fail with.
pub async fn plan(connection: &Connection, specs: &[TopicSpec]) -> Result<Vec<Planned>> {
    check_all(specs)?;
    let specs = specs.to_vec();
    Admin::work(connection, move |admin| planned(admin, &specs)).await
}

pub(super) fn planned(admin: &Admin, specs: &[TopicSpec]) -> Result<Vec<Planned>> {
    let found = find(admin, specs)?;
    let planned = specs.iter().cloned().zip(found);
    Ok(planned.map(|(spec, found)| Planned::new(spec, found)).collect())
}

fn differences(spec: &TopicSpec, found: Option<&Found>) -> Vec<Change> {
    let Some(found) = found else {
        return vec![Change::Missing];
    };
    let mut changes = Vec::new();
    let drift = |what, is: String, wanted: i32| Change::Drift {
        what,
        is,
        wanted: wanted.to_string(),
    };
    let is = found.partitions();
    match spec.partitions {
        Partitions::Exactly(wanted) if is < wanted => changes.push(Change::MorePartitions { from: is, to: wanted }),
        Partitions::Exactly(wanted) if is > wanted => changes.push(drift("partitions", is.to_string(), wanted)),
        _ => {}
    }
    let (least, most) = found.replication();
    match spec.replication {
        Some(wanted) if least == most && most != wanted => {
            changes.push(drift("replication", most.to_string(), wanted));
        }
        Some(wanted) if least != most => changes.push(drift("replication", format!("{least} to {most}"), wanted)),
        _ => {}
    }
    for (name, wanted) in &spec.settings {
        let is = found.setting(name);
        if !is.is_some_and(|is| is_same(is, wanted)) {
            changes.push(Change::Setting {
                name: name.clone(),
                is: is.map(str::to_owned),
                wanted: wanted.clone(),
            });
        }
    }
    changes
}

/// Whether two values mean the same: brokers write numbers and lists in their own way.
pub(super) fn is_same(one: &str, other: &str) -> bool {
    let (one, other) = (one.trim(), other.trim());
    if let (Ok(one), Ok(other)) = (one.parse::<i64>(), other.parse::<i64>()) {
        return one == other;
    }
    if let (Ok(one), Ok(other)) = (one.parse::<f64>(), other.parse::<f64>()) {
        return one == other;
    }
    let parts = |text: &str| {
        let mut parts: Vec<_> = text.split(',').map(|part| part.trim().to_owned()).collect();
        parts.sort_unstable();
        parts
    };
    parts(one) == parts(other)
}

#[cfg(test)]
mod tests {
    use super::super::found::{Layout, Setting};
    use super::*;

    fn found(partitions: i32, replication: (i32, i32), settings: &[(&str, &str)]) -> Found {
        let setting = |(name, value): &(&str, &str)| {
            let setting = Setting {
                value: Some((*value).to_owned()),
                own: true,
                fixed: false,
            };
            ((*name).to_owned(), setting)
        };
        Found {
            layout: Layout {
                partitions,
                replication,
                ready: true,
            },
            settings: settings.iter().map(setting).collect(),
        }
    }

    fn told(spec: TopicSpec, found: Found) -> Vec<String> {
        let planned = Planned::new(spec, Some(found));
        planned.changes.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_is_not_asked_for_is_no_difference() {
        let spec = TopicSpec::new("x", 4).partitions(Partitions::AtFirst(4));
        assert_eq!(told(spec, found(12, (3, 3), &[("retention.ms", "1")])), [""; 0]);
        assert_eq!(Planned::new(TopicSpec::new("x", 1), None).changes, [Change::Missing]);
    }

    #[test]
    fn differences_are_told_one_by_one() {
        let spec = TopicSpec::new("x", 4)
            .replication(Some(3))
            .setting("cleanup.policy", "delete,compact")
            .setting("min.cleanable.dirty.ratio", "0.10")
            .setting("no.such", "1")
            .setting("retention.ms", "1000");
        let settings = [
            ("cleanup.policy", "compact, delete"),
            ("min.cleanable.dirty.ratio", "0.1"),
            ("retention.ms", "-1"),
        ];
        let expected = [
            "partitions: 2 → 4",
            "replication: 1 to 3 → 3",
            "no.such: unknown → 1",
            "retention.ms: -1 → 1000",
        ];
        assert_eq!(told(spec.clone(), found(2, (1, 3), &settings)), expected);
        let many = told(spec, found(8, (3, 3), &settings));
        assert_eq!(many[0], "partitions: 8 → 4");
        assert_eq!(many[1], expected[2], "three copies are wanted, and three there are");
    }

    #[test]
    fn values_are_compared_by_what_they_mean() {
        for (one, other) in [
            ("1000", " 1000"),
            ("0.1", "0.10"),
            ("a,b", "b, a"),
            ("1e1", "10"),
            ("9223372036854775807", "9223372036854775807"),
        ] {
            assert!(is_same(one, other), "{one} {other}");
        }
        for (one, other) in [
            ("9223372036854775807", "9223372036854775806"),
            ("delete", "compact"),
            ("delete", "compact,delete"),
            ("true", "false"),
        ] {
            assert!(!is_same(one, other), "{one} {other}");
        }
    }
}
