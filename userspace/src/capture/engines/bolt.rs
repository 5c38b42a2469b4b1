//! Reads bolt files, in which podman (before 4.8) and containerd keep their state: a B+tree of pages with nested
//! buckets (go.etcd.io/bbolt, `internal/common/{page,meta,bucket}.go`).
//!
//! The engine may write meanwhile: pages are copied on write and the newest whole meta page is taken, so what is read
//! is a committed state, or something that does not add up, which is then nothing.

use std::fs;
use std::path::Path;

const MAGIC: u32 = 0xED0C_DAED;
const PAGE_HEADER: usize = 16;
const BRANCH: u16 = 0x01;
const LEAF: u16 = 0x02;
const BUCKET: u32 = 0x01;
/// Deeper than any tree of a machine's containers.
const MOST_DEPTH: u8 = 16;

pub(super) struct Bolt {
    bytes: Vec<u8>,
    page_size: usize,
    root: u64,
}

/// Where a bucket's pairs are: in a page, or in the value that names the bucket.
#[derive(Clone, Copy)]
enum Node {
    Page(u64),
    Inline { at: usize },
}

impl Bolt {
    pub(super) fn open(path: &Path) -> Option<Self> {
        let bytes = fs::read(path).ok()?;
        // The first two pages are metas; the one of the later transaction counts.
        let first = meta(&bytes, 0)?;
        let second = meta(&bytes, first.page_size);
        let newest = second.filter(|second| second.transaction > first.transaction).unwrap_or(first);
        Some(Self { page_size: newest.page_size, root: newest.root, bytes })
    }

    /// The value of a key in a nested bucket.
    pub(super) fn get(&self, buckets: &[&[u8]], key: &[u8]) -> Option<Vec<u8>> {
        let mut node = Node::Page(self.root);
        for name in buckets {
            let (value, flags, at) = self.find(node, name, 0)?;
            if flags & BUCKET == 0 {
                return None;
            }
            // `root u64, sequence u64`; a root of 0 means that a page follows within the value.
            node = match number(value, 0, 8)? {
                0 => Node::Inline { at: at + 16 },
                page => Node::Page(page),
            };
        }
        let (value, flags, _) = self.find(node, key, 0)?;
        (flags & BUCKET == 0).then(|| value.to_vec())
    }

    /// The value of a key below a node, its flags, and where it lies in the file.
    fn find(&self, node: Node, key: &[u8], depth: u8) -> Option<(&[u8], u32, usize)> {
        let at = match node {
            Node::Page(page) => usize::try_from(page).ok()?.checked_mul(self.page_size)?,
            Node::Inline { at } => at,
        };
        let page = self.bytes.get(at..)?;
        let flags = number(page, 8, 2)? as u16;
        let count = number(page, 10, 2)? as usize;
        let element = |index: usize| PAGE_HEADER + index * 16;
        match flags & (BRANCH | LEAF) {
            BRANCH if depth < MOST_DEPTH => {
                // `pos u32, ksize u32, pgid u64`: the last child whose first key is not behind ours.
                let mut child = None;
                for index in 0..count {
                    let e = element(index);
                    let (pos, size) = (number(page, e, 4)? as usize, number(page, e + 4, 4)? as usize);
                    let first = page.get(e + pos..(e + pos).checked_add(size)?)?;
                    if first > key && child.is_some() {
                        break;
                    }
                    child = Some(number(page, e + 8, 8)?);
                }
                self.find(Node::Page(child?), key, depth + 1)
            }
            // `flags u32, pos u32, ksize u32, vsize u32`
            LEAF => (0..count).find_map(|index| {
                let e = element(index);
                let (flags, pos) = (number(page, e, 4)? as u32, number(page, e + 4, 4)? as usize);
                let (keys, values) = (number(page, e + 8, 4)? as usize, number(page, e + 12, 4)? as usize);
                let start = e.checked_add(pos)?;
                let (name, value) = page.get(start..start.checked_add(keys + values)?)?.split_at(keys);
                (name == key).then_some((value, flags, at + start + keys))
            }),
            _ => None,
        }
    }
}

struct Meta {
    page_size: usize,
    root: u64,
    transaction: u64,
}

