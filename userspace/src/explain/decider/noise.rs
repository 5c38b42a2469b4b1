//! What may come and go in a call tree without meaning anything: data, and what successes teach.

use super::tree::Node;
use crate::model::Errno;
use std::collections::HashSet;

/// Functions that run because of the machine's state, not of the call: a trailing `*` is a prefix.
/// Their whole subtree is left out.
const NOISE: &[(&str, &str)] = &[
    ("capture::callgraph sets interrupts apart under this name", "<interrupt>"),
    (
        "interrupts and what they run",
        "asm_* sysvec_* common_interrupt irq_enter* irq_exit* __irq_exit* do_IRQ smp_apic_* \
         smp_call_function* do_softirq* __do_softirq handle_softirqs exc_page_fault exc_nmi \
         do_user_addr_fault handle_mm_fault irqentry_* raw_irqentry_*",
    ),
    (
        "timers of the network that run in the same interrupts",
        "tcp_orphan_update tcp_write_timer* tcp_delack_timer* tcp_keepalive_timer tcp_retransmit_timer \
         tw_timer_handler neigh_timer_handler neigh_proxy_process neigh_periodic_work dev_watchdog ip_expire \
         igmp_timer_expire igmp_gq_timer_expire igmp_ifc_timer_expire mld_*_work fib6_gc_timer_cb \
         br_*_timer_expired sched_rt_period_timer sched_cfs_period_timer posix_timer_fn",
    ),
    (
        "the scheduler",
        "schedule* __schedule preempt_schedule* __cond_resched _cond_resched io_schedule* \
         try_to_wake_up wake_up_* __wake_up* finish_task_switch ttwu_* resched_curr",
    ),
    (
        "waiting for a lock",
        "__mutex_lock_slowpath __mutex_lock __mutex_unlock_slowpath rwsem_down_* rwsem_wake* \
         rwsem_mark_wake down_read down_write up_read up_write mutex_lock mutex_unlock \
         queued_spin_lock_slowpath native_queued_spin_lock_slowpath osq_lock osq_unlock _raw_spin_* \
         _raw_read_* _raw_write_* __raw_spin_* percpu_rwsem_* __percpu_* __rcu_read_lock \
         __rcu_read_unlock",
    ),
    (
        "RCU, workqueues, timers",
        "call_rcu* __call_rcu* rcu_* synchronize_rcu* kvfree_call_rcu queue_work_on __queue_work \
         queue_delayed_work* mod_timer ktime_get*",
    ),
    (
        "the allocators' slow paths and accounting",
        "__slab_alloc* ___slab_alloc new_slab allocate_slab get_partial_node* __alloc_pages* \
         alloc_pages* get_page_from_freelist __alloc_frozen_pages* try_charge* obj_cgroup_* \
         __memcg_slab_* refill_* should_failslab should_fail_alloc_page pcpu_* __refill_* \
         kmem_cache_free* kfree* kvfree __slab_free* shrink_*",
    ),
    (
        "programs on tracepoints, diag's own among them",
        "bpf_trace_run* __bpf_trace_* lookup_elem_raw lookup_nulls_elem_raw __htab_map_lookup_elem",
    ),
    ("writing to the log", "_printk printk* vprintk* console_* audit_log*"),
];

/// Words in the names of functions that only let go of something. Their return value decides nothing, and
/// a successful call has them too.
const RELEASE: &str = "put free unlock drop release dput mntput fput iput dec delayed finish flush delete";

/// Further words of functions that undo: in a failed call they come after the decision. In a successful
/// one they may be the work itself (umount, kill, remove).
const UNDO: &str = "abort cleanup destroy deactivate kill undo cancel revert remove detach dissolve umount \
     unregister end exit fini del uncharge rollback clear clean discard reset unlink unhash error warn \
     shutdown close";

/// `connect` waits for the answer and returns what the answer left in the socket (net/ipv4/af_inet.c
/// `__inet_stream_connect`: `sock_error(sk)`).
const WAITS_FOR_ANSWER: &str = "__inet_stream_connect";

/// Errors that only an answer, or its absence, brings.
const OF_ANSWERS: [Errno; 6] = [
    Errno(libc::ECONNREFUSED),
    Errno(libc::ECONNRESET),
    Errno(libc::ETIMEDOUT),
    Errno(libc::EHOSTUNREACH),
    Errno(libc::ECONNABORTED),
    Errno(libc::EPIPE),
];

/// What sets `sk_err` when a packet or a timer ends a connection (net/ipv4).
const LEAVES_ERROR: &str = "tcp_reset tcp_write_err tcp_v4_err tcp_v6_err";

/// Whether this function only hands out an error that somebody else left in the socket, in words.
pub(super) fn error_of_socket(name: &str, errno: Errno) -> Option<&'static str> {
    (name == WAITS_FOR_ANSWER && OF_ANSWERS.contains(&errno))
        .then_some("the error was left in the socket (sk_err) by a packet or a timer")
}

