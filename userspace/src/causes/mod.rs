//! Why containers fail: one file each, one registration line each.
//!
//! A cause judges data only. It opens no file, reads no clock and never looks at another cause. What it
//! asserts must follow from the incident; what it cannot know it lists as missing.

mod case;

pub use case::{Case, Proof, Verdict};

use crate::limits::Limit;
use crate::model::{Finding, Remedy};

/// One known reason why containers fail.
pub struct Cause {
    /// Equals the file's stem with `-` for `_`, and is the name in reports and on the command line.
    pub slug: &'static str,
    pub title: &'static str,
    /// What the user sees, what the kernel does, why it surprises: printed by `diag explain --cause`.
    pub about: &'static str,
    /// The system calls and errnos it shows itself as.
    pub shows_as: &'static [(&'static str, &'static str)],
    /// Kernel functions whose verdict this cause is, with their names on all supported kernels.
    pub deciders: &'static [&'static str],
    /// Limits that are sampled because this cause reads them.
    pub reads: &'static [&'static Limit],
    /// What else gives the same system call and errno, in words, and what rules it out.
    pub rivals: &'static [Rival],
    pub explain: fn(&Case<'_>) -> Option<Proof>,
    pub remedy: fn(&Case<'_>, &Proof) -> Vec<Remedy>,
    /// How to provoke it.
    pub fault: Fault,
    /// Where the knowledge comes from.
    pub see: &'static [&'static str],
}

/// Another explanation that must be out before this cause may be called proven.
pub struct Rival {
    pub name: &'static str,
    /// In words, for `diag explain --cause`.
    pub ruled_out_by: &'static str,
    /// Whether it can be at work in this incident at all, and whether the evidence rules it out.
    pub stands: fn(&Case<'_>) -> Option<String>,
}

/// How a cause is reproduced.
pub enum Fault {
    /// Run by `diag repro <slug>`; the actions are in `repro`.
    Action { about: &'static str, risk: &'static str, variants: &'static [&'static str] },
    /// Cannot be provoked safely, and why.
    None(&'static str),
}

/// Turns a list of modules into the `mod` lines and the table, so that registering is one line.
macro_rules! register {
    ($($module:ident,)*) => {
        $(mod $module;)*
        /// Every cause, in the order they are tried.
        pub static ALL: &[&Cause] = &[$(&$module::CAUSE,)*];
        #[cfg(test)]
        static STEMS: &[&str] = &[$(stringify!($module),)*];
    };
}

register! {
    address_family,
    address_in_use,
    address_not_local,
    address_tentative,
    aio_max_nr,
    ambient_capability,
    bad_superblock,
    block_device_missing,
    block_device_read_only,
    bpf_jit_limit,
    bpf_map_full,
    bpf_unprivileged,
    bpf_verifier,
    bridge_port,
    broadcast_option,
    cgroup_access,
    cgroup_border,
    cgroup_busy,
    cgroup_controller,
    cgroup_frozen,
    cgroup_gone,
    cgroup_hierarchy,
    cgroup_internal,
    cgroup_network_program,
    cgroup_slowed,
    cgroup_task,
    cgroup_threaded,
    cgroup_v1_mount,
    cgroup_value,
    clone_flags,
    congestion_control,
    connection_refused,
    connection_unanswered,
    conntrack_full,
    cpu_affinity,
    cpuset_empty,
    cpuset_rules,
    deadline_bandwidth,
    deadline_rules,
    device_cgroup,
    disk_full,
    disk_quota,
    dmesg_restrict,
    ephemeral_ports,
    epoll_max_user_watches,
    epoll_unwatchable,
    exec_arguments,
    exec_format,
    exec_interpreter,
    exec_not_found,
    exec_recursion,
    fanotify_max_user_groups,
    fanotify_max_user_marks,
    file_capabilities,
    file_max,
    file_locked,
    file_mode,
    file_server_gone,
    firewall_drop,
    forbidden_by_sysctl,
    full_device,
    gateway_unreachable,
    hidepid,
    host_unreachable,
    hostname_length,
    huge_pages,
    id_unmapped,
    id_unmapped_on_fs,
    idmap_form,
    idmap_mount,
    idmap_rights,
    idmap_unsupported,
    igmp_max_memberships,
    igmp_max_msf,
    immutable_file,
    inotify_max_user_instances,
    inotify_max_user_watches,
    interface_immovable,
    interface_kind,
    interface_missing,
    interface_mtu,
    interface_name,
    io_error,
    io_uring_disabled,
    ipc_object,
    ipc_smaller,
    ipv6_disabled,
    iptables_table,
    kernel_made_files,
    kernel_msg,
    kernel_sem,
    kernel_shm,
    key_unusable,
    keys_quota,
    killed_by_kernel,
    killed_by_process,
    landlock_layers,
    links_max,
    lockdown,
    low_port,
    mapping_rights,
    max_map_count,
    max_namespaces,
    memcg_ids,
    memfd_noexec,
    memfd_sealed,
    memory_below_usage,
    memory_charge,
    memory_max,
    memory_nodes,
    memory_reclaim,
    message_too_large,
    mmap_min_addr,
    mount_busy,
    mount_kinds_differ,
    mount_locked_flags,
    mount_max,
    mount_move_refused,
    mount_namespace_not_owned,
    mount_needs_admin,
    mount_option_unknown,
    mount_path_missing,
    mount_point_busy,
    mount_read_only,
    mount_too_revealing,
    mount_type_needs_root,
    mount_type_unknown,
    mqueue_full,
    mqueue_limits,
    multicast_interface,
    namespace_depth,
    namespace_pending,
    namespace_privilege,
    neighbour_table,
    net_admin,
    netlink_overrun,
    network_object_exists,
    network_object_missing,
    no_new_privs_missing,
    no_route,
    nodev_mount,
    noexec_mount,
    not_a_mount_point,
    nothing_behind_file,
    nr_open,
    oom_score_adj,
    operation_unsupported,
    optmem_max,
    overcommit,
    overlay_depth,
    overlay_in_use,
    overlay_incomplete,
    overlay_layer_missing,
    overlay_layers_max,
    overlay_layers_overlap,
    overlay_options_cut,
    overlay_stale_layer,
    overlay_upper_read_only,
    overlay_upper_unsupported,
    overlay_volatile,
    overlay_work_elsewhere,
    path_confined,
    path_too_long,
    perf_event_mlock,
    perf_event_paranoid,
    pid_chosen,
    pid_max,
    pidns_dead,
    pids_max,
    ping_group_range,
    pipe_max_size,
    pipe_shrink,
    pipe_user_pages,
    pivot_root_refused,
    profile_missing,
    protected_files,
    protected_hardlinks,
    protected_symlinks,
    pty_max,
    raw_socket,
    receive_buffer,
    remount_foreign,
    rename_across_mounts,
    rlimit_as,
    rlimit_data,
    rlimit_fsize,
    rlimit_memlock,
    rlimit_msgqueue,
    rlimit_nofile,
    rlimit_nproc,
    rlimit_order,
    rlimit_raise,
    rlimit_sigpending,
    route_refuses,
    scheduling_rights,
    seccomp,
    seccomp_filters_max,
    security_module,
    semaphore_range,
    send_queue_full,
    session_rules,
    set_user_id_ignored,
    setgroups_denied,
    setns_privilege,
    setns_target,
    sigbus,
    socket_address_unfit,
    socket_filter_locked,
    socket_option_capability,
    socket_path_exists,
    sticky_folder,
    struct_too_new,
    swap_unusable,
    symlink_loop,
    sysctl_missing,
    sysctl_owner,
    sysctl_value,
    task_not_alone,
    text_busy,
    threads_max,
    time_offsets,
    tmpfs_remount,
    tun_busy,
    unix_backlog,
    unix_in_flight,
    unix_no_listener,
    unix_path_length,
    unix_path_missing,
    unix_queue,
    unix_socket_type,
    untraceable,
    userfaultfd_unprivileged,
    userns_creator,
    userns_forbidden,
    write_exec_denied,
    xattr_limits,
    yama_scope,
    // What the kernel itself said of a request, where no cause knows more of it.
    network_request_refused,
    // The table of capabilities in general: of two that are as sure, the cause that knows more of the case goes first.
    missing_capability,
}

/// The cause with this slug.
pub fn by_slug(slug: &str) -> Option<&'static Cause> {
    ALL.iter().copied().find(|c| c.slug == slug)
}

