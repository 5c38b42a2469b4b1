//! Faults: making a cause happen, so that it can be seen, tested and trusted.
//!
//! A fault provokes the real kernel refusal in a place of its own (a private namespace, a cgroup it made),
//! never by lowering a limit that others live under.

mod children;
mod crowd_user;
mod empty_cpuset;
mod fill_cgroup;
mod fill_disk;
mod fill_memory;
mod fill_mounts;
mod filter;
mod forbidden_files;
mod hierarchy;
mod hold;
mod huge_pages;
mod ipc_limits;
mod kernel_keys;
mod local_sockets;
mod nest_namespaces;
mod own_limits;
mod own_network;
mod privileges;
mod programs;
mod prove;
mod refuse_files;
mod refuse_mounts;
mod refused_cgroups;
mod refused_namespaces;
mod scheduling;
mod sockets;
mod touch_mapping;
mod unfit_sockets;
mod unfit_targets;
mod use_up_namespaces;
mod watch_limits;

pub use hold::{AGAIN, READY, provoke_and_repeat, provoke_and_stay};
pub use prove::Holder;

use crate::causes::{Cause, Fault};
use std::io;
use std::time::Duration;

/// How long what a fault was about stays: programs mostly say something before they end, and diag looks at such
/// things through the process, milliseconds later. An emulated machine takes its time.
const LINGER: Duration = Duration::from_secs(1);

/// What came of a fault.
pub struct Provoked {
    /// The refusal the kernel gave, as the system call reported it.
    pub error: io::Error,
    pub syscall: &'static str,
    /// The same call once more, in the same place; `None` where the fault is over with its refusal.
    again: Option<Again>,
}

type Again = Box<dyn FnMut() -> io::Result<()>>;

impl Provoked {
    fn new(syscall: &'static str, error: io::Error) -> Self {
        Self { error, syscall, again: None }
    }

    /// Makes a call that must be refused, and keeps it: once its limit is higher it can be made again.
    fn by(syscall: &'static str, mut call: impl FnMut() -> io::Result<()> + 'static) -> anyhow::Result<Self> {
        match call() {
            Ok(()) => anyhow::bail!("{syscall} was not refused"),
            Err(error) => {
                std::thread::sleep(LINGER);
                Ok(Self { error, syscall, again: Some(Box::new(call)) })
            }
        }
    }
}

