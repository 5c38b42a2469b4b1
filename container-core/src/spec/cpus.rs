//! A set of CPUs in the kernel's list format: `0-3,5`, cpuset(7).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Most CPUs that a set can name.
const MAX: usize = 1024;

/// CPUs by number, 0 to 1023.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct CpuSet([u64; MAX / 64]);

impl CpuSet {
    fn has(&self, cpu: usize) -> bool {
        cpu < MAX && self.0[cpu / 64] >> (cpu % 64) & 1 == 1
    }
}

impl FromStr for CpuSet {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut set = CpuSet([0; MAX / 64]);
        let number = |text: &str| {
            let number = text.trim().parse::<usize>().ok().filter(|number| *number < MAX);
            number.ok_or_else(|| format!("{text:?} is no number of a CPU, 0 to {}", MAX - 1))
        };
        for part in text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (number(first)?, number(last)?);
            if first > last {
                return Err(format!("{part:?} runs backwards"));
            }
            (first..=last).for_each(|cpu| set.0[cpu / 64] |= 1 << (cpu % 64));
        }
        Ok(set)
    }
}

impl fmt::Display for CpuSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut cpu, mut comma) = (0, "");
        while cpu < MAX {
            if !self.has(cpu) {
                cpu += 1;
                continue;
            }
            let first = cpu;
            while self.has(cpu) {
                cpu += 1;
            }
            match cpu - 1 {
                last if last == first => write!(f, "{comma}{first}")?,
                last => write!(f, "{comma}{first}-{last}")?,
            }
            comma = ",";
        }
        Ok(())
    }
}

impl From<CpuSet> for String {
    fn from(set: CpuSet) -> String {
        set.to_string()
    }
}

impl TryFrom<String> for CpuSet {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_and_written_as_the_kernel_does() {
        for (text, canonical) in
            [("0", "0"), ("0-3,5", "0-3,5"), ("5,4,3,63-64", "3-5,63-64"), ("1023", "1023")]
        {
            assert_eq!(text.parse::<CpuSet>().unwrap().to_string(), canonical);
        }
        for bad in ["", "a", "3-1", "1024", "0-", "-1", "1,,2"] {
            assert!(bad.parse::<CpuSet>().is_err(), "{bad}");
        }
    }
}
