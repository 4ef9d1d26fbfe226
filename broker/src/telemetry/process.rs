//! What the kernel says of this process, under the names every Prometheus client uses.

use std::path::Path;

use tidemark_storage::disk::{Disk, OpenMode, OsDisk};

use super::families::Families;

/// Clock ticks a second in `/proc`: fixed in Linux's interface to programs, whatever the kernel's own rate.
const TICKS_PER_SECOND: f64 = 100.0;
/// The files read here have a few lines.
const PROC_FILE_BYTES_MAX: usize = 16 * 1024;

/// Adds the process's families; those the system does not tell are left out.
pub fn collect(families: &mut Families) {
    if let Some(stat) = read("/proc/self/stat").as_deref().and_then(parse_stat) {
        let cpu = "User and system CPU time spent, seconds.";
        families.counters("process_cpu_seconds_total", cpu, [(Vec::new(), stat.cpu_seconds)]);
        families.gauge("process_threads", "Threads.", stat.threads);
        if let Some(booted) = read("/proc/stat").as_deref().and_then(parse_boot_time) {
            let help = "When the process started, seconds since 1970.";
            families.gauge("process_start_time_seconds", help, booted + stat.started_after_boot_seconds);
        }
    }
    if let Some(status) = read("/proc/self/status") {
        for (key, name, help) in [
            ("VmRSS:", "process_resident_memory_bytes", "Resident memory."),
            ("VmHWM:", "process_resident_memory_peak_bytes", "Highest resident memory so far."),
            ("VmSize:", "process_virtual_memory_bytes", "Virtual memory."),
        ] {
            if let Some(kib) = field(&status, key) {
                families.gauge(name, help, kib * 1024.0);
            }
        }
    }
    if let Ok(names) = OsDisk.read_dir(Path::new("/proc/self/fd")) {
        families.gauge("process_open_fds", "Open file descriptors.", names.len() as f64);
    }
    if let Some(limit) =
        read("/proc/self/limits").as_deref().and_then(|limits| field(limits, "Max open files"))
    {
        families.gauge("process_max_fds", "Most file descriptors it may open.", limit);
    }
}

fn read(path: &str) -> Option<String> {
    let file = OsDisk.open(Path::new(path), OpenMode::Read).ok()?;
    let mut bytes = vec![0; PROC_FILE_BYTES_MAX];
    let mut len = 0;
    while len < bytes.len() {
        match file.read_at(&mut bytes[len..], len as u64).ok()? {
            0 => break,
            n => len += n,
        }
    }
    bytes.truncate(len);
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

struct Stat {
    cpu_seconds: f64,
    threads: f64,
    started_after_boot_seconds: f64,
}

/// The program's name comes second, in parentheses, and may hold anything; fields are counted behind it.
fn parse_stat(text: &str) -> Option<Stat> {
    let fields: Vec<&str> = text[text.rfind(')')? + 1..].split_whitespace().collect();
    // In the manual the field behind the name is number 3.
    let number = |nth: usize| fields.get(nth - 3)?.parse::<f64>().ok();
    Some(Stat {
        cpu_seconds: (number(14)? + number(15)?) / TICKS_PER_SECOND,
        threads: number(20)?,
        started_after_boot_seconds: number(22)? / TICKS_PER_SECOND,
    })
}

fn parse_boot_time(text: &str) -> Option<f64> {
    field(text, "btime")
}

/// The first number behind `key` at the start of a line.
fn field(text: &str, key: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(key)?.split_whitespace().next()?.parse().ok())
}

#[cfg(test)]
mod tests;
