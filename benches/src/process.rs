//! What a process has used, from /proc: CPU time, and memory at its peak.

use std::{fs, io};

/// One reading.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// User and system time of all threads, in seconds.
    pub cpu_seconds: f64,
    /// Largest resident set so far, in bytes.
    pub peak_rss_bytes: u64,
    /// Resident set now, in bytes.
    pub rss_bytes: u64,
}

/// Reads the usage of `pid`.
///
/// # Errors
/// When there is no such process, or /proc does not look as expected.
pub fn usage(pid: u32) -> io::Result<Usage> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let strange =
        || io::Error::new(io::ErrorKind::InvalidData, format!("/proc/{pid}/stat is not understood"));
    let ticks = cpu_ticks(&stat).ok_or_else(strange)?;
    Ok(Usage {
        cpu_seconds: ticks as f64 / rustix::param::clock_ticks_per_second() as f64,
        peak_rss_bytes: status_bytes(&status, "VmHWM:").unwrap_or(0),
        rss_bytes: status_bytes(&status, "VmRSS:").unwrap_or(0),
    })
}

/// Reads the usage of several processes and adds it up; `None` of none.
///
/// # Errors
/// As [`usage`].
pub fn usage_of_all(pids: &[u32]) -> io::Result<Option<Usage>> {
    let mut sum = Usage::default();
    for pid in pids {
        let one = usage(*pid)?;
        sum.cpu_seconds += one.cpu_seconds;
        sum.peak_rss_bytes += one.peak_rss_bytes;
        sum.rss_bytes += one.rss_bytes;
    }
    Ok((!pids.is_empty()).then_some(sum))
}

/// Whether any thread of `pid` runs. One that nobody waits for keeps its entry after the end; and the first thread may
/// end before the others, which then still hold files and sockets.
pub fn is_running(pid: u32) -> bool {
    let read = |name| fs::read_to_string(format!("/proc/{pid}/{name}")).ok();
    let Some((stat, status)) = read("stat").zip(read("status")) else { return false };
    let threads = status.lines().find_map(|line| line.strip_prefix("Threads:")?.trim().parse::<u32>().ok());
    !matches!(state(&stat), None | Some('Z' | 'X')) || threads.is_some_and(|threads| threads > 1)
}

/// The letter of the state.
fn state(stat: &str) -> Option<char> {
    stat.rsplit_once(')')?.1.trim_start().chars().next()
}

/// utime + stime. The command name may hold spaces and brackets, so fields are counted from its last bracket.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

fn status_bytes(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

#[cfg(test)]
mod tests;
