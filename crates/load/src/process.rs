//! What processes use, from /proc.

use anyhow::{Context, Result};
use serde::Serialize;

/// Clock ticks per second in /proc/PID/stat: USER_HZ, which Linux fixes at 100 for all programs.
const TICKS: u64 = 100;

/// What a process used until a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Microseconds of CPU time in user mode.
    pub user: u64,
    /// Microseconds of CPU time in the kernel.
    pub system: u64,
    /// Bytes of memory in RAM.
    pub resident: u64,
}

/// What a process used between two moments.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Used {
    /// The process.
    pub pid: u32,
    /// Its name.
    pub name: String,
    /// Microseconds of CPU time in user mode, per unit of work.
    pub user_us_each: f64,
    /// Microseconds of CPU time in the kernel, per unit of work.
    pub system_us_each: f64,
    /// Both.
    pub cpu_us_each: f64,
    /// Share of one core that was busy.
    pub cpu_share: f64,
    /// Bytes in RAM before anybody was connected.
    pub resident_before: u64,
    /// Bytes in RAM at the end of the measurement.
    pub resident: u64,
    /// What came to it per connection.
    pub resident_each: f64,
}

impl Usage {
    /// What this process used until now.
    ///
    /// # Errors
    /// There is no such process.
    pub(crate) fn of(pid: u32) -> Result<Self> {
        let read = |file: &str| {
            std::fs::read_to_string(format!("/proc/{pid}/{file}"))
                .with_context(|| format!("no process {pid}"))
        };
        parse(&read("stat")?, &read("status")?).with_context(|| format!("cannot read /proc/{pid}/stat"))
    }
}

/// The name of a process, as far as the kernel keeps it.
pub(crate) fn name(pid: u32) -> String {
    std::fs::read_to_string(format!("/proc/{pid}/comm"))
        .map_or_else(|_| "?".to_owned(), |name| name.trim().to_owned())
}

fn parse(stat: &str, status: &str) -> Option<Usage> {
    // The name, in parentheses, may hold anything; utime and stime are the fields 14 and 15, state being 3.
    let mut fields = stat.get(stat.rfind(')')? + 2..)?.split(' ').skip(11);
    let mut ticks = || {
        fields
            .next()?
            .parse::<u64>()
            .ok()
            .map(|ticks| ticks * (1_000_000 / TICKS))
    };
    let (user, system) = (ticks()?, ticks()?);
    let kib: u64 = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?
        .split_whitespace()
        .next()?
        .parse()
        .ok()?;
    Some(Usage {
        user,
        system,
        resident: kib * 1024,
    })
}

/// What a process used between `from` and `to` for `units` of work, while `connections` came to it since
/// `idle`.
pub(crate) fn used(
    pid: u32,
    idle: Usage,
    from: Usage,
    to: Usage,
    seconds: f64,
    units: u64,
    connections: usize,
) -> Used {
    let each = |micros: u64| micros as f64 / (units.max(1)) as f64;
    let (user, system) = (
        to.user.saturating_sub(from.user),
        to.system.saturating_sub(from.system),
    );
    Used {
        pid,
        name: name(pid),
        user_us_each: each(user),
        system_us_each: each(system),
        cpu_us_each: each(user + system),
        cpu_share: (user + system) as f64 / 1e6 / seconds.max(1e-9),
        resident_before: idle.resident,
        resident: to.resident,
        resident_each: to.resident.saturating_sub(idle.resident) as f64 / connections.max(1) as f64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_behind_any_name() {
        let stat = "42 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 150 25 0 0 20 0 1 0";
        let status = "Name:\tx\nVmRSS:\t    2048 kB\n";
        assert_eq!(
            parse(stat, status),
            Some(Usage {
                user: 1_500_000,
                system: 250_000,
                resident: 2 << 20
            })
        );
        assert_eq!(parse("42 x", status), None);
    }

    #[test]
    fn this_process_is_there() {
        let usage = Usage::of(std::process::id()).unwrap();
        assert!(usage.resident > 100_000);
        assert!(Usage::of(u32::MAX).is_err());
    }
}
