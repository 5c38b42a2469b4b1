//! What is watched besides the families when one process tree is followed: every system call, and below it
//! what refuses people in containers.
//!
//! By part of the kernel, with globs wide enough to hold functions that other versions have or renamed. A
//! function that decides but is not armed makes its caller look guilty, so it is better to arm too many than
//! too few: arming takes a second for six thousand of them even emulated, and only the followed threads
//! pay. Left out is what runs thousands of times in a call without ever refusing (locks, reference counts,
//! allocation, page tables, string and list helpers, clocks), and what has no result.

use super::{EVERY, Family};

pub static TREE: Family = Family {
    name: "tree",
    syscalls: EVERY,
    roots: "",
    functions: &[
        (
            "what user space calls, behind its entry: kernel/, fs/, net/socket.c",
            "__do_sys_* __se_sys_* ksys_* __sys_* do_sys_* kern_* compat_* __do_compat_sys_*",
        ),
        (
            "fs/namei.c, fs/open.c, fs/exec.c, fs/binfmt_*.c",
            "do_filp_open do_file_open* path_openat open_last_lookups lookup_open* do_open do_tmpfile \
             do_o_path may_* handle_mounts handle_dots handle_lookup_down handle_truncate handle_to_path \
             filename_* path_* vfs_* do_dentry_open link_path_walk walk_component step_into* pick_link \
             inode_permission generic_permission acl_permission_check check_acl sb_permission lookup_* \
             try_to_unlazy* complete_walk nd_jump_* follow_* trailing_symlink open_exec* do_open_execat \
             do_execveat* do_execve* bprm_* begin_new_exec setup_new_exec exec_binprm search_binary_handler \
             load_* prepare_binprm prepare_bprm_creds copy_strings* copy_string_kernel count count_strings* \
             get_user_arg_ptr alloc_bprm setup_arg_pages elf_* flush_old_exec exec_mmap de_thread \
             unshare_files unshare_sighand get_write_access mnt_want_write* __mnt_want_write* \
             mnt_get_write_access* sb_start_write* deny_write_access* do_truncate* do_setattr mnt_may_suid \
             do_fchmod* chmod_common chown_common do_fchown* chown_ok chgrp_ok do_faccessat \
             access_override_creds build_open_flags break_lease* __break_lease do_linkat do_renameat* \
             do_mknod* do_mkdir* do_rmdir do_unlinkat do_symlinkat getname* getname_flags open_flags_to_* \
             dentry_open* dentry_create finish_open* finish_no_open atomic_open fsuidgid_has_mapping \
             path_noexec flush_cred* set_fs_pwd set_fs_root",
        ),
        (
            "fs/attr.c, fs/xattr.c, fs/read_write.c, fs/fcntl.c, fs/locks.c, fs/file.c, fs/file_table.c",
            "notify_change setattr_* inode_newsize_ok inode_owner_or_capable* inode_change_ok *xattr* \
             rw_verify_area generic_write_check* generic_file_* generic_perform_write* \
             __generic_file_write_iter new_sync_* do_iter_* do_loop_readv_writev do_splice* splice_* \
             iter_file_splice_write direct_splice_actor do_sendfile generic_copy_file_* fcntl_* do_fcntl* \
             f_setown* setfl* posix_lock_* flock_* locks_* generic_setlease* alloc_fd __alloc_fd \
             get_unused_fd* expand_files expand_fdtable alloc_fdtable alloc_file* alloc_empty_file* do_dup2 \
             receive_fd* __receive_fd* replace_fd dup_fd sync_file_range file_modified* file_update_time* \
             file_remove_privs* iov_* import_iovec __import_iovec import_*",
        ),
        (
            "file systems: tmpfs, ext4, overlay, proc, sysfs, devpts, hugetlb, quota, block devices",
            "shmem_* __shmem_* ext4_* ext2_* __ext4_* ovl_* proc_* pid_* kernfs_* devpts_* ptmx_* tty_* \
             hugetlb* dquot_* __dquot_* quota_* do_quotactl* blkdev_* bd_* bdev_* __blkdev_* chrdev_* \
             fuse_* xfs_* simple_* ramfs_* mqueue_* nsfs_* ns_* open_related_ns open_namespace* sysctl_* \
             do_proc_* __do_proc_* pipe_* create_pipe_files alloc_pipe_info do_pipe* get_pipe_* fifo_open \
             round_pipe_size do_epoll_* ep_* eventfd_* do_eventfd do_timerfd_* timerfd_* do_signalfd* \
             userfaultfd_* anon_inode_* __anon_inode_* memfd_* inode_init_owner* new_inode* alloc_inode \
             iget* oom_score_adj_write __set_oom_adj oom_adj_write mem_write environ_* map_write test_perm* \
             new_idmap_permitted timens_* seq_* !ext4_es_* !ext4_fc_* !ext4_getfsmap* !ext4_exit* \
             !ext4_init_* !ext4_end_* !ext4_free_* !ext4_read_* !ext4_fname* !ext4_update_* !ext4_orphan* \
             !ext4_ext_* !ext4_get_group* !ext4_mb_* !ext4_inode_csum* !ext4_iget_extra* !ext4_dirent_* \
             !ext4_dx_* !*_csum* !*_show !*_dump !proc_pid_stat* !fuse_dev_* !fuse_dax_* !fuse_conn_* \
             !fuse_uring_* !seq_* !*_destroy_inode !*_free_inode !tty_* !xfs_*",
        ),
        (
            "security: capabilities, modules, seccomp, keys, ptrace",
            "security_* cap_* capable* ns_capable* file_ns_capable* has_*capability* sk_*capable* \
             netlink_*capable* apparmor_* aa_* yama_* landlock_* hook_* current_check_* selinux_* smack_* \
             tomoyo_* ima_* evm_* loadpin_* lockdown_* safesetid_* devcgroup_* __devcgroup_* __cgroup_bpf_* \
             do_seccomp seccomp_* __seccomp_* prctl_* ptrace_* __ptrace_* mm_access proc_mem_open key_* \
             keyctl_* keyring_* search_* __key_* lookup_user_key* do_syslog check_syslog_* syslog_* \
             fqlookupn_profile __fqlookupn* privileged_wrt_* kuid_has_mapping* kgid_has_mapping* \
             !security_task_getsecid* !security_release_* !*_free !*_free_security !security_inode_getattr* \
             !selinux_netlbl* !selinux_xfrm* !tomoyo_write_* !tomoyo_read_* !tomoyo_same_* !tomoyo_print* \
             !tomoyo_gc*",
        ),
        (
            "kernel/: tasks, signals, scheduler settings, limits, time, modules, bpf, perf, io_uring",
            "do_prlimit* prlimit_* check_prlimit_* sched_set* __sched_set* do_sched_set* user_check_sched_* \
             __set_cpus_allowed* set_cpus_allowed* cpuset_* sched_dl_* sched_rt_* can_nice set_one_prio* \
             set_user set_cred* __sys_set* commit_creds prepare_creds do_send_* send_signal* __send_signal* \
             __sigqueue_* sigqueue_* kill_* group_send_* check_kill_* do_rt_sig* do_tkill do_sigaction \
             copy_* dup_* clone_* unshare_* create_* alloc_* inc_* *_can_* may_init_module load_module \
             finit_module* layout_and_* kernel_read_file* module_* init_module* map_create map_check_* \
             *_map_alloc *_map_alloc_check bpf_map_charge* bpf_charge_* bpf_map_alloc* bpf_map_get* \
             bpf_map_init* bpf_map_new_fd bpf_prog_load* bpf_prog_attach* bpf_prog_get* bpf_prog_new_fd \
             bpf_prog_alloc* bpf_check bpf_check_* bpf_token* bpf_raw_tp* bpf_obj_* bpf_link_* bpf_btf_* \
             btf_new_fd bpf_capable bpf_cgroup_* bpf_mprog_* bpf_tracing_* bpf_jit_charge* perf_allow_* \
             perf_copy_attr perf_event_alloc perf_event_set_output perf_event_set_filter perf_init_event \
             perf_try_init_event perf_mmap io_uring_* io_sq* io_allocate_* __io_account_mem io_account_mem \
             io_register_* pidfd_* do_adjtimex* do_timer_* do_clock* posix_cpu_timer_create posix_timer_* \
             posix_clock_* task_* !task_work_* !task_tick* !task_numa* !task_active* !task_sched* !task_rq* \
             !task_mm* !task_curr* !task_cpu* !copy_page* !copy_user* !copy_from_* !copy_to_* !copy_mc* \
             !copy_fpregs* !copy_uabi* !copy_xstate* !alloc_pages* !alloc_page* !alloc_frozen* !alloc_slab* \
             !alloc_bulk* !create_task_io* !inc_node* !inc_zone* !inc_slabs* !create_object* !alloc_skb* \
             !alloc_vmap* !alloc_vm_area !alloc_large* !alloc_iova* !alloc_buffer* !create_page* \
             !create_empty_buffers",
        ),
        (
            "cgroups and their controllers",
            "cgroup_* cgroup1_* __cgroup* !__cgroup_rstat* blkcg_* blkg_* __blkg_* mem_cgroup_charge* \
             __mem_cgroup_charge* charge_memcg try_charge* mem_cgroup_* misc_cg_* rdmacg_* pids_* cpuset_* \
             hugetlb_cgroup_* __hugetlb_cgroup_* page_counter_set_* page_counter_try_charge *_write_u64 \
             *_write_s64 *_set_limit tg_set_* freezer_* css_tryget_online_from_dir validate_change \
             update_cpumask* update_nodemask* update_prstate* update_flag update_relax* update_parent* \
             update_sibling* update_exclusive* update_partition* nodelist_parse bitmap_parse* cpulist_parse \
             rebind_subsystems memory_* !cgroup_rstat_* !__cgroup_account* !cgroup_account* \
             !cgroup_update_* !cgroup_post_fork !cgroup_exit* !cgroup_release !cgroup_free !memory_failure* \
             !mem_cgroup_*lru* !mem_cgroup_css_rstat* !mem_cgroup_update* !mem_cgroup_iter* \
             !mem_cgroup_track* !mem_cgroup_flush* !mem_cgroup_from* !mem_cgroup_id* !mem_cgroup_get* \
             !mem_cgroup_put* !mem_cgroup_threshold* !mem_cgroup_charge_statistics !mem_cgroup_handle* \
             !mem_cgroup_sk* !blkcg_maybe_*",
        ),
        (
            "mm/: mappings, locks in memory, overcommit",
            "do_mmap* mmap_* __mmap_* vm_mmap* vm_brk* do_brk* do_munmap* __do_munmap do_vmi_* do_vma_* \
             do_mas_* get_unmapped_area* __get_unmapped_area arch_get_unmapped_area* mprotect_fixup \
             do_mprotect_* do_mlock* apply_* mlock_* mlockall* can_do_mlock user_shm_lock __split_vma \
             split_vma vma_modify* vma_merge* do_mremap mremap_* move_vma vma_to_resize resize_is_valid \
             check_mremap_* may_expand_vm __vm_enough_memory overcommit_* expand_stack* acct_stack_growth \
             expand_downwards insert_vm_struct install_special_mapping __install_special_mapping do_madvise \
             madvise_* do_mincore mbind_* do_mbind kernel_mbind set_mempolicy* do_set_mempolicy mpol_* \
             do_migrate_pages account_locked_vm __account_locked_vm do_swapon swapon_* gather_surplus_pages \
             hugetlb_* map_files_* file_mmap_ok validate_mmap_request userfaultfd_* remap_file_pages mseal* \
             do_mseal can_modify_mm* !mmap_read_* !mmap_write_* !mmap_region_* !hugetlb_vmemmap* \
             !__mmap_lock* !mlock_drain* !mlock_folio* !mlock_new* !mpol_misplaced* !mmap_lock_* \
             !mlock_future_check_* mmap_region !__mmap_drop !mmap_init* !hugetlb_report* !mpol_rebind* \
             !apply_to_* !apply_relocate* !apply_alternatives* !apply_retpolines* !apply_returns* \
             !apply_fineibt* !apply_paravirt*",
        ),
        (
            "net/: sockets, addresses, routes, neighbours, filters, netlink",
            "__sock_* sock_* !sock_poll* !sock_rfree !sock_wfree !sock_def_* !sock_inuse* sk_setsockopt \
             sk_getsockopt do_sock_* move_addr_to_kernel __sys_* inet_* __inet_* inet6_* __inet6_* unix_* \
             do_ip_* ip_setsockopt ip_mc_* __ip_mc_* ipv6_*sockopt* do_ipv6_* ipv6_sock_* __ipv6_* \
             ip_route_* ip6_route_* ip6_* fib_* !fib_sync* !fib_select_default fib6_* ip_* __ip_* icmp_* \
             ping_* raw_* rawv6_* udp_* __udp_* udpv6_* udp_lib_* tcp_* __tcp_* tcp_v6_* packet_* netlink_* \
             __netlink_* nlmsg_* rtnetlink_* rtnl_* __rtnl_* do_setlink* do_set_master nla_* __nla_* \
             validate_nla* validate_linkmsg dev_* __dev_* register_net* br_* !br_multicast_* !br_mst_* \
             !br_mdb_* !br_stp_* !br_cfm_* !br_mrp_* !br_ip* !br_vlan_*_stats veth_* !veth_xdp* macvlan_* \
             ipvlan_* dummy_* tun_* neigh_* __neigh_* ___neigh_* arp_* ndisc_* nf_* __nf_* nft_* \
             nf_tables_* ipt_* xt_* netns_* setup_net ops_init sctp_* vsock_* !tcp_ack* !tcp_fastopen_* \
             !tcp_send_* !tcp_get_* !tcp_time* !tcp_plb* !tcp_ao_* !tcp_md5* !tcp_cdg* !tcp_sack* !tcp_syn* \
             !tcp_retrans* !tcp_rcv_established !tcp_clean_* !tcp_rack_* !tcp_rate_* !tcp_update_* \
             !tcp_event_* !tcp_mstamp* !tcp_tso_* !tcp_current_* !tcp_chrono_* !tcp_schedule_* !tcp_rearm_* \
             !tcp_wfree !tcp_small_* !tcp_bpf_* !tcp_cong_* !tcp_check_space !tcp_poll !tcp_queue_rcv \
             !tcp_data_* !tcp_write_xmit !tcp_options_* !tcp_established_* !tcp_grow_* !tcp_rcv_space* \
             !tcp_release_cb !tcp_v4_early* !tcp_v4_rcv !tcp_gro* !udp_gro* !dev_gro* !dev_hard_start* \
             !dev_printk* !__dev_printk* !dev_pm_* !dev_coredump* !dev_err* !dev_attr* !dev_uevent* \
             !dev_vprintk* !nf_*_show !nf_log_* !inet_twsk_* !inet_frag_* !sctp_* !xt_compat* !tcp_*_seq_* \
             !udp_*_seq_* !*_seq_next !*_seq_start !*_seq_stop !*_seq_show !netlink_poll* !unix_poll \
             !raw_irqentry_* !raw_notifier_* !tcp_orphan_* \
             !unix_dgram_poll !udp_poll !sock_gen_* !icmp_sk_* !tun_*",
        ),
        ("the kernel's limits by user", "*_ucount* *rlimit* is_*overlimit pids_* alloc_pid kernel_clone"),
        (
            "helpers that refuse arguments",
            "copy_struct_from_user copy_clone_args* copy_mount_* kstrto* bitmap_parse* match_* strndup_user \
             memdup_user* check_zeroed_user user_path_* fd_install_* fdget_* __fget_* !fd_install_received \
             !__fget_light !__fget_files !kstrtoll !match_token",
        ),
    ],
    frequent: "",
};
