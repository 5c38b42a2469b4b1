//! Quotas of kernel keys, which containers meet as "Disk quota exceeded".

use super::{Ceiling::Sysctl, Limit, Usage, row::limits, system};
use crate::model::KnobKind;

limits! {
    MAXKEYS: Sysctl Sysctl("kernel/keys/maxkeys"), "kernel.keys.maxkeys", "keys of a user other than root", "keys",
        "user", Usage::Read(system::keys), 200, "2.6.26", "keyrings(7); security/keys/key.c, key_alloc()";
    MAXBYTES: Sysctl Sysctl("kernel/keys/maxbytes"), "kernel.keys.maxbytes", "bytes in the keys of a user other than root",
        "bytes", "user", Usage::Read(system::key_bytes), 20_000, "2.6.26", "keyrings(7); security/keys/key.c, key_alloc(), key_payload_reserve()";
    ROOT_MAXKEYS: Sysctl Sysctl("kernel/keys/root_maxkeys"), "kernel.keys.root_maxkeys", "keys of root", "keys", "root",
        Usage::Read(system::root_keys), 1_000_000, "2.6.26", "keyrings(7); security/keys/key.c, key_alloc()";
    ROOT_MAXBYTES: Sysctl Sysctl("kernel/keys/root_maxbytes"), "kernel.keys.root_maxbytes", "bytes in the keys of root",
        "bytes", "root", Usage::Read(system::root_key_bytes), 25_000_000, "2.6.26",
        "keyrings(7); security/keys/key.c, key_alloc(), key_payload_reserve()";
}
