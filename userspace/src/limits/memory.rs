//! Limits on memory.

use super::{Ceiling, Limit, Usage, system};
use crate::model::KnobKind;

/// What a cgroup and all below it may hold. `try_charge_memcg()` (mm/memcontrol.c) asks every level but the root,
/// from the leaf up.
pub static MEMORY_MAX: Limit = Limit {
    id: "memory.max",
    title: "memory of a cgroup and of everything below it",
    kind: KnobKind::Cgroup,
    ceiling: Ceiling::Cgroup("memory.max"),
    unit: "bytes",
    counted_per: "cgroup (memory.limit_in_bytes on version 1)",
    usage: Usage::Hidden,
    // PAGE_COUNTER_MAX, shown as "max".
    default: u64::MAX,
    since: "4.5",
    see: "Documentation/admin-guide/cgroup-v2.rst, Memory; mm/memcontrol.c, try_charge_memcg()",
};

/// Huge pages of the default size that the machine keeps. `hugetlb_acct_memory()` (mm/hugetlb.c) reserves all pages of a
/// mapping when it is made.
pub static HUGE_PAGES: Limit = Limit {
    id: "vm.nr_hugepages",
    title: "huge pages of the machine",
    kind: KnobKind::Sysctl,
    ceiling: Ceiling::Sysctl("vm/nr_hugepages"),
    unit: "huge pages",
    counted_per: "machine and size; the sysctl is for the default size",
    usage: Usage::Read(system::huge_pages),
    default: 0,
    since: "2.6",
    see: "Documentation/admin-guide/mm/hugetlbpage.rst; mm/hugetlb.c, hugetlb_acct_memory()",
};

/// Huge pages that a cgroup and all below it may reserve. `__hugetlb_cgroup_charge_cgroup()` (mm/hugetlb_cgroup.c).
pub static HUGETLB_RSVD: Limit = Limit {
    id: "hugetlb.<size>.rsvd.max",
    title: "reserved huge pages of a cgroup",
    kind: KnobKind::Cgroup,
    ceiling: Ceiling::Cgroup("hugetlb.<size>.rsvd.max"),
    unit: "bytes",
    counted_per: "cgroup and size",
    usage: Usage::Hidden,
    default: u64::MAX,
    since: "5.7",
    see: "Documentation/admin-guide/cgroup-v2.rst, HugeTLB",
};

/// Huge pages that a cgroup and all below it may use, asked when a page is touched: SIGBUS says no.
pub static HUGETLB_MAX: Limit = Limit {
    id: "hugetlb.<size>.max",
    title: "used huge pages of a cgroup",
    kind: KnobKind::Cgroup,
    ceiling: Ceiling::Cgroup("hugetlb.<size>.max"),
    unit: "bytes",
    counted_per: "cgroup and size",
    usage: Usage::Hidden,
    default: u64::MAX,
    since: "5.6",
    see: "Documentation/admin-guide/cgroup-v2.rst, HugeTLB; mm/hugetlb_cgroup.c",
};

/// Where a cgroup's processes are slowed down to reclaim. `mem_cgroup_handle_over_high()` (mm/memcontrol.c) lets them wait
/// up to two seconds on each return to user space.
pub static MEMORY_HIGH: Limit = Limit {
    id: "memory.high",
    title: "memory of a cgroup above which it is slowed down",
    kind: KnobKind::Cgroup,
    ceiling: Ceiling::Cgroup("memory.high"),
    unit: "bytes",
    counted_per: "cgroup",
    usage: Usage::Hidden,
    default: u64::MAX,
    since: "4.5",
    see: "Documentation/admin-guide/cgroup-v2.rst, Memory; mm/memcontrol.c, mem_cgroup_handle_over_high()",
};

/// Processor time of a cgroup in each period. `throttle_cfs_rq()` (kernel/sched/fair.c).
pub static CPU_MAX: Limit = Limit {
    id: "cpu.max",
    title: "processor time of a cgroup in each period",
    kind: KnobKind::Cgroup,
    ceiling: Ceiling::Cgroup("cpu.max"),
    unit: "microseconds",
    counted_per: "cgroup (cpu.cfs_quota_us on version 1)",
    usage: Usage::Hidden,
    default: u64::MAX,
    since: "4.15",
    see: "Documentation/admin-guide/cgroup-v2.rst, CPU",
};
