//! Plugins by name.

use std::fmt;
use std::sync::Arc;

use crate::dead_letter::DeadLetters;
use crate::settings::{Mistakes, Settings};
use crate::traits::{Sink, Source, Transform};

/// Makes a lane's copy of a transform.
pub type NewTransform = Arc<dyn Fn() -> Box<dyn Transform> + Send + Sync>;

/// Builds a plugin from its section of a configuration file. Connects to nothing.
pub type Build<T> = fn(&Settings) -> Result<T, Mistakes>;

/// A plugin as a registry lists it, whether or not its feature is on.
pub struct Plugin<T> {
    /// The `type` in configuration files.
    pub name: &'static str,
    /// One line about it.
    pub about: &'static str,
    /// The cargo feature that turns it on; empty where it is always there.
    pub feature: &'static str,
    /// How to build it; `None` where its feature is off.
    pub build: Option<Build<T>>,
}

impl<T> Copy for Plugin<T> {}

impl<T> Clone for Plugin<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> fmt::Debug for Plugin<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.name, if self.build.is_some() { "" } else { " (off)" })
    }
}

impl<T> Plugin<T> {
    /// A plugin that is always there.
    pub const fn new(name: &'static str, about: &'static str, build: Build<T>) -> Self {
        Self {
            name,
            about,
            feature: "",
            build: Some(build),
        }
    }

    /// A plugin behind a feature; `build` is `None` where that is off.
    pub const fn behind(
        name: &'static str,
        about: &'static str,
        feature: &'static str,
        build: Option<Build<T>>,
    ) -> Self {
        Self {
            name,
            about,
            feature,
            build,
        }
    }
}

/// All plugins that a program can build by name.
#[derive(Debug, Clone, Default)]
pub struct Registry {
    /// Sources.
    pub sources: Vec<Plugin<Box<dyn Source>>>,
    /// Transforms.
    pub transforms: Vec<Plugin<NewTransform>>,
    /// Sinks.
    pub sinks: Vec<Plugin<Arc<dyn Sink>>>,
    /// Stores of dead letters, beside files.
    pub dead_letters: Vec<Plugin<Arc<dyn DeadLetters>>>,
}

impl Registry {
    /// Adds sources.
    #[must_use]
    pub fn sources(mut self, plugins: &[Plugin<Box<dyn Source>>]) -> Self {
        self.sources.extend_from_slice(plugins);
        self
    }

    /// Adds transforms.
    #[must_use]
    pub fn transforms(mut self, plugins: &[Plugin<NewTransform>]) -> Self {
        self.transforms.extend_from_slice(plugins);
        self
    }

    /// Adds sinks.
    #[must_use]
    pub fn sinks(mut self, plugins: &[Plugin<Arc<dyn Sink>>]) -> Self {
        self.sinks.extend_from_slice(plugins);
        self
    }

    /// Adds stores of dead letters.
    #[must_use]
    pub fn dead_letters(mut self, plugins: &[Plugin<Arc<dyn DeadLetters>>]) -> Self {
        self.dead_letters.extend_from_slice(plugins);
        self
    }

    /// Builds the source that a section's `type` names.
    pub fn source(&self, settings: Settings) -> Result<Box<dyn Source>, Mistakes> {
        build("source", &self.sources, settings)
    }

    /// Builds the transform that a section's `type` names.
    pub fn transform(&self, settings: Settings) -> Result<NewTransform, Mistakes> {
        build("transform", &self.transforms, settings)
    }

    /// Builds the sink that a section's `type` names.
    pub fn sink(&self, settings: Settings) -> Result<Arc<dyn Sink>, Mistakes> {
        build("sink", &self.sinks, settings)
    }

    /// Builds the store of dead letters that a section's `type` names.
    pub fn dead_letter_store(&self, settings: Settings) -> Result<Arc<dyn DeadLetters>, Mistakes> {
        build("store of dead letters", &self.dead_letters, settings)
    }
}

fn build<T>(what: &str, plugins: &[Plugin<T>], mut settings: Settings) -> Result<T, Mistakes> {
    let names = || plugins.iter().map(|plugin| plugin.name).collect::<Vec<_>>().join(", ");
    let Some(name) = settings.take_str("type")? else {
        return Err(settings.mistake(format!("the {what} has no type; known: {}", names())));
    };
    let Some(plugin) = plugins.iter().find(|plugin| plugin.name == name) else {
        return Err(settings.mistake_in("type", format!("unknown {what} {name:?}; known: {}", names())));
    };
    match plugin.build {
        Some(build) => build(&settings),
        None => Err(settings.mistake_in(
            "type",
            format!(
                "the {what} {name:?} is not compiled in: enable the cargo feature {:?}",
                plugin.feature
            ),
        )),
    }
}
