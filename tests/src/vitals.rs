//! What a process costs, read from `/proc`: there on Linux only. `None` for the process means this one.

use std::time::Duration;

/// The process's resident size, in bytes.
pub fn resident(process: Option<u32>) -> Option<u64> {
    of_status(process, "VmRSS:")
}

/// The process's largest resident size so far, in bytes.
pub fn peak_resident(process: Option<u32>) -> Option<u64> {
    of_status(process, "VmHWM:")
}

/// The process's processor time, to a hundredth of a second.
pub fn cpu_time(process: Option<u32>) -> Option<Duration> {
    let stat = proc_file(process, "stat")?;
    // The name in brackets may hold spaces; user and system time are the 14th and 15th field.
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ').skip(11);
    let ticks: u64 = fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?;
    Some(Duration::from_millis(ticks * 10))
}

/// The processor time that all programs of this machine have used, to a hundredth of a second.
pub fn machine_time() -> Option<Duration> {
    let stat = std::fs::read_to_string("/proc/stat").ok()?;
    let ticks = stat.lines().next()?.strip_prefix("cpu")?.split_ascii_whitespace();
    let ticks: Vec<u64> = ticks.map_while(|ticks| ticks.parse().ok()).collect();
    // User, nice, system, idle, waiting for disks, interrupts, soft interrupts.
    let [user, nice, system, _, _, hard, soft, ..] = ticks[..] else { return None };
    Some(Duration::from_millis((user + nice + system + hard + soft) * 10))
}

/// A size as people read it.
pub fn mebibytes(bytes: Option<u64>) -> String {
    bytes.map_or("unknown".to_owned(), |bytes| {
        format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
    })
}

fn of_status(process: Option<u32>, field: &str) -> Option<u64> {
    let status = proc_file(process, "status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

fn proc_file(process: Option<u32>, name: &str) -> Option<String> {
    let process = process.map_or("self".to_owned(), |id| id.to_string());
    std::fs::read_to_string(format!("/proc/{process}/{name}")).ok()
}
