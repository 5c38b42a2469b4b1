//! What the files of cgroups take, and what is wrong with a text: the parsers of the controllers, in short.

use crate::model::number_list;

/// Where the rules stand, by file name (`*` for one part of it).
enum Rule {
    /// `max` or a number; with K, M, G where sizes are meant.
    Size,
    /// `max` or a whole number in a range.
    Count { least: i64, most: i64 },
    /// A whole number in a range.
    Number { least: i64, most: i64 },
    /// One of some words.
    Words(&'static [&'static str]),
    /// Processors or memory nodes.
    List,
    /// `quota period` (cpu.max).
    Bandwidth,
    /// `MAJOR:MINOR key=value …`.
    Device(&'static [&'static str]),
    /// `name value`, the names by a file of the root.
    Resource,
    /// `type major:minor access` (devices.allow).
    Devices,
}

use Rule::{Bandwidth, Count, Device, Devices, List, Number, Resource, Size, Words};

const RULES: &[(&str, Rule)] = &[
    ("pids.max", Count { least: 0, most: 4_194_304 }),
    ("cgroup.max.depth", Count { least: 0, most: i32::MAX as i64 }),
    ("cgroup.max.descendants", Count { least: 0, most: i32::MAX as i64 }),
    ("cgroup.freeze", Number { least: 0, most: 1 }),
    ("cgroup.kill", Number { least: 1, most: 1 }),
    ("cgroup.pressure", Number { least: 0, most: 1 }),
    ("cgroup.type", Words(&["threaded"])),
    ("memory.oom.group", Number { least: 0, most: 1 }),
    ("memory.swappiness", Number { least: 0, most: 200 }),
    ("memory.oom_control", Number { least: 0, most: 1 }),
    ("memory.min", Size),
    ("memory.low", Size),
    ("memory.high", Size),
    ("memory.max", Size),
    ("memory.swap.max", Size),
    ("memory.swap.high", Size),
    ("memory.zswap.max", Size),
    ("hugetlb.*.max", Size),
    ("hugetlb.*.rsvd.max", Size),
    ("cpu.weight", Number { least: 1, most: 10_000 }),
    ("cpu.weight.nice", Number { least: -20, most: 19 }),
    ("cpu.idle", Number { least: 0, most: 1 }),
    ("cpu.max", Bandwidth),
    ("cpu.cfs_period_us", Number { least: 1000, most: 1_000_000 }),
    ("cpu.shares", Number { least: 0, most: i64::MAX }),
    ("cpuset.cpus", List),
    ("cpuset.mems", List),
    ("cpuset.cpus.exclusive", List),
    ("cpuset.cpus.partition", Words(&["member", "root", "isolated"])),
    ("freezer.state", Words(&["FROZEN", "THAWED"])),
    ("io.max", Device(&["rbps", "wbps", "riops", "wiops"])),
    ("io.low", Device(&["rbps", "wbps", "riops", "wiops", "idle", "latency"])),
    ("io.latency", Device(&["target"])),
    ("io.weight", Number { least: 1, most: 10_000 }),
    ("io.bfq.weight", Number { least: 1, most: 1000 }),
    ("blkio.throttle.*", Device(&[])),
    ("misc.max", Resource),
    ("rdma.max", Resource),
    ("dmem.max", Resource),
    ("devices.allow", Devices),
    ("devices.deny", Devices),
];

fn rule(file: &str) -> Option<&'static Rule> {
    let fits = |pattern: &str| match pattern.split_once('*') {
        None => file == pattern,
        Some((begin, end)) => {
            file.strip_prefix(begin).is_some_and(|rest| rest.len() > end.len() && rest.ends_with(end))
        }
    };
    RULES.iter().find(|(pattern, _)| fits(pattern)).map(|(_, rule)| rule)
}

/// What is wrong with a text; `None` where nothing is, or no rule is known. `has` are the processors
/// or memory nodes that there are, where the file is about such.
pub(super) fn wrong(file: &str, text: &str, has: Option<&str>) -> Option<String> {
    let text = text.trim();
    match rule(file)? {
        Size => (text != "max" && !is_size(text)).then(|| format!("{text:?} is neither \"max\" nor a size")),
        Count { least, most } => (text != "max").then(|| number(text, *least, *most)).flatten(),
        // `default` may come before it (io.weight).
        // One device's own weight.
        Number { .. } if file.starts_with("io.") && text.contains(':') => None,
        Number { least, most } => number(text.strip_prefix("default ").unwrap_or(text), *least, *most),
        Words(words) => {
            (!words.contains(&text)).then(|| format!("{text:?} is not one of {}", words.join(", ")))
        }
        List => lists(text, has),
        Bandwidth => bandwidth(text),
        Device(keys) => device(text, keys),
        Resource => resource(text),
        Devices => devices(text),
    }
}

fn is_size(text: &str) -> bool {
    // memparse() takes a number in C notation and one suffix.
    let digits = text.trim_end_matches(['K', 'k', 'M', 'm', 'G', 'g', 'T', 't', 'P', 'p', 'E', 'e']);
    text.len() - digits.len() <= 1 && (digits.parse::<u64>().is_ok() || digits.starts_with("0x"))
}

fn number(text: &str, least: i64, most: i64) -> Option<String> {
    match text.parse::<i64>() {
        Err(_) => Some(format!("{text:?} is no whole number")),
        Ok(n) if n < least || n > most => Some(format!("{n} is outside {least} to {most}")),
        Ok(_) => None,
    }
}

