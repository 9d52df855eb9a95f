//! What this process takes of the machine, by Linux's accounts.

use std::time::Duration;

use crate::Result;

/// Its resident memory in MiB.
pub fn resident() -> Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: f64 = line
        .and_then(|line| line.split_whitespace().next())
        .ok_or("no VmRSS in /proc/self/status")?
        .parse()?;
    Ok(kib / 1024.0)
}

/// The time that all its threads have had of processors, the kernel's part included; to 10 ms.
pub fn cpu() -> Result<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    // The name before may hold anything; fields 14 and 15 are counted from behind it.
    let (_, fields) = stat.rsplit_once(')').ok_or("/proc/self/stat has no name")?;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    let mut ticks = || -> Result<u64> { Ok(fields.next().ok_or("/proc/self/stat is short")?.parse()?) };
    let ticks = ticks()? + ticks()?;
    // A hundred a second on every Linux, whatever its kernel's own clock.
    Ok(Duration::from_millis(10 * ticks))
}
