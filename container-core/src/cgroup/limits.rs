//! From a specification's limits to what is written into which cgroup file, v2 and v1.

use super::hierarchy::Controller;
use crate::spec::Limits;

/// One limit in both spellings: the files and what goes into them, in order.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Setting {
    pub(super) controller: Controller,
    pub(super) v2: Vec<(&'static str, String)>,
    pub(super) v1: Vec<(&'static str, String)>,
}

/// Length of a CPU period in microseconds: the kernel's default, which docker writes too.
const CPU_PERIOD_US: u64 = 100_000;

pub(super) fn settings(limits: &Limits) -> Vec<Setting> {
    let pids = limits.pids.map(|max| Setting {
        controller: Controller::Pids,
        v2: vec![("pids.max", max.to_string())],
        v1: vec![("pids.max", max.to_string())],
    });
    let memory = limits.memory_bytes.map(|bytes| Setting {
        controller: Controller::Memory,
        v2: vec![("memory.max", bytes.to_string())],
        v1: vec![("memory.limit_in_bytes", bytes.to_string())],
    });
    let cpu = limits.cpu_millis.map(|millis| {
        let quota_us = u64::from(millis) * CPU_PERIOD_US / 1000;
        Setting {
            controller: Controller::Cpu,
            v2: vec![("cpu.max", format!("{quota_us} {CPU_PERIOD_US}"))],
            v1: vec![
                ("cpu.cfs_period_us", CPU_PERIOD_US.to_string()),
                ("cpu.cfs_quota_us", quota_us.to_string()),
            ],
        }
    });
    let cpuset = limits.cpus.map(|cpus| {
        let values = vec![("cpuset.cpus", cpus.to_string())];
        Setting { controller: Controller::Cpuset, v2: values.clone(), v1: values }
    });
    [pids, memory, cpu, cpuset].into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_and_a_half_cpus() {
        let settings = settings(&Limits { cpu_millis: Some(1500), ..Limits::default() });
        assert_eq!(settings[0].v2, [("cpu.max", "150000 100000".to_owned())]);
        assert_eq!(settings[0].v1[1], ("cpu.cfs_quota_us", "150000".to_owned()));
        assert_eq!(settings.len(), 1);
    }
}