pub(super) fn leaves_error(name: &str) -> bool {
    LEAVES_ERROR.split(' ').any(|known| known == name)
}

/// Words of functions that tell somebody of an error and return it.
const REPORT: &str = "audit log trace report printk warn";

/// Whether the name says that this only tells of an error.
pub(super) fn reports(name: &str) -> bool {
    has_word(name, REPORT)
}

/// Whether a function of this name says nothing about the call that it runs in.
pub fn is_noise(name: &str) -> bool {
    NOISE.iter().flat_map(|(_, patterns)| patterns.split(' ')).any(|pattern| {
        match pattern.strip_suffix('*') {
            Some(prefix) => name.starts_with(prefix),
            None => name == pattern,
        }
    })
}

/// Whether the name says that this only lets go of something.
pub(super) fn releases(name: &str) -> bool {
    has_word(name, RELEASE)
}

/// Whether the name says that this undoes something or lets go of it.
pub(super) fn cleans_up(name: &str) -> bool {
    // The system call umount is called just what its clean-up is called.
    releases(name) || (!name.contains("sys_") && has_word(name, UNDO))
}

/// Walking a path (fs/namei.c), and what it can say. Two walks differ for many reasons, mostly in other folders.
const WALKS: &str = "link_path_walk walk_component step_into step_into_slowpath lookup_fast";
const OF_WALKS: [Errno; 6] = [
    Errno::ENOENT,
    Errno(libc::ENOTDIR),
    Errno::EACCES,
    Errno(libc::ELOOP),
    Errno(libc::ENAMETOOLONG),
    Errno(libc::ESTALE),
];

/// Whether an errno can have come this way.
pub fn can_come(path: &[String], errno: Errno) -> bool {
    let walked = path.iter().any(|function| WALKS.split(' ').any(|known| known == function));
    !walked || OF_WALKS.contains(&errno)
}

/// Functions that return a pointer and refuse with NULL, or that find nothing: what that means, and which errno it is
/// worth, their caller decides (kernel/ucount.c, kernel/signal.c, fs/pipe.c, fs/super.c, fs/namespace.c, fs/inode.c,
/// fs/namei.c, fs/dcache.c).
const NULL_SAYS_NO: &str = "inc_ucount get_ucounts alloc_ucounts __sigqueue_alloc sigqueue_alloc alloc_pipe_info \
     alloc_super alloc_vfsmnt new_inode new_inode_pseudo alloc_inode lookup_dcache lookup_one_qstr lookup_one_qstr_excl __lookup_hash lookup_fast lookup_slow __lookup_slow \
     d_lookup __d_lookup __d_lookup_rcu d_alloc d_alloc_parallel pid_task find_task_by_vpid find_vma";

/// Whether this says no by NULL and so names no errno.
pub(super) fn says_null(name: &str) -> bool {
    NULL_SAYS_NO.split(' ').any(|known| known == name)
}

/// Whether the names say that one takes back what the other did: `dec_rlimit_put_ucounts` and
/// `inc_rlimit_get_ucounts`.
pub(super) fn undoes(undoing: &str, done: &str) -> bool {
    // Shorter words are verbs and layers: get, inc, vfs, mnt.
    const LEAST: usize = 4;
    let noun =
        |word: &&str| word.len() >= LEAST && !RELEASE.split(' ').chain(UNDO.split(' ')).any(|w| w == *word);
    undoing.split('_').filter(noun).any(|word| done.split('_').any(|other| other == word))
}

fn has_word(name: &str, words: &str) -> bool {
    name.split('_').any(|part| words.split(' ').any(|word| word == part))
}

/// Names that some runs of the same kind as the nearest have and others have not.
pub(super) fn learn(nearest: usize, successes: &[(usize, Node)]) -> HashSet<String> {
    let all: Vec<(usize, HashSet<&str>)> = successes
        .iter()
        .map(|(index, node)| {
            let mut names = HashSet::new();
            node.names(&mut names);
            (*index, names)
        })
        .collect();
    let Some((_, model)) = all.iter().find(|(index, _)| *index == nearest) else { return HashSet::new() };
    let alike: Vec<_> = all.iter().map(|(_, names)| names).filter(|names| same_kind(model, names)).collect();
    let mut varying = HashSet::new();
    for names in &alike {
        for name in names.iter() {
            if !alike.iter().all(|other| other.contains(name)) {
                varying.insert((*name).to_owned());
            }
        }
    }
    varying
}

/// Runs of another kind (another file system, other flags) differ in real work, which is no noise: only
/// what differs in a few names at most teaches something.
fn same_kind(model: &HashSet<&str>, other: &HashSet<&str>) -> bool {
    let common = model.intersection(other).count();
    let total = model.len() + other.len() - common;
    // At least nine names in ten are shared.
    common * 10 >= total * 9
}