/// The cause that has this function as its decider.
pub fn by_decider(function: &str) -> Option<&'static Cause> {
    ALL.iter().copied().find(|c| c.deciders.contains(&function))
}

/// Whether some cause that shows itself as this call with this errno has the function as its decider.
pub fn decides(function: &str, call: &str, errno: &str) -> bool {
    ALL.iter().any(|c| c.deciders.contains(&function) && c.shows_as.contains(&(call, errno)))
}

impl Cause {
    /// Whether it refuses a system call before the kernel's own function for it is entered (`syscall_trace_enter()`).
    pub fn answers_before_entry(&self) -> bool {
        self.deciders.contains(&"__seccomp_filter")
    }

    /// Judges a case: the finding, if this cause claims it.
    pub fn judge(&self, case: &Case<'_>) -> Option<Finding> {
        let mut proof = (self.explain)(case)?;
        let standing: Vec<String> = self.rivals.iter().filter_map(|r| (r.stands)(case)).collect();
        proof.settle(standing);
        let remedy = (self.remedy)(case, &proof);
        let mut finding = Finding {
            cause: self.slug.into(),
            title: self.title.into(),
            confidence: proof.confidence,
            sentence: proof.sentence,
            knob: proof.knob,
            limit: proof.limit,
            usage: proof.usage,
            unit: proof.unit,
            evidence: proof.evidence,
            missing: proof.missing,
            remedy,
        };
        file_capabilities::amend(case, &mut finding);
        Some(finding)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_is_whole() {
        for (cause, stem) in ALL.iter().zip(STEMS) {
            assert_eq!(cause.slug, stem.replace('_', "-"), "slug is the file's stem");
            assert_eq!(ALL.iter().filter(|c| c.slug == cause.slug).count(), 1);
            for text in [cause.title, cause.about] {
                assert!(!text.is_empty(), "{}: empty text", cause.slug);
            }
            assert!(!cause.see.is_empty(), "{}: no source", cause.slug);
            assert!(!cause.shows_as.is_empty(), "{}: shows as nothing", cause.slug);
        }
    }

    /// Facts are kept in the journal and in recordings: what is written must be readable again.
    #[test]
    fn facts_survive_being_kept() {
        use crate::model::{Errno, Fact};
        use case::testing::{file, incident, place, state};
        let mut incident = incident("openat", Errno::EACCES, vec![]);
        incident.facts = vec![
            Fact::Place(place("target", "/srv", "ro,relatime")),
            Fact::PathObject(Box::new(file("/srv/app", 0o644))),
            Fact::Identity(Box::default()),
            state("kernel.dmesg_restrict", "", "1"),
        ];
        let kept = serde_json::to_string(&incident).unwrap();
        assert_eq!(serde_json::from_str::<crate::model::Incident>(&kept).unwrap(), incident);
    }
}
