//! What the figures were taken on: processor, memory, and how many flushes a second the disk does.

use std::fs::{self, File};
use std::io::Write;
use std::time::Instant;

/// Prints the machine and its fsync rate.
pub(crate) fn print() -> anyhow::Result<()> {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or(": unknown");
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total: u64 = memory.split_whitespace().nth(1).and_then(|kb| kb.parse().ok()).unwrap_or(0);
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    println!("machine: {cores} cores,{}, {} GiB", model.trim_start_matches([' ', '\t', ':']), total >> 20);
    println!("fsync:   {:.0} flushes/s (8 kB written and fdatasync, one after the other)", fsync_rate()?);
    Ok(())
}

fn fsync_rate() -> anyhow::Result<f64> {
    const FLUSHES: u32 = 500;
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    fs::create_dir_all(folder)?;
    let path = folder.join("fsync.probe");
    let mut file = File::create(&path)?;
    let page = [7_u8; 8192];
    let start = Instant::now();
    for _ in 0..FLUSHES {
        file.write_all(&page)?;
        file.sync_data()?;
    }
    let rate = f64::from(FLUSHES) / start.elapsed().as_secs_f64();
    fs::remove_file(path)?;
    Ok(rate)
}

/// CPU seconds that a process and all its descendants have used.
pub(crate) fn cpu_seconds(root: u32) -> f64 {
    let mut stats = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Ok(text) = fs::read_to_string(entry.path().join("stat")) else { continue };
        let Some((head, rest)) = text.rsplit_once(") ") else { continue };
        let pid: u32 = head.split_whitespace().next().and_then(|p| p.parse().ok()).unwrap_or(0);
        let fields: Vec<u64> = rest.split_whitespace().skip(1).map(|f| f.parse().unwrap_or(0)).collect();
        // After the state: parent at 0; user, system and reaped children's time from 10.
        let parent = fields.first().and_then(|p| u32::try_from(*p).ok()).unwrap_or(0);
        let ticks: u64 = fields.get(10..14).map_or(0, |times| times.iter().sum());
        stats.push((pid, parent, ticks));
    }
    let mut family = vec![root];
    let mut at = 0;
    while let Some(&pid) = family.get(at) {
        family.extend(stats.iter().filter(|(_, parent, _)| *parent == pid).map(|(pid, _, _)| *pid));
        at += 1;
    }
    let ticks: u64 = stats.iter().filter(|(pid, _, _)| family.contains(pid)).map(|(_, _, ticks)| ticks).sum();
    // Linux counts in hundredths of a second for user space.
    ticks as f64 / 100.0
}

/// Resident memory of one process in MiB: now, and the most that it ever was.
pub(crate) fn resident_mib(pid: u32) -> (u64, u64) {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let of = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("0");
        line.split_whitespace().next().and_then(|kb| kb.parse::<u64>().ok()).unwrap_or(0) >> 10
    };
    (of("VmRSS:"), of("VmHWM:"))
}
