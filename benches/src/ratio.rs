//! Two workloads side by side.

use std::fmt;
use std::time::{Duration, Instant};

use crate::Result;

/// A measured ratio. As text it is the line that `scripts/bench.sh` prints.
#[derive(Debug, Clone)]
pub struct Ratio {
    /// What is compared.
    pub name: String,
    /// Our speed over the reference's: the median of the rounds.
    pub value: f64,
    /// Our best speed.
    pub ours: f64,
    /// The reference's best speed.
    pub reference: f64,
    /// Of what, in what time.
    pub unit: &'static str,
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            value,
            ours,
            reference,
            unit,
        } = self;
        write!(
            f,
            "RATIO {name} {value:.2} (ours {ours:.0} {unit}, reference {reference:.0} {unit})"
        )
    }
}

/// A workload of a pair: does so much work, and gives the time that it took.
pub type Sample<'a> = &'a mut dyn FnMut() -> Result<Duration>;

/// Measures both in turn, a sample each a round, so that what else goes on in the machine meets both alike. A sample of
/// ours does `work.0` units of work, one of the reference `work.1`.
pub fn measure(
    name: &str,
    unit: &'static str,
    rounds: usize,
    work: (f64, f64),
    ours: Sample<'_>,
    reference: Sample<'_>,
) -> Result<Ratio> {
    let speed = |work: f64, took: Duration| work / took.as_secs_f64().max(1e-9);
    let mut speeds = Vec::with_capacity(rounds);
    for round in 0..rounds {
        // Who comes second finds warmer caches: by turns.
        speeds.push(if round % 2 == 0 {
            let ours = speed(work.0, ours()?);
            (ours, speed(work.1, reference()?))
        } else {
            let reference = speed(work.1, reference()?);
            (speed(work.0, ours()?), reference)
        });
    }
    let mut values: Vec<_> = speeds.iter().map(|(ours, reference)| ours / reference).collect();
    values.sort_unstable_by(f64::total_cmp);
    let best = |of: fn(&(f64, f64)) -> f64| speeds.iter().map(of).fold(0.0, f64::max);
    Ok(Ratio {
        name: name.to_owned(),
        value: values[values.len() / 2],
        ours: best(|speeds| speeds.0),
        reference: best(|speeds| speeds.1),
        unit,
    })
}

/// The time of so many passes.
pub fn timed(passes: usize, mut pass: impl FnMut() -> Result<()>) -> Result<Duration> {
    let start = Instant::now();
    for _ in 0..passes {
        pass()?;
    }
    Ok(start.elapsed())
}

/// How many passes take about `time`.
pub fn passes_in(time: Duration, mut pass: impl FnMut() -> Result<()>) -> Result<usize> {
    pass()?;
    let one = timed(3, pass)? / 3;
    Ok((time.as_nanos() / one.as_nanos().max(1)).max(1) as usize)
}
