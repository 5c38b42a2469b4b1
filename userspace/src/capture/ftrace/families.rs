//! Which kernel functions are worth watching, per family of system calls: data, no code.
//!
//! A family names its system calls and, by glob, the functions below them that can refuse, plus enough
//! of the way there to see the path. Functions that run all the time anywhere else (path walking,
//! reference counts, locks, allocation, `write`) are left out: an armed function costs a few hundred
//! nanoseconds on *every* call, whoever makes it. Names differ between kernels and compilers
//! (`do_lock_mount`, `lock_mount`, `attach_recursive_mnt.isra.0`); what a kernel does not have is no
//! error, and a pattern is held against the name without its compiler suffix.

mod tree;

pub use tree::TREE;

/// Stands for every system call.
pub const EVERY: &str = "*";

/// System calls that share their kernel functions. Lists are words between blanks.
#[derive(Debug, PartialEq, Eq)]
pub struct Family {
    pub name: &'static str,
    /// Names as in the x86-64 table; every entry stub of theirs (`__x64_sys_*`, `__ia32_compat_sys_*`, …)
    /// is armed and may be the root of a graph.
    pub syscalls: &'static str,
    /// Further functions that may be the root of a graph, where the system call itself is too frequent.
    pub roots: &'static str,
    /// Where in the kernel's source, and globs over function names; a leading `!` takes away what others add.
    pub functions: &'static [(&'static str, &'static str)],
    /// Globs of functions on the way that run all the time elsewhere: armed only when the capture is
    /// restricted to chosen processes, and then only for as long as these run.
    pub frequent: &'static str,
}

/// mount(2) and the new mount API, overlay and tmpfs included.
pub static MOUNT: Family = Family {
    name: "mount",
    syscalls: "mount umount oldumount open_tree open_tree_attr move_mount fsopen fsconfig fsmount fspick \
         mount_setattr pivot_root",
    roots: "",
    functions: &[
        (
            "fs/namespace.c, fs/pnode.c",
            "path_mount do_mount may_mount do_new_mount* do_loopback __do_loopback do_remount \
             do_reconfigure_mnt do_change_type do_move_mount* do_add_mount do_mount_setattr \
             do_set_group do_umount path_umount path_pivot_root mount_too_revealing graft_tree \
             attach_recursive_mnt count_mounts get_mountpoint put_mountpoint __put_mountpoint \
             mnt_set_mountpoint mnt_change_mountpoint attach_mnt commit_tree lock_mount* \
             do_lock_mount unlock_mount __unlock_mount namespace_unlock clone_mnt copy_tree \
             umount_tree alloc_vfsmnt vfs_create_mount vfs_kern_mount fc_mount open_detached_copy \
             vfs_open_tree dissolve_on_fput has_locked_children invent_group_ids mnt_alloc_group_id \
             propagate_mnt propagate_one propagate_mount_busy is_path_reachable \
             change_mnt_propagation can_change_locked_flags check_for_nsfs_mounts \
             sb_prepare_remount_readonly mnt_make_readonly wants_mount_setattr can_idmap_mount \
             build_mount_idmapped copy_mount_options copy_mount_string mnt_ns_loop \
             mnt_warn_timestamp_expiry alloc_mnt_ns copy_mnt_ns __attach_mnt mnt_add_to_ns \
             mnt_notify* make_visible setup_mnt attr_flags_to_mnt_flags propagation_would_overmount \
             maybe_free_mountpoint unhash_mnt __umount_mnt vfsmount_to_propagation_flags \
             get_dominating_id lock_mnt_tree collect_paths drop_collected_paths fc_mount_longterm \
             create_new_namespace cleanup_group_ids cleanup_mnt lookup_mountpoint \
             transfer_propagation bulk_make_private next_candidate next_group propagation_next \
             mnt_make_shortterm mnt_release_group_id build_mount_kattr finish_mount_kattr \
             find_filesystem __get_fs_type may_umount* mnt_clone_internal lock_mount_exact \
             mnt_get_writers mnt_set_expiry touch_mnt_namespace shrink_submounts propagate_umount \
             propagate_mount_unlock",
        ),
        (
            "fs/fsopen.c, fs/fs_context.c, fs/fs_parser.c, fs/super.c",
            "vfs_fsconfig_locked vfs_cmd_* vfs_get_tree vfs_parse_fs_* vfs_parse_monolithic* \
             parse_monolithic_mount_data generic_parse_monolithic vfs_clean_context \
             finish_clean_context alloc_fs_context fs_context_for_* put_fs_context get_fs_type \
             legacy_get_tree legacy_parse_param legacy_parse_monolithic legacy_init_fs_context \
             vfs_reconfigure* reconfigure_super fs_param_is_* __fs_parse lookup_constant \
             mount_capable sget sget_fc sget_dev alloc_super get_tree_* mount_bdev mount_nodev \
             mount_single setup_bdev_super bdev_permission set_anon_super* get_anon_bdev \
             deactivate_locked_super super_setup_bdi* lookup_bdev blkdev_get_by_* bdev_open_by_* \
             bdev_file_open_by_*",
        ),
        (
            "fs/namei.c: rare entries into path walking, whose inside is too frequent",
            "kern_path kern_path_* user_path_at vfs_path_lookup",
        ),
        (
            "file systems that engines mount",
            "ovl_fill_super ovl_get_tree ovl_init_fs_context ovl_parse_* ovl_do_parse_layer ovl_mount \
             ovl_mount_dir* ovl_get_upper ovl_get_workdir ovl_get_layers ovl_get_lowerstack \
             ovl_get_root ovl_get_indexdir ovl_get_fsid ovl_make_workdir ovl_workdir_create \
             ovl_workdir_ok ovl_check_layer ovl_check_namelen ovl_check_overlapping_layers \
             ovl_check_d_type_supported ovl_check_rename_whiteout ovl_report_in_use ovl_setup_trap \
             ovl_lower_dir ovl_verify_set_fh ovl_fs_params_verify ovl_super_validate ovl_reconfigure \
             ovl_inuse_trylock ovl_free_fs shmem_init_fs_context shmem_parse_* shmem_get_tree \
             shmem_fill_super shmem_reconfigure ramfs_init_fs_context ramfs_get_tree \
             proc_init_fs_context proc_get_tree proc_fill_super sysfs_init_fs_context sysfs_get_tree \
             mqueue_init_fs_context mqueue_get_tree mqueue_fill_super mqueue_create_attr \
             cgroup_init_fs_context cgroup_get_tree cgroup1_get_tree cgroup_do_get_tree \
             cgroup*_parse_param kernfs_get_tree devpts_mount devpts_fill_super ext4_get_tree \
             ext4_fill_super __ext4_fill_super ext4_load_super fuse_get_tree fuse_fill_super",
        ),
        (
            "security modules",
            "security_sb_* !security_sb_statfs !security_sb_show_options security_move_mount \
             security_fs_context_* selinux_mount selinux_move_mount selinux_umount \
             selinux_sb_kern_mount apparmor_sb_* apparmor_move_mount aa_bind_mount aa_new_mount \
             aa_remount aa_move_mount* aa_mount_change_type aa_umount aa_pivotroot smack_sb_* \
             tomoyo_sb_* tomoyo_move_mount landlock_sb_* hook_sb_* hook_move_mount bpf_lsm_sb_mount \
             bpf_lsm_move_mount",
        ),
    ],
    frequent: "user_path_at_empty filename_lookup path_lookupat link_path_walk walk_component step_into \
         inode_permission generic_permission may_open",
};