fn lists(text: &str, has: Option<&str>) -> Option<String> {
    if text.contains(':') || text == "all" {
        return None;
    }
    let Some(asked) = number_list(text) else {
        return Some(format!("{text:?} is no list of numbers and ranges"));
    };
    let all = has?;
    let extra: Vec<String> = asked.difference(&number_list(all)?).map(u32::to_string).collect();
    (!extra.is_empty()).then(|| format!("{} is not among those the machine has ({all})", extra.join(",")))
}

/// `tg_set_cfs_bandwidth()`: both between a millisecond and a second, the quota without an upper end.
fn bandwidth(text: &str) -> Option<String> {
    let mut words = text.split_whitespace();
    let quota = words.next().unwrap_or_default();
    let period = words.next().unwrap_or("100000");
    let small = |t: &str| t.parse::<u64>().ok().filter(|n| *n < 1000);
    match () {
        () if quota != "max" && quota.parse::<u64>().is_err() => {
            Some(format!("{quota:?} is neither \"max\" nor a number of microseconds"))
        }
        () if small(quota).is_some() => Some(format!("a quota of {quota} µs is less than a millisecond")),
        () if period.parse::<u64>().is_err() => Some(format!("{period:?} is no number of microseconds")),
        () if small(period).is_some() || period.parse::<u64>().is_ok_and(|n| n > 1_000_000) => {
            Some(format!("a period of {period} µs is outside a millisecond to a second"))
        }
        () => None,
    }
}

/// `blkg_conf_open_bdev()` and the controllers' own parsers.
fn device(text: &str, keys: &[&str]) -> Option<String> {
    let mut words = text.split_whitespace();
    let key = words.next().unwrap_or_default();
    let numbers = key.split_once(':').filter(|(a, b)| a.parse::<u32>().is_ok() && b.parse::<u32>().is_ok());
    if numbers.is_none() {
        return Some(format!("{key:?} is no device: MAJOR:MINOR is wanted first"));
    }
    for word in words.filter(|_| !keys.is_empty()) {
        let Some((name, value)) = word.split_once('=') else {
            return Some(format!("{word:?} is no key=value"));
        };
        if !keys.contains(&name) {
            return Some(format!("{name:?} is none of {}", keys.join(", ")));
        }
        if value != "max" && value.parse::<u64>().is_err() {
            return Some(format!("{value:?} is neither \"max\" nor a number"));
        }
        if value == "0" && name != "target" && name != "latency" {
            return Some(format!("{name}=0 would stop everything"));
        }
    }
    None
}

fn resource(text: &str) -> Option<String> {
    let value = text.split_whitespace().nth(1);
    match value {
        None => Some(format!("{text:?} is no resource and value")),
        Some(v) if v.contains('=') || v == "max" || v.parse::<u64>().is_ok() => None,
        Some(v) => Some(format!("{v:?} is neither \"max\" nor a number")),
    }
}

/// `devcgroup_update_access()`.
fn devices(text: &str) -> Option<String> {
    let mut words = text.split_whitespace();
    match words.next().unwrap_or_default() {
        "a" => return None,
        "b" | "c" => {}
        other => return Some(format!("{other:?} is none of the types a, b, c")),
    }
    let part = |t: &str| t == "*" || t.parse::<u32>().is_ok();
    let numbers = words.next().and_then(|n| n.split_once(':')).filter(|(a, b)| part(a) && part(b));
    if numbers.is_none() {
        return Some("MAJOR:MINOR is wanted second (* for all)".into());
    }
    match words.next() {
        Some(access) if !access.is_empty() && access.chars().all(|c| "rwm".contains(c)) => None,
        _ => Some("access is wanted third: some of r, w, m".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bad(file: &str, text: &str) -> bool {
        wrong(file, text, None).is_some()
    }

    #[test]
    fn texts_that_no_parser_takes_are_told() {
        for (file, text) in [
            ("memory.max", "lots"),
            ("memory.high", "-1"),
            ("pids.max", "-1"),
            ("pids.max", "4194305"),
            ("cpu.weight", "0"),
            ("cpu.weight.nice", "20"),
            ("cpu.max", "10 100000"),
            ("cpu.max", "max 2000000"),
            ("io.max", "bad rbps=1048576"),
            ("io.max", "8:0 speed=1"),
            ("io.max", "8:0 rbps=0"),
            ("cpuset.cpus", "3-1"),
            ("cgroup.freeze", "2"),
            ("cgroup.type", "domain"),
            ("hugetlb.2MB.max", "x"),
            ("hugetlb.2MB.rsvd.max", "x"),
            ("devices.allow", "x 1:3 r"),
            ("freezer.state", "frozen"),
            ("misc.max", "sev"),
        ] {
            assert!(bad(file, text), "{file} {text}");
        }
    }

    #[test]
    fn texts_that_are_taken_are_not() {
        for (file, text) in [
            ("memory.max", "512M"),
            ("memory.max", "max"),
            ("pids.max", "0"),
            ("cpu.max", "max"),
            ("cpu.max", "50000 100000"),
            ("io.max", "8:0 rbps=1048576 wiops=max"),
            ("io.weight", "default 100"),
            ("cpuset.cpus", "0-3,5"),
            ("cpuset.mems", ""),
            ("devices.allow", "c 1:* rw"),
            ("misc.max", "sev 10"),
            ("memory.stat", "whatever"),
        ] {
            assert!(!bad(file, text), "{file} {text}");
        }
    }
}