/// The result of a call of the C library: negative with an errno, or good.
fn result(of: i64) -> io::Result<()> {
    if of < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Provokes one variant of a fault.
type Action = fn(&str) -> anyhow::Result<Provoked>;

/// The actions by their cause's slug.
const ACTIONS: &[(&str, Action)] = &[
    ("cgroup-busy", refused_cgroups::provoke),
    ("cgroup-controller", refused_cgroups::provoke),
    ("cgroup-gone", refused_cgroups::provoke),
    ("cgroup-hierarchy", refused_cgroups::provoke),
    ("cgroup-internal", refused_cgroups::provoke),
    ("cgroup-task", refused_cgroups::provoke),
    ("cgroup-threaded", refused_cgroups::provoke),
    ("cgroup-value", refused_cgroups::provoke),
    ("clone-flags", refused_namespaces::provoke),
    ("cpu-affinity", refused_namespaces::provoke),
    ("address-family", own_network::ask_for_unknown),
    ("address-in-use", own_network::use_port_twice),
    ("address-not-local", own_network::bind_elsewhere),
    ("broadcast-option", own_network::broadcast),
    ("congestion-control", own_network::unknown_congestion_control),
    ("connection-refused", own_network::knock),
    ("connection-unanswered", own_network::fill_accept_queue),
    ("ephemeral-ports", own_network::use_up_ports),
    ("igmp-max-msf", own_network::add_sources),
    ("igmp-max-memberships", own_network::join_groups),
    ("interface-missing", own_network::bind_to_missing),
    ("net-admin", own_network::without_net_admin),
    ("iptables-table", own_network::unknown_table),
    ("ipv6-disabled", own_network::without_ipv6),
    ("low-port", own_network::bind_low_port),
    ("message-too-large", own_network::send_too_much),
    ("netlink-overrun", own_network::overrun),
    ("no-route", own_network::reach_nowhere),
    ("optmem-max", own_network::fill_option_memory),
    ("ping-group-range", own_network::ping),
    ("raw-socket", own_network::without_net_raw),
    ("route-refuses", own_network::meet_route),
    ("socket-address-unfit", unfit_sockets::unfit_address),
    ("socket-filter-locked", unfit_sockets::change_locked_filter),
    ("socket-option-capability", own_network::set_guarded_option),
    ("socket-path-exists", local_sockets::bind_twice),
    ("unix-backlog", local_sockets::fill_backlog),
    ("unix-no-listener", local_sockets::knock),
    ("unix-path-length", local_sockets::name_too_long),
    ("unix-path-missing", local_sockets::at_no_path),
    ("unix-queue", local_sockets::fill_queue),
    ("unix-in-flight", local_sockets::send_descriptors),
    ("unix-socket-type", local_sockets::mix_types),
    ("cpuset-empty", empty_cpuset::provoke),
    ("deadline-bandwidth", scheduling::bandwidth),
    ("deadline-rules", scheduling::rules),
    ("disk-full", fill_disk::provoke),
    ("exec-arguments", programs::too_many_arguments),
    ("exec-format", programs::of_no_format),
    ("exec-interpreter", programs::without_interpreter),
    ("exec-not-found", programs::not_there),
    ("exec-recursion", programs::its_own_interpreter),
    ("file-capabilities", programs::beyond_its_bounds),
    ("file-mode", forbidden_files::by_mode),
    ("hidepid", forbidden_files::hidden),
    ("landlock-layers", privileges::layers),
    ("huge-pages", huge_pages::provoke),
    ("id-unmapped", refused_namespaces::provoke),
    ("idmap-form", refused_namespaces::provoke),
    ("idmap-rights", refused_namespaces::provoke),
    ("max-namespaces", use_up_namespaces::provoke),
    ("memory-max", fill_memory::provoke),
    ("missing-capability", privileges::lack),
    ("mount-max", fill_mounts::provoke),
    ("namespace-depth", nest_namespaces::provoke),
    ("no-new-privs-missing", privileges::sandbox),
    ("nodev-mount", forbidden_files::device_node),
    ("noexec-mount", programs::on_noexec),
    ("namespace-pending", refused_namespaces::provoke),
    ("namespace-privilege", refused_namespaces::provoke),
    ("pid-chosen", refused_namespaces::provoke),
    ("pidns-dead", refused_namespaces::provoke),
    ("oom-score-adj", own_limits::oom_score),
    ("perf-event-mlock", own_limits::perf_ring),
    ("pids-max", fill_cgroup::provoke),
    ("profile-missing", forbidden_files::profile),
    ("rlimit-nproc", crowd_user::provoke),
    ("scheduling-rights", refused_namespaces::provoke),
    ("seccomp", filter::provoke),
    ("seccomp-filters-max", filter::stack),
    ("semaphore-range", ipc_limits::out_of_range),
    ("security-module", privileges::outside),
    ("sigbus", touch_mapping::provoke),
    ("block-device-missing", refuse_files::no_device),
    ("mount-busy", refuse_mounts::busy),
    ("mount-kinds-differ", refuse_mounts::kinds_differ),
    ("mount-locked-flags", refuse_mounts::locked_flags),
    ("mount-move-refused", refuse_mounts::unmovable),
    ("mount-namespace-not-owned", refuse_mounts::namespace_not_owned),
    ("mount-needs-admin", refuse_mounts::without_admin),
    ("mount-option-unknown", refuse_mounts::unknown_option),
    ("mount-path-missing", refuse_mounts::missing_path),
    ("mount-point-busy", refuse_mounts::busy_point),
    ("mount-read-only", refuse_files::read_only),
    ("mount-type-needs-root", refuse_mounts::type_needs_root),
    ("mount-type-unknown", refuse_mounts::unknown_type),
    ("not-a-mount-point", refuse_mounts::not_a_point),
    ("operation-unsupported", refuse_files::unsupported),
    ("overlay-depth", refuse_mounts::overlay_depth),
    ("overlay-in-use", refuse_mounts::overlay_in_use),
    ("overlay-incomplete", refuse_mounts::overlay_incomplete),
    ("overlay-layer-missing", refuse_mounts::overlay_missing),
    ("overlay-layers-max", refuse_mounts::overlay_layers),
    ("overlay-layers-overlap", refuse_mounts::overlay_overlap),
    ("overlay-options-cut", refuse_mounts::overlay_cut),
    ("overlay-upper-read-only", refuse_mounts::overlay_read_only),
    ("overlay-upper-unsupported", refuse_mounts::overlay_unsupported),
    ("overlay-volatile", refuse_mounts::overlay_volatile),
    ("overlay-work-elsewhere", refuse_mounts::overlay_elsewhere),
    ("file-locked", refuse_files::locked),
    ("mapping-rights", refuse_files::mapped),
    ("full-device", refuse_files::full_device),
    ("swap-unusable", refuse_files::swap),
    ("path-too-long", refuse_files::too_long),
    ("pivot-root-refused", refuse_mounts::pivot),
    ("protected-files", refuse_files::protected),
    ("rename-across-mounts", refuse_files::across),
    ("rlimit-fsize", refuse_files::too_large),
    ("symlink-loop", refuse_files::links),
    ("sticky-folder", forbidden_files::sticky),
    ("sysctl-owner", forbidden_files::sysctl),
    ("sysctl-value", forbidden_files::sysctl_value),
    ("tmpfs-remount", refuse_mounts::remount_tmpfs),
    ("text-busy", programs::busy),
    ("inotify-max-user-instances", watch_limits::instances),
    ("inotify-max-user-watches", watch_limits::watches),
    ("key-unusable", kernel_keys::unusable),
    ("kernel-made-files", refuse_files::kernel_made),
    ("kernel-msg", ipc_limits::queues),
    ("kernel-sem", ipc_limits::semaphores),
    ("kernel-shm", ipc_limits::segments),
    ("max-map-count", own_limits::mappings),
    ("memfd-sealed", own_limits::sealed),
    ("mqueue-full", ipc_limits::full_queue),
    ("mqueue-limits", ipc_limits::posix_queues),
    ("nr-open", own_limits::highest_descriptors),
    ("receive-buffer", ipc_limits::small_buffer),
    ("rlimit-as", own_limits::address_space),
    ("rlimit-data", own_limits::data),
    ("rlimit-memlock", own_limits::locked),
    ("rlimit-msgqueue", ipc_limits::posix_bytes),
    ("rlimit-nofile", own_limits::descriptors),
    ("ambient-capability", own_limits::ambient),
    ("memory-nodes", own_limits::memory_node),
    ("multicast-interface", own_network::join_without_route),
    ("pipe-shrink", own_limits::smaller_pipe),
    ("rlimit-order", own_limits::soft_above_hard),
    ("rlimit-raise", own_limits::raise),
    ("rlimit-sigpending", own_limits::signals),
    ("set-user-id-ignored", programs::without_its_user),
    ("setgroups-denied", refused_namespaces::provoke),
    ("setns-privilege", refused_namespaces::provoke),
    ("setns-target", refused_namespaces::provoke),
    ("struct-too-new", refused_namespaces::provoke),
    ("time-offsets", refused_namespaces::time_offsets),
    ("task-not-alone", refused_namespaces::provoke),
    ("userns-creator", refused_namespaces::provoke),
    ("xattr-limits", refuse_files::attribute),
    ("write-exec-denied", own_limits::write_and_execute),
    ("bpf-verifier", unfit_targets::unfit_program),
    ("bpf-map-full", unfit_targets::change_map),
    ("hostname-length", unfit_targets::long_name),
    ("ipc-object", ipc_limits::objects),
    ("ipc-smaller", ipc_limits::more_than_there_is),
    ("path-confined", unfit_targets::leave_folder),
    ("remount-foreign", refuse_mounts::foreign_remount),
    ("epoll-unwatchable", unfit_targets::watch_file),
    ("session-rules", unfit_targets::leave_group),
    ("nothing-behind-file", unfit_targets::open_nothing),
    ("sysctl-missing", unfit_targets::set_missing_sysctl),
    ("untraceable", unfit_targets::trace),
];

/// Provokes a cause's fault in this process and its children. Call it in a process that may be thrown
/// away: it changes namespaces.
pub fn provoke(cause: &Cause, variant: Option<&str>) -> anyhow::Result<Provoked> {
    let variants = match &cause.fault {
        Fault::Action { variants, .. } => *variants,
        Fault::None(why) => anyhow::bail!("{} has no fault: {why}", cause.slug),
    };
    let variant = match variant {
        Some(v) => *variants.iter().find(|known| **known == v).ok_or_else(|| {
            anyhow::anyhow!("{} has no variant {v:?}; it has: {}", cause.slug, variants.join(", "))
        })?,
        None => variants.first().copied().unwrap_or_default(),
    };
    match ACTIONS.iter().find(|(slug, _)| *slug == cause.slug) {
        Some((_, action)) => action(variant),
        None => anyhow::bail!("the fault of {} is registered but has no action", cause.slug),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes;

    #[test]
    fn every_registered_fault_has_an_action_and_the_other_way_round() {
        for cause in causes::ALL {
            let has = ACTIONS.iter().any(|(slug, _)| *slug == cause.slug);
            assert_eq!(has, matches!(cause.fault, Fault::Action { .. }), "{}", cause.slug);
        }
        for (slug, _) in ACTIONS {
            assert!(causes::by_slug(slug).is_some(), "{slug} is no cause");
        }
    }
}
