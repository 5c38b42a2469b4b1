//! What the kernel limits, as data: one row per limit, and the few readers all rows share.
//!
//! A row says where the ceiling stands, whose usage is counted, how it is raised and where the kernel
//! says so. Rows are plain statics so that causes, `check` and the sampler all speak of the same thing.

pub mod cgroups;
pub mod commit;
pub mod descriptors;
pub mod exec;
pub mod files;
pub mod ipc;
pub mod keys;
pub mod memory;
pub mod mount;
pub mod namespaces;
pub mod network;
pub mod owners;
pub mod priorities;
pub mod read;
pub mod require;
pub mod rlimits;
mod row;
pub mod survey;
pub mod system;
pub mod tasks;
pub mod watches;

use crate::model::KnobKind;

/// Where the ceiling of a limit is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ceiling {
    /// A file below `/proc/sys`, e.g. `fs/mount-max`.
    Sysctl(&'static str),
    /// A file in the cgroup's folder, e.g. `pids.max`.
    Cgroup(&'static str),
    /// A line of `/proc/PID/limits`, e.g. `Max processes`.
    Rlimit(&'static str),
    /// The kernel's own constant.
    Fixed(u64),
    /// A line of a file of many: `/proc/meminfo`, `CommitLimit`.
    File(&'static str, &'static str),
}

/// Who is held against a ceiling, and how much of it is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// `user 1000`, `cgroup /docker/ab12…`, `mount namespace of dockerd (pid 812)`; empty for the machine.
    pub name: String,
    pub usage: u64,
    /// Its own ceiling, where each holder has one.
    pub ceiling: Option<u64>,
}

/// Where the usage of a limit is read while nothing has failed, for `diag check`.
#[derive(Debug, Clone, Copy)]
pub enum Usage {
    /// The kernel shows it nowhere; only a probe sees it, when it refuses.
    Hidden,
    /// Everybody who is held against the ceiling, the fullest first.
    Read(fn(&read::Root) -> std::io::Result<Vec<Holder>>),
}

/// Something the kernel caps.
#[derive(Debug, Clone, Copy)]
pub struct Limit {
    /// The kernel's own name: `fs.mount-max`.
    pub id: &'static str,
    pub title: &'static str,
    pub kind: KnobKind,
    pub ceiling: Ceiling,
    /// What one unit of usage is: `mounts`.
    pub unit: &'static str,
    /// Whose usage is held against the ceiling.
    pub counted_per: &'static str,
    pub usage: Usage,
    /// The kernel's default.
    pub default: u64,
    /// First kernel that has it.
    pub since: &'static str,
    /// Documentation or source behind this row.
    pub see: &'static str,
}

impl Limit {
    /// The file that holds the ceiling; empty for a constant.
    pub fn path(&self) -> String {
        match self.ceiling {
            Ceiling::Sysctl(rel) => format!("/proc/sys/{rel}"),
            Ceiling::Cgroup(file) => format!("/sys/fs/cgroup/<cgroup>/{file}"),
            Ceiling::Rlimit(_) => "/proc/<pid>/limits".into(),
            Ceiling::Fixed(_) => String::new(),
            Ceiling::File(file, _) => file.into(),
        }
    }
}

/// Every row, for `check`, `causes` and the tests.
pub static ALL: &[&Limit] = &[
    &mount::MOUNT_MAX,
    &exec::ARGUMENT,
    &exec::ARGUMENTS,
    &memory::MEMORY_MAX,
    &memory::MEMORY_HIGH,
    &memory::CPU_MAX,
    &memory::HUGE_PAGES,
    &memory::HUGETLB_RSVD,
    &memory::HUGETLB_MAX,
    &cgroups::MEMORY_IDS,
    &cgroups::DESCENDANTS,
    &files::USER_BLOCKS,
    &files::USER_INODES,
    &files::GROUP_BLOCKS,
    &files::GROUP_INODES,
    &files::PROJECT_BLOCKS,
    &files::PROJECT_INODES,
    &tasks::PIDS_MAX,
    &tasks::NPROC,
    &tasks::THREADS_MAX,
    &tasks::PID_MAX,
    &namespaces::USER,
    &namespaces::PID,
    &namespaces::UTS,
    &namespaces::IPC,
    &namespaces::NET,
    &namespaces::MNT,
    &namespaces::CGROUP,
    &namespaces::TIME,
    &namespaces::USER_DEPTH,
    &namespaces::PID_DEPTH,
    &commit::COMMIT_LIMIT,
    &commit::BPF_JIT,
    &commit::PERF_RING,
    &descriptors::FILE_MAX,
    &descriptors::NR_OPEN,
    &descriptors::PIPE_MAX_SIZE,
    &descriptors::PIPE_PAGES_HARD,
    &descriptors::PIPE_PAGES_SOFT,
    &descriptors::EPOLL_WATCHES,
    &descriptors::AIO_MAX_NR,
    &descriptors::PTY_MAX,
    &descriptors::IN_FLIGHT,
    &descriptors::FANOTIFY_LISTENERS,
    &watches::INOTIFY_INSTANCES,
    &watches::INOTIFY_WATCHES,
    &watches::FANOTIFY_GROUPS,
    &watches::FANOTIFY_MARKS,
    &keys::MAXKEYS,
    &keys::MAXBYTES,
    &keys::ROOT_MAXKEYS,
    &keys::ROOT_MAXBYTES,
    &ipc::SEMMSL,
    &ipc::SEMMNS,
    &ipc::SEMOPM,
    &ipc::SEMMNI,
    &ipc::SHMMNI,
    &ipc::SHMALL,
    &ipc::SHMMAX,
    &ipc::MSGMNI,
    &ipc::MSGMAX,
    &ipc::MSGMNB,
    &ipc::MQ_QUEUES,
    &ipc::MQ_MSG,
    &ipc::MQ_SIZE,
    &network::LOCAL_PORTS,
    &network::PORT_START,
    &network::NEIGHBOURS,
    &network::NEIGHBOURS_V6,
    &network::CONNTRACK,
    &network::DGRAM_QUEUE,
    &network::MEMBERSHIPS,
    &network::OPTMEM,
    &network::SNDBUF,
    &network::ACCEPT_QUEUE,
    &network::SOMAXCONN,
    &network::BRIDGE_PORTS,
    &rlimits::NOFILE,
    &rlimits::MEMLOCK,
    &rlimits::AS,
    &rlimits::DATA,
    &rlimits::STACK,
    &rlimits::FSIZE,
    &rlimits::SIGPENDING,
    &rlimits::MSGQUEUE,
    &rlimits::MAX_MAP_COUNT,
    &priorities::NICE,
    &priorities::RTPRIO,
    &priorities::HARD_LIMIT,
    &priorities::SOFT_LIMIT,
];

/// The row with this id.
pub fn by_id(id: &str) -> Option<&'static Limit> {
    ALL.iter().copied().find(|l| l.id == id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_unique_and_found() {
        for limit in ALL {
            assert_eq!(ALL.iter().filter(|l| l.id == limit.id).count(), 1, "{} twice", limit.id);
            assert!(by_id(limit.id).is_some());
            let constant = matches!(limit.ceiling, Ceiling::Fixed(_));
            assert!(constant || limit.path().starts_with('/'), "{}", limit.id);
        }
    }
}
