//! Stage: how many keys a user has, and how many bytes are in them.
//!
//! `key_alloc()` (security/keys/key.c) counts per user in `struct key_user`, which hangs in a tree of the whole
//! machine that is ordered by user (`key_user_lookup()`).

use crate::limits;
use crate::maps::limit;
use crate::read::{field, known};
use crate::stage::{self, stage};
use aya_ebpf::EbpfContext;
use aya_ebpf::helpers::generated;
use diag_abi::{UNRESOLVED, VALUES};

/// A red-black tree of a million users is at most forty levels deep.
const LEVELS: usize = 40;

/// The values that stay free for it in the set of the key calls: keys, and bytes.
const KEYS: usize = VALUES - 2;
const BYTES: usize = VALUES - 1;

/// The root of the tree is the last value but two of the set.
const TREE: usize = VALUES - 3;
stage!(keys_stage: read_keys, read_keys_typed);

#[inline(always)]
fn keys_stage(ctx: &impl EbpfContext) -> i32 {
    let Some(record) = stage::record() else { return 0 };
    // SAFETY: the record of this processor, filled by the watch; the helper takes no arguments.
    unsafe {
        let plain = &raw mut (*record).whole.plain;
        (*record).cursor = 0;
        let task = generated::bpf_get_current_task() as u64;
        let (uid_at, keys_at, bytes_at) =
            (limit!(key_user_uid), limit!(key_user_keys), limit!(key_user_bytes));
        if (*plain).values_read & (1 << TREE) != 0 && uid_at != UNRESOLVED {
            let user = find((*plain).values[TREE], task);
            if let (Some(keys), Some(bytes)) = (known::<u32>(user, keys_at), known::<u32>(user, bytes_at)) {
                (*plain).values[KEYS] = keys as u64;
                (*plain).values[BYTES] = bytes as u64;
                (*plain).values_read |= (1 << KEYS) | (1 << BYTES);
            }
        }
        stage::enter(ctx, limits::stage(plain));
    }
    stage::submit(record);
    0
}

/// The `key_user` of the task's file system user; 0 where there is none.
#[inline(always)]
fn find(root: u64, task: u64) -> u64 {
    let wanted = field::<u32>(field(task, limit!(task_cred)), limit!(cred_fsuid));
    let mut node = root;
    for _ in 0..LEVELS {
        let Some(uid) = known::<u32>(node, limit!(key_user_uid)) else { return 0 };
        if uid == wanted {
            return node;
        }
        // struct rb_node { parent and colour, right, left }; the node is the first member of key_user.
        let child = if wanted < uid { 16 } else { 8 };
        node = field::<u64>(node, child);
        if node == 0 {
            return 0;
        }
    }
    0
}
