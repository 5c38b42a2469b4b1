//! Usage of limits that the kernel itself counts in a file: of the machine, of users' keys, of an IPC namespace.

use super::{Holder, read::Root};
use std::{fs, io};

fn machine(usage: u64, ceiling: u64) -> io::Result<Vec<Holder>> {
    Ok(vec![Holder { name: String::new(), usage, ceiling: Some(ceiling) }])
}

/// `used unused max` (proc_sys_fs(5)).
pub fn file_nr(root: &Root) -> io::Result<Vec<Holder>> {
    match root.numbers("proc/sys/fs/file-nr")?.as_slice() {
        [used, unused, most] => machine(used.saturating_sub(*unused), *most),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

pub fn aio_nr(root: &Root) -> io::Result<Vec<Holder>> {
    machine(root.number("proc/sys/fs/aio-nr")?, root.number("proc/sys/fs/aio-max-nr")?)
}

/// The reserve is for the ptys of the first mounts, so containers have less.
pub fn ptys(root: &Root) -> io::Result<Vec<Holder>> {
    let most = root.number("proc/sys/kernel/pty/max")?;
    let reserve = root.number("proc/sys/kernel/pty/reserve").unwrap_or(0);
    machine(root.number("proc/sys/kernel/pty/nr")?, most.saturating_sub(reserve))
}

pub fn committed(root: &Root) -> io::Result<Vec<Holder>> {
    // Only mode 2 holds the sum against the limit.
    let strict = root.number("proc/sys/vm/overcommit_memory")? == 2;
    let most = root.line("proc/meminfo", "CommitLimit")?;
    machine(root.line("proc/meminfo", "Committed_AS")?, if strict { most } else { u64::MAX })
}

pub fn huge_pages(root: &Root) -> io::Result<Vec<Holder>> {
    let line = |name| root.line("proc/meminfo", name);
    let total = line("HugePages_Total")?;
    let free = line("HugePages_Free")?.saturating_sub(line("HugePages_Rsvd")?);
    machine(total.saturating_sub(free), total)
}

/// The sum of the sizes of compiled programs: kernel areas of modules' memory that BPF owns. Files of
/// `/proc/vmallocinfo` are for root only.
pub fn bpf_jit(root: &Root) -> io::Result<Vec<Holder>> {
    let most = root.number("proc/sys/net/core/bpf_jit_limit")?;
    let text = fs::read_to_string(root.join("proc/vmallocinfo"))?;
    let ours =
        text.lines().filter(|line| line.contains("bpf_jit_alloc_exec") || line.contains("bpf_prog_pack"));
    let used = ours.filter_map(|line| line.split_ascii_whitespace().nth(1)?.parse::<u64>().ok()).sum();
    machine(used, most)
}

/// `uid: usage nkeys/nikeys qnkeys/maxkeys qnbytes/maxbytes` (keyrings(7), /proc/key-users).
fn key_users(root: &Root, of_root: bool, field: usize) -> io::Result<Vec<Holder>> {
    let text = fs::read_to_string(root.join("proc/key-users"))?;
    let mut found: Vec<Holder> = text
        .lines()
        .filter_map(|line| {
            let (uid, rest) = line.trim().split_once(':')?;
            let (usage, ceiling) = rest.split_ascii_whitespace().nth(field)?.split_once('/')?;
            let (usage, ceiling) = (usage.parse().ok()?, ceiling.parse().ok()?);
            ((uid == "0") == of_root).then(|| Holder {
                name: format!("user {uid}"),
                usage,
                ceiling: Some(ceiling),
            })
        })
        .collect();
    fullest_first(&mut found);
    Ok(found)
}

pub fn keys(root: &Root) -> io::Result<Vec<Holder>> {
    key_users(root, false, 2)
}

pub fn key_bytes(root: &Root) -> io::Result<Vec<Holder>> {
    key_users(root, false, 3)
}

pub fn root_keys(root: &Root) -> io::Result<Vec<Holder>> {
    key_users(root, true, 2)
}

pub fn root_key_bytes(root: &Root) -> io::Result<Vec<Holder>> {
    key_users(root, true, 3)
}

/// The lines of a file of `/proc/sysvipc` below its heading, in numbers. It shows the reader's IPC namespace.
fn sysvipc(root: &Root, file: &str) -> io::Result<Vec<Vec<u64>>> {
    let text = fs::read_to_string(root.join(format!("proc/sysvipc/{file}")))?;
    let line = |l: &str| l.split_ascii_whitespace().map(|word| word.parse().unwrap_or(0)).collect();
    Ok(text.lines().skip(1).map(line).collect())
}

fn column(lines: &[Vec<u64>], index: usize) -> impl Iterator<Item = u64> {
    lines.iter().filter_map(move |line| line.get(index).copied())
}

fn sem(root: &Root, index: usize) -> io::Result<u64> {
    root.numbers("proc/sys/kernel/sem")?.get(index).copied().ok_or_else(|| io::ErrorKind::InvalidData.into())
}

pub fn sem_sets(root: &Root) -> io::Result<Vec<Holder>> {
    machine(sysvipc(root, "sem")?.len() as u64, sem(root, 3)?)
}

pub fn semaphores(root: &Root) -> io::Result<Vec<Holder>> {
    machine(column(&sysvipc(root, "sem")?, 3).sum(), sem(root, 1)?)
}

pub fn segments(root: &Root) -> io::Result<Vec<Holder>> {
    machine(sysvipc(root, "shm")?.len() as u64, root.number("proc/sys/kernel/shmmni")?)
}

pub fn segment_pages(root: &Root) -> io::Result<Vec<Holder>> {
    let pages = column(&sysvipc(root, "shm")?, 3).map(|bytes| bytes.div_ceil(4096)).sum();
    machine(pages, root.number("proc/sys/kernel/shmall")?)
}

pub fn queues(root: &Root) -> io::Result<Vec<Holder>> {
    machine(sysvipc(root, "msg")?.len() as u64, root.number("proc/sys/kernel/msgmni")?)
}

/// The fullest queue; each keeps the ceiling that it was made with.
pub fn queue_bytes(root: &Root) -> io::Result<Vec<Holder>> {
    let most = root.number("proc/sys/kernel/msgmnb")?;
    let mut found: Vec<Holder> = sysvipc(root, "msg")?
        .iter()
        .filter_map(|line| {
            let (id, usage) = (line.get(1)?, *line.get(3)?);
            Some(Holder { name: format!("queue {id}"), usage, ceiling: Some(most) })
        })
        .collect();
    fullest_first(&mut found);
    Ok(found)
}

/// Queues are files where mqueue is mounted.
pub fn posix_queues(root: &Root) -> io::Result<Vec<Holder>> {
    let most = root.number("proc/sys/fs/mqueue/queues_max")?;
    machine(fs::read_dir(root.join("dev/mqueue"))?.count() as u64, most)
}

pub(super) fn fullest_first(holders: &mut [Holder]) {
    holders.sort_by(|a, b| {
        // usage / ceiling, without dividing.
        let (mine, yours) = (a.ceiling.unwrap_or(u64::MAX).max(1), b.ceiling.unwrap_or(u64::MAX).max(1));
        (u128::from(b.usage) * u128::from(mine)).cmp(&(u128::from(a.usage) * u128::from(yours)))
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(files: &[(&str, &str)]) -> (tempfile::TempDir, Root) {
        let dir = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let root = Root::at(dir.path());
        (dir, root)
    }

    #[test]
    fn counters_of_the_machine() {
        let (_dir, root) = root(&[
            ("proc/sys/fs/file-nr", "1216\t16\t9000\n"),
            ("proc/sys/kernel/pty/max", "4096\n"),
            ("proc/sys/kernel/pty/reserve", "1024\n"),
            ("proc/sys/kernel/pty/nr", "7\n"),
        ]);
        let files = file_nr(&root).unwrap();
        assert_eq!((files[0].usage, files[0].ceiling), (1200, Some(9000)));
        assert_eq!(ptys(&root).unwrap()[0].ceiling, Some(3072));
    }

    #[test]
    fn key_quotas_of_root_and_of_others_are_different_limits() {
        let text = "    0:    12 11/11 9/1000000 228/25000000\n 1000:     3 3/3 3/200 51/20000\n\
                    65534:    1 1/1 199/200 9/20000\n";
        let (_dir, root) = root(&[("proc/key-users", text)]);
        let others = keys(&root).unwrap();
        assert_eq!(
            (others[0].name.as_str(), others[0].usage, others[0].ceiling),
            ("user 65534", 199, Some(200))
        );
        assert_eq!(root_key_bytes(&root).unwrap()[0].usage, 228);
        assert_eq!(key_bytes(&root).unwrap()[0].usage, 51);
    }

    #[test]
    fn system_v_objects_are_counted_by_line() {
        let (_dir, root) = root(&[
            ("proc/sys/kernel/sem", "32000 100 500 10\n"),
            ("proc/sysvipc/sem", " key semid perms nsems uid\n 0 1 600 7 0\n 0 2 600 3 0\n"),
            ("proc/sys/kernel/shmall", "50\n"),
            ("proc/sysvipc/shm", " key shmid perms size cpid\n 0 1 600 8193 5\n"),
        ]);
        assert_eq!((sem_sets(&root).unwrap()[0].usage, semaphores(&root).unwrap()[0].usage), (2, 10));
        assert_eq!(segment_pages(&root).unwrap()[0].usage, 3);
    }

    #[test]
    fn committed_memory_has_a_limit_in_strict_mode_only() {
        let meminfo = "Committed_AS:  2000 kB\nCommitLimit:  4000 kB\n";
        for (mode, ceiling) in [("0\n", u64::MAX), ("2\n", 4000 * 1024)] {
            let (_dir, root) = root(&[("proc/meminfo", meminfo), ("proc/sys/vm/overcommit_memory", mode)]);
            assert_eq!(committed(&root).unwrap()[0].ceiling, Some(ceiling));
        }
    }
}
