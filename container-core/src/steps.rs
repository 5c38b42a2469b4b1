//! Every kernel-facing step the engine takes, as one table: its name in words, who runs it, its system calls.
//!
//! The name is what a user reads in an error, what [`crate::StepError`] carries and what another program
//! matches on; names are stable. A step that is not in this table cannot fail, because nothing can
//! construct its error.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Which process issues the system calls of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// The calling process (`run`, `exec`, `rm` …) or the supervisor it forked (detached containers).
    Engine,
    /// The container's first process, between clone(2) and execve(2).
    Child,
}

/// One row of [`TABLE`].
#[derive(Debug, Clone, Copy)]
pub struct StepInfo {
    /// The step itself.
    pub step: Step,
    /// Its name in words, unique and stable: `mount overlay rootfs`.
    pub name: &'static str,
    /// Who runs it.
    pub side: Side,
    /// The system calls it may issue, by their names in the x86-64 table.
    pub syscalls: &'static [&'static str],
    /// What it is for, one sentence.
    pub about: &'static str,
}

macro_rules! steps {
    ($($variant:ident $side:ident $name:literal [$($syscall:literal)*] $about:literal)*) => {
        /// A kernel-facing step. `Display` and serde use its name in words.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u16)]
        pub enum Step { $(#[doc = $about] $variant,)* }

        /// All steps, in the order in which a start meets them; clean-up last.
        pub const TABLE: &[StepInfo] = &[$(StepInfo {
            step: Step::$variant, name: $name, side: Side::$side, syscalls: &[$($syscall),*], about: $about,
        },)*];
    };
}

steps! {
    BecomeUserRoot Engine "become root of a user namespace" ["unshare" "pipe2" "clone" "execve" "wait4" "write"] "Let a normal user do what root does, as far as it is his own business, user_namespaces(7)."
    RecordState Engine "record state" ["openat" "write" "fsync" "rename"] "Write the container's state file, before and after what it announces."
    RecordEvent Engine "record event" ["openat" "flock" "write"] "Append one line to the event log."
    FindCgroups Engine "find cgroup hierarchies" ["statfs" "openat"] "Learn where cgroup v2 and the v1 controllers are mounted."
    EnableControllers Engine "enable cgroup controllers" ["openat" "read" "write"] "Hand pids, memory, cpu and cpuset down to the containers' parent group (cgroup v2)."
    CreateCgroup Engine "create cgroup" ["mkdir" "openat" "write"] "Make the container's group in each hierarchy; a v1 cpuset group with its parent's CPUs."
    SetLimit Engine "set cgroup limit" ["openat" "write"] "Write one limit into the container's group."
    RestrictDevices Engine "restrict devices" ["newfstatat" "openat" "write" "bpf"] "Say which devices the container's group may open."
    OpenCgroup Engine "open cgroup" ["openat" "newfstatat"] "Open the group for the child to enter, and learn its id."
    LetIn Engine "open store to mapped root" ["chmod" "chown" "newfstatat"] "Let the root of a container's own user namespace reach its files."
    ShiftLayers Engine "shift image layers" ["clone3" "openat" "mkdir" "open_tree" "mount_setattr" "move_mount"] "Show the image's files as owned by the container's users, mount_setattr(2) MOUNT_ATTR_IDMAP."
    MountOverlay Engine "mount overlay rootfs" ["openat" "mount"] "Stack the image's layers and the container's own upper folder."
    ReservePort Engine "reserve published port" ["socket" "bind" "getsockname"] "Keep other programs from a port that leads into the container."
    RecordNetwork Engine "record network" ["openat" "flock" "read" "write" "rename"] "Give the container an address, before anything of its network exists."
    WriteNames Engine "write name files" ["openat" "write"] "Its own /etc/hosts, /etc/hostname and /etc/resolv.conf."
    FillVolume Engine "fill volume" ["mkdir" "rename" "openat" "read" "write"] "Make the container's own volume, with what the image has in its place."
    OpenMountSource Engine "open mount source" ["open_tree" "newfstatat" "fstatfs" "mount_setattr"] "Take a copy of what is to be mounted into the container, attached nowhere yet."
    FindUser Engine "find user" ["openat2" "read"] "Look the user's name up in the container's /etc/passwd and /etc/group."
    OpenStreams Engine "open standard streams" ["openat" "pipe2" "fcntl" "socketpair"] "Prepare what becomes the workload's stdin, stdout and stderr."
    OpenAttachSocket Engine "open attach socket" ["openat" "unlink" "socket" "bind" "listen"] "Let people in who want to talk to the workload, unix(7)."
    Attach Engine "attach" ["openat" "socket" "socketpair" "connect" "poll"] "Get into the audience of a running container."
    RawTerminal Engine "set terminal to raw mode" ["ioctl"] "Hand every key on to the container's terminal, termios(3)."
    WriteLog Engine "write container log" ["openat" "flock" "write"] "Keep what the workload prints."
    CreateReportPipe Engine "create report pipe" ["pipe2"] "The way on which a failed step of the child comes back whole."
    ForkSupervisor Engine "fork supervisor" ["clone" "pipe2" "wait4"] "Start the process that stays behind with a detached container."
    CloneNamespaces Engine "clone into namespaces" ["clone3" "clone"] "Create the container's first process in namespaces of its own."
    MapIds Engine "map user ids" ["write"] "Say whom the users of the container's user namespace stand for, user_namespaces(7)."
    OpenPidfd Engine "open pidfd" ["pidfd_open"] "Get a handle on a process that cannot be recycled."
    CreateBridge Engine "create bridge" ["socket" "sendto" "ioctl"] "The switch that all containers of the store share, rtnetlink(7)."
    EnableForwarding Engine "enable forwarding" ["openat" "write"] "Let the machine pass packets between the bridge and the world, ip(7)."
    TranslateAddresses Engine "translate addresses" ["socket" "sendto" "recvfrom"] "The way out, and published ports: the store's nf_tables table, replaced whole."
    CreateVeth Engine "create veth pair" ["sendto" "ioctl"] "A wire from the bridge into the container, veth(4)."
    EnterNetwork Engine "enter network namespace" ["openat" "setns" "socket" "ioctl"] "Open a socket in the container's network."
    ConfigureNetwork Engine "configure container network" ["sendto"] "Address and default route inside."
    ReceiveTerminal Engine "receive terminal" ["recvmsg" "fcntl"] "Take the engine's side of the container's terminal."
    ReadReport Engine "read launch report" ["read" "wait4"] "Wait until the child executes the workload or says which step failed."
    DieWithEngine Child "die with the engine" ["prctl"] "Let the kernel end the container when its supervising process ends."
    JoinCgroup Child "join cgroup" ["write"] "Enter the container's group, so that every later charge is the container's."
    AwaitMaps Child "wait for user ids" ["read"] "Be nobody until the engine has written the maps."
    MappedRoot Child "become mapped root" ["setgroups" "setgid" "setuid"] "Take the identity of the user namespace's root."
    UnshareCgroups Child "unshare cgroup namespace" ["unshare"] "Make the container's group the root of what it sees."
    NewSession Child "start new session" ["setsid"] "Leave the engine's session and its controlling terminal."
    NewKeyring Child "join new session keyring" ["keyctl"] "Do not share the engine's session keyring."
    MakePrivate Child "make mounts private" ["mount"] "Stop mounts from propagating to and from the host."
    BindRootfs Child "bind rootfs" ["mount"] "Turn the root file system into a mount of this namespace alone."
    OpenMountPoint Child "open mount point" ["mkdirat" "openat2"] "Make sure that a place to mount on is a real folder and no symbolic link."
    MountProc Child "mount proc inside the new root" ["mount"] "Show the processes of the container's own pid namespace."
    MountSysfs Child "mount sysfs inside the new root" ["mount"] "Show the kernel's objects, read-only."
    MountCgroup2 Child "mount cgroup2 inside the new root" ["mount"] "Show the container its own limits, read-only."
    MountDev Child "mount tmpfs on /dev" ["mount"] "An empty /dev of its own."
    MountDevpts Child "mount devpts on /dev/pts" ["mkdir" "mount"] "Pseudo terminals of its own."
    MountShm Child "mount tmpfs on /dev/shm" ["mkdir" "mount"] "POSIX shared memory."
    MountMqueue Child "mount mqueue on /dev/mqueue" ["mkdir" "mount"] "POSIX message queues of its own ipc namespace."
    WriteSysctl Child "write sysctl" ["openat" "write"] "Set a kernel parameter of the container's own namespaces."
    CreateDeviceNode Child "create device node" ["mkdir" "mknod" "chown"] "One of the six device nodes every program expects, or one that was asked for."
    BindDeviceNode Child "bind device node" ["openat" "mount"] "The same by bind mount, where mknod is refused."
    LinkDevice Child "create symbolic link in /dev" ["symlink"] "fd, stdin, stdout, stderr, ptmx."
    MaskPath Child "mask path" ["mount"] "Hide a file of /proc or /sys that tells about the whole machine."
    ProtectPath Child "make path read-only" ["mount"] "Show a part of /proc that would change the host, without write access."
    EnterRootfs Child "enter rootfs" ["chdir"] "Stand in the new root before it becomes the root."
    PivotRoot Child "pivot_root" ["pivot_root"] "Swap the root mount of this namespace."
    DetachOldRoot Child "detach old root" ["umount2" "chdir"] "Let go of the host's mounts."
    MountVolume Child "mount volume" ["openat" "openat2" "mkdirat" "move_mount" "mount"] "Attach a folder or file of the host, or a volume of the container's own."
    MountTmpfs Child "mount tmpfs volume" ["mount"] "A file system in memory where one was asked for."
    ReadOnlyRootfs Child "make rootfs read-only" ["mount"] "Take write access from the root file system."
    SetHostname Child "set hostname" ["sethostname"] "Name the container's uts namespace."
    RaiseLoopback Child "bring up loopback" ["socket" "ioctl"] "127.0.0.1 in the container's own network namespace."
    AwaitNetwork Child "wait for network" ["read"] "Do not run before the engine has connected it."
    OpenTerminal Child "open terminal" ["openat" "newfstatat" "ioctl" "fchown"] "A pseudo terminal of the container's own devpts, pty(7)."
    BindConsole Child "bind console" ["ioctl" "openat" "mount"] "Make /dev/console the same terminal."
    HandOverTerminal Child "hand over terminal" ["sendmsg"] "Give the engine its side of the terminal, SCM_RIGHTS in unix(7)."
    ControlTerminal Child "take controlling terminal" ["ioctl"] "Let Ctrl-C and hang-up reach the workload's session, TIOCSCTTY."
    ConnectStreams Child "connect standard streams" ["dup3"] "Put the prepared files on descriptors 0, 1 and 2."
    EnterWorkingDir Child "enter working directory" ["chdir"] "Where the workload starts."
    CloseDescriptors Child "close inherited descriptors" ["dup3" "close_range"] "Leave no descriptor of the engine to the workload."
    SetResourceLimit Child "set resource limit" ["prlimit64"] "Set one of the workload's own limits, getrlimit(2)."
    LoadSeccomp Child "load seccomp filter" ["seccomp"] "Let the kernel refuse system calls that no container needs."
    BoundCapabilities Child "bound capabilities" ["prctl"] "Take capabilities from the set that no program of the workload can get back."
    SetUser Child "set user" ["setgroups" "setgid" "setuid"] "Become the user that the workload runs as."
    SetCapabilities Child "set capabilities" ["capset" "prctl"] "Keep only the capabilities that the workload may use."
    NoNewPrivileges Child "set no_new_privs" ["prctl"] "Let set-user-id programs give nothing."
    ForkWorkload Child "fork workload below init" ["clone"] "Start the workload below a first process that reaps and passes signals on."
    ExecuteWorkload Child "execute workload" ["execve"] "Become the workload."
    JoinNamespaces Child "join namespaces" ["setns"] "Enter the namespaces of a running container (exec)."
    ForkInside Child "fork inside the container" ["clone"] "Be born into the joined pid namespace (exec)."
    SignalWorkload Engine "signal workload" ["pidfd_send_signal"] "Deliver a signal to the container's first process."
    WaitWorkload Engine "wait for workload" ["poll" "waitid"] "Learn how it ended."
    KillCgroup Engine "kill processes in cgroup" ["openat" "read" "write" "kill"] "End whatever is left in the container's group."
    FreezeContainer Engine "freeze container" ["openat" "write" "read"] "Stop or continue all processes of the container's group without their taking part."
    UnmountRootfs Engine "unmount rootfs" ["umount2" "rmdir"] "Undo `mount overlay rootfs`."
    RemoveNetwork Engine "remove network" ["socket" "sendto"] "Undo `create veth pair`, and after the last container `create bridge` and `translate addresses`."
    RemoveCgroup Engine "remove cgroup" ["rmdir"] "Undo `create cgroup`."
    RemoveFiles Engine "remove container files" ["rename" "unlinkat"] "Delete the container's folder."
}

impl Step {
    /// The step's row in [`TABLE`].
    #[must_use]
    pub fn info(self) -> &'static StepInfo {
        // The macro writes enum and table from one list, so the discriminant is the index.
        &TABLE[self as usize]
    }

    /// The step's name in words.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.info().name
    }

    /// The step of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Step> {
        TABLE.iter().find(|row| row.name == name).map(|row| row.step)
    }

    /// The step of that number, as it travels in the child's report.
    pub(crate) fn from_number(number: u16) -> Option<Step> {
        TABLE.get(usize::from(number)).map(|row| row.step)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Step {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Step {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Step::from_name(&name).ok_or_else(|| de::Error::custom(format!("no step is called \"{name}\"")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_found_by_name_and_number() {
        for (index, row) in TABLE.iter().enumerate() {
            assert_eq!(row.step as usize, index);
            assert_eq!(Step::from_name(row.name), Some(row.step), "{} is not unique", row.name);
            assert_eq!(Step::from_number(index as u16), Some(row.step));
            assert!(!row.syscalls.is_empty(), "{} issues no system call", row.name);
        }
        assert_eq!(Step::from_number(TABLE.len() as u16), None);
    }

    #[test]
    fn a_step_serialises_as_words() {
        let json = serde_json::to_string(&Step::MountOverlay).unwrap();
        assert_eq!(json, "\"mount overlay rootfs\"");
        assert_eq!(serde_json::from_str::<Step>(&json).unwrap(), Step::MountOverlay);
    }
}