/// clone, unshare, setns: new tasks and new namespaces.
pub static NAMESPACES: Family = Family {
    name: "namespaces",
    syscalls: "clone clone3 fork vfork unshare setns",
    roots: "",
    functions: &[(
        "kernel/fork.c, kernel/nsproxy.c, kernel/ucount.c and the namespaces",
        "kernel_clone _do_fork copy_process dup_task_struct copy_creds alloc_pid ksys_unshare \
             unshare_nsproxy_namespaces unshare_userns check_unshare_flags copy_namespaces \
             create_new_namespaces create_user_ns copy_*_ns copy_utsname copy_ipcs clone_uts_ns \
             create_ipc_ns create_pid_namespace set_cred_ucounts inc_ucount dec_ucount get_ucounts \
             alloc_ucounts inc_rlimit_get_ucounts is_rlimit_overlimit is_ucounts_overlimit \
             cgroup_can_fork cgroup_cancel_fork pids_can_fork cpuset_can_fork cgroup_css_set_fork \
             sched_cgroup_fork sched_fork security_task_alloc security_create_user_ns \
             apparmor_userns_create setup_net ops_init setup_userns_sysctls ns_alloc_inum \
             alloc_mnt_ns copy_tree clone_mnt validate_ns validate_nsset prepare_nsset commit_nsset \
             *ns_install timens_on_fork current_chrooted kernfs_create_root cap_task_* exit_creds \
             free_task",
    )],
    frequent: "",
};