/// `magic, version, page size, flags: u32; root: {page, sequence}, freelist, pages, transaction, checksum: u64`, behind
/// the page's header.
fn meta(bytes: &[u8], at: usize) -> Option<Meta> {
    let meta = bytes.get(at + PAGE_HEADER..)?;
    if number(meta, 0, 4)? as u32 != MAGIC || number(meta, 4, 4)? != 2 {
        return None;
    }
    let page_size = number(meta, 8, 4)? as usize;
    (page_size >= 512).then_some(Meta {
        page_size,
        root: number(meta, 16, 8)?,
        transaction: number(meta, 48, 8)?,
    })
}

/// Little endian, as on every machine that runs these engines.
fn number(bytes: &[u8], at: usize, size: usize) -> Option<u64> {
    let raw = bytes.get(at..at.checked_add(size)?)?;
    Some(raw.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: usize = 512;

    /// A page of pairs: `(key, value, flags)`.
    fn leaf(pairs: &[(&[u8], &[u8], u32)]) -> Vec<u8> {
        let mut page = vec![0; 8];
        page.extend(LEAF.to_le_bytes());
        page.extend((pairs.len() as u16).to_le_bytes());
        page.extend([0; 4]);
        let mut data = Vec::new();
        for (index, (key, value, flags)) in pairs.iter().enumerate() {
            let pos = (pairs.len() - index) * 16 + data.len();
            for word in [*flags, pos as u32, key.len() as u32, value.len() as u32] {
                page.extend(word.to_le_bytes());
            }
            data.extend_from_slice(key);
            data.extend_from_slice(value);
        }
        page.extend(data);
        page
    }

    fn branch(children: &[(&[u8], u64)]) -> Vec<u8> {
        let mut page = vec![0; 8];
        page.extend(BRANCH.to_le_bytes());
        page.extend((children.len() as u16).to_le_bytes());
        page.extend([0; 4]);
        let mut data = Vec::new();
        for (index, (key, child)) in children.iter().enumerate() {
            let pos = (children.len() - index) * 16 + data.len();
            page.extend((pos as u32).to_le_bytes());
            page.extend((key.len() as u32).to_le_bytes());
            page.extend(child.to_le_bytes());
            data.extend_from_slice(key);
        }
        page.extend(data);
        page
    }

    fn meta_page(root: u64, transaction: u64) -> Vec<u8> {
        let mut page = vec![0; PAGE_HEADER];
        for word in [MAGIC, 2, SIZE as u32, 0] {
            page.extend(word.to_le_bytes());
        }
        for word in [root, 0, 0, 0, transaction, 0] {
            page.extend(word.to_le_bytes());
        }
        page
    }

    fn file(pages: Vec<Vec<u8>>) -> Vec<u8> {
        pages
            .into_iter()
            .flat_map(|mut page| {
                page.resize(SIZE, 0);
                page
            })
            .collect()
    }

    #[test]
    fn nested_buckets_are_found_through_branches_and_within_values() {
        let inline = [&[0; 16][..], &leaf(&[(b"state", b"{}", 0)])].concat();
        let paged = [&6_u64.to_le_bytes()[..], &[0; 8]].concat();
        let bytes = file(vec![
            meta_page(99, 1),
            meta_page(3, 2),
            vec![],
            leaf(&[(b"ctr", &[&4_u64.to_le_bytes()[..], &[0; 8]].concat(), BUCKET)]),
            branch(&[(b"aa", 5), (b"bb", 7)]),
            leaf(&[(b"aa", &inline, BUCKET)]),
            leaf(&[(b"state", b"{\"exitCode\":1}", 0)]),
            leaf(&[(b"bb", &paged, BUCKET)]),
        ]);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.db");
        fs::write(&path, &bytes).unwrap();
        let bolt = Bolt::open(&path).unwrap();
        assert_eq!(bolt.get(&[b"ctr", b"aa"], b"state").unwrap(), b"{}");
        assert_eq!(bolt.get(&[b"ctr", b"bb"], b"state").unwrap(), b"{\"exitCode\":1}");
        assert_eq!(bolt.get(&[b"ctr", b"cc"], b"state"), None);
        assert_eq!(bolt.get(&[b"ctr"], b"aa"), None, "a bucket is no value");
        // Cut short anywhere, it is never more than nothing.
        for end in (0..bytes.len()).step_by(37) {
            fs::write(&path, &bytes[..end]).unwrap();
            if let Some(bolt) = Bolt::open(&path) {
                let _ = bolt.get(&[b"ctr", b"bb"], b"state");
            }
        }
    }
}
