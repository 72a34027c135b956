//! What the operating system says about this process, under the names every scraper knows.

use std::fs;

use crate::names;
use crate::page::Page;

/// Ticks per second in `/proc/<pid>/stat`: USER_HZ, 100 in the interface of Linux whatever the kernel runs at.
const USER_HZ: f64 = 100.0;

/// Adds memory, CPU time, descriptors and threads. What cannot be read (no `/proc`) is left out.
pub fn collect_process(page: &mut Page) {
    if let Ok(status) = fs::read_to_string("/proc/self/status") {
        collect_status(page, &status);
    }
    if let Ok(stat) = fs::read_to_string("/proc/self/stat") {
        collect_stat(page, &stat, boot_time());
    }
    if let Ok(entries) = fs::read_dir("/proc/self/fd") {
        page.gauge(&names::PROCESS_OPEN_FDS, &[], entries.count() as f64);
    }
    if let Ok(limits) = fs::read_to_string("/proc/self/limits")
        && let Some(limit) = max_open_files(&limits)
    {
        page.gauge(&names::PROCESS_MAX_FDS, &[], limit);
    }
}

fn collect_status(page: &mut Page, status: &str) {
    let kilobytes = |key: &str| -> Option<f64> {
        let line = status.lines().find_map(|line| line.strip_prefix(key))?;
        line.trim().trim_end_matches("kB").trim().parse().ok()
    };
    if let Some(rss) = kilobytes("VmRSS:") {
        page.gauge(&names::PROCESS_RESIDENT_MEMORY, &[], rss * 1024.0);
    }
    if let Some(size) = kilobytes("VmSize:") {
        page.gauge(&names::PROCESS_VIRTUAL_MEMORY, &[], size * 1024.0);
    }
    if let Some(threads) = kilobytes("Threads:") {
        page.gauge(&names::PROCESS_THREADS, &[], threads);
    }
}

/// The command name in field 2 may hold blanks and brackets: counting starts behind the last bracket, at field 3.
fn collect_stat(page: &mut Page, stat: &str, boot_time: Option<f64>) {
    let Some((_, rest)) = stat.rsplit_once(')') else {
        return;
    };
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let ticks = |number: usize| -> Option<f64> { fields.get(number - 3)?.parse().ok() };
    if let (Some(user), Some(system)) = (ticks(14), ticks(15)) {
        page.counter_seconds(&names::PROCESS_CPU, &[], (user + system) / USER_HZ);
    }
    if let (Some(started), Some(boot)) = (ticks(22), boot_time) {
        page.gauge(&names::PROCESS_START_TIME, &[], boot + started / USER_HZ);
    }
}

fn boot_time() -> Option<f64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    stat.lines()
        .find_map(|line| line.strip_prefix("btime "))?
        .trim()
        .parse()
        .ok()
}

fn max_open_files(limits: &str) -> Option<f64> {
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    match line.split_whitespace().next()? {
        "unlimited" => Some(f64::INFINITY),
        soft => soft.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_time_and_descriptors() {
        let mut page = Page::new();
        collect_process(&mut page);
        let text = page.render();
        for name in [
            "process_resident_memory_bytes ",
            "process_cpu_seconds_total ",
            "process_open_fds ",
            "process_max_fds ",
            "process_start_time_seconds ",
        ] {
            assert!(
                text.lines().any(|line| line.starts_with(name)),
                "{name} is missing:\n{text}"
            );
        }
    }

    #[test]
    fn a_command_name_with_brackets_does_not_shift_the_fields() {
        let mut page = Page::new();
        let fields = "S 1 1 1 0 -1 4194560 1 0 0 0 150 50 0 0 20 0 1 0 300 1 1 1";
        collect_stat(&mut page, &format!("7 (a) b (c)) {fields}"), Some(1000.0));
        let text = page.render();
        assert!(text.contains("process_cpu_seconds_total 2\n"), "{text}");
        assert!(text.contains("process_start_time_seconds 1003\n"), "{text}");
    }
}