/// cgroup directories and files.
pub static CGROUP: Family = Family {
    name: "cgroup",
    syscalls: "mkdir mkdirat rmdir",
    // write(2) itself is far too frequent; all of cgroupfs (and sysfs) passes here.
    roots: "kernfs_fop_write_iter kernfs_fop_write",
    functions: &[(
        "kernel/cgroup, the controllers, fs/kernfs",
        "cgroup_file_write cgroup_procs_write* __cgroup_procs_write __cgroup1_procs_write \
             cgroup_threads_write cgroup_tasks_write cgroup1_*_write cgroup_attach_permissions \
             cgroup_procs_write_permission cgroup_may_write cgroup_attach_task cgroup_migrate* \
             cgroup_mkdir cgroup_create cgroup_rmdir cgroup_destroy_locked cgroup_apply_control* \
             cgroup_subtree_control_write cgroup_vet_subtree_control_enable cgroup_type_write \
             cgroup_enable_threaded cgroup_kn_lock_live cgroup_setup_root \
             cgroup_check_hierarchy_limits css_create css_populate_dir cgroup_addrm_files \
             cgroup_add_file *_can_attach *_cancel_attach *_css_alloc *_css_online cgroup_idr_alloc \
             mem_cgroup_alloc mem_cgroup_id_alloc mem_cgroup_resize_* memory_max_write \
             memory_high_write memory_min_write mem_cgroup_write pids_max_write cpu_max_write \
             cpu_weight_write cpuset_write_resmask update_cpumask update_nodemask validate_change \
             update_prstate hugetlb_cgroup_write rdmacg_resource_set_max misc_cg_max_write \
             devcgroup_access_write devcgroup_update_access sched_group_set_shares \
             tg_set_cfs_bandwidth kernfs_iop_mkdir kernfs_iop_rmdir kernfs_create_dir_ns \
             kernfs_add_one kernfs_new_node psi_cgroup_alloc cgroup_bpf_inherit",
    )],
    frequent: "",
};

/// System V and POSIX inter-process communication.
pub static IPC: Family = Family {
    name: "ipc",
    syscalls: "semget semop semtimedop shmget shmat msgget msgsnd semctl shmctl msgctl mq_open mq_unlink",
    roots: "",
    functions: &[(
        "ipc",
        "ksys_semget ksys_shmget ksys_msgget do_shmat do_msgsnd __do_semtimedop do_semtimedop \
             ipcget ipcget_public ipcget_new ipc_addid ipcperms newary newseg newque \
             hugetlb_file_setup shmem_kernel_file_setup do_mq_open mqueue_create* mqueue_get_inode \
             security_sem_* security_shm_* security_msg_queue_*",
    )],
    frequent: "",
};

/// inotify and fanotify.
pub static WATCHES: Family = Family {
    name: "watches",
    syscalls: "inotify_init inotify_init1 inotify_add_watch fanotify_init fanotify_mark",
    roots: "",
    functions: &[(
        "fs/notify",
        "do_inotify_init inotify_new_group inotify_find_inode inotify_update_* inotify_new_watch \
             inotify_add_to_idr inc_ucount dec_ucount get_ucounts fsnotify_alloc_group \
             fsnotify_add_mark* fsnotify_attach_* do_fanotify_mark fanotify_add_* fanotify_find_path \
             fanotify_test_fsid fanotify_test_fid fanotify_events_supported security_path_notify",
    )],
    frequent: "",
};

/// Kernel keys.
pub static KEYS: Family = Family {
    name: "keys",
    syscalls: "add_key request_key keyctl",
    roots: "",
    functions: &[(
        "security/keys",
        "key_alloc key_create* __key_create_or_update key_payload_reserve key_user_lookup \
             keyctl_* join_session_keyring install_*_keyring* lookup_user_key key_task_permission \
             look_up_user_keyrings __key_link_begin __key_link key_link key_instantiate_and_link \
             __key_instantiate_and_link request_key_and_link construct_alloc_key user_preparse \
             security_key_alloc security_key_permission generic_key_instantiate",
    )],
    frequent: "",
};

pub static ALL: &[&Family] = &[&MOUNT, &NAMESPACES, &CGROUP, &IPC, &WATCHES, &KEYS];

/// The family that watches this system call (x86-64 name).
pub fn of_syscall(name: &str) -> Option<&'static Family> {
    // The table calls it umount2, the kernel's function umount.
    let name = if name == "umount2" { "umount" } else { name };
    ALL.iter().copied().find(|family| family.syscalls.split(' ').any(|syscall| syscall == name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_system_call_is_in_two_families() {
        let mut all: Vec<_> = ALL.iter().flat_map(|family| family.syscalls.split(' ')).collect();
        let before = all.len();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), before);
        assert_eq!(of_syscall("umount2").map(|family| family.name), Some("mount"));
        assert_eq!(of_syscall("read"), None);
    }
}
