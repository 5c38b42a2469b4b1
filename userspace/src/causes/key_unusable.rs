//! A key of the kernel's that is not there, no longer good, or not for this task; a module or a kernel whose signature
//! no key vouches for.

use super::case::claim::{self, knob, look, step};
use super::case::switch::FILTER;
use super::{Case, Cause, Fault, Proof};
use crate::model::{Confidence, Errno, KnobKind, Remedy};

const ENOKEY: i32 = libc::ENOKEY;
const EXPIRED: i32 = libc::EKEYEXPIRED;
const REVOKED: i32 = libc::EKEYREVOKED;
const REJECTED: i32 = libc::EKEYREJECTED;

/// Calls about keys, and calls that ask for a signature's key.
const KEYS: &[&str] = &["keyctl", "request_key", "add_key"];
const SIGNED: &[&str] = &["init_module", "finit_module", "kexec_file_load"];

const DECIDERS: &[&str] = &[
    "lookup_user_key",
    "key_validate",
    "key_task_permission",
    "keyring_search_iterator",
    "search_process_keyrings_rcu",
    "call_sbin_request_key",
    "request_key_and_link",
    "keyctl_read_key",
];
const CALLERS: &[&str] = &[
    "__do_sys_keyctl",
    "__x64_sys_keyctl",
    "__do_sys_request_key",
    "__x64_sys_request_key",
    "__do_sys_add_key",
    "__x64_sys_add_key",
    "key_lookup",
    "keyring_search",
    "keyring_search_rcu",
    "keyctl_keyring_search",
    "security_key_permission",
    "construct_key_and_link",
    "construct_key",
    "call_usermodehelper_keys",
    "wait_for_key_construction",
    "module_sig_check",
    "mod_verify_sig",
    "verify_pkcs7_signature",
    "load_module",
    "__do_sys_finit_module",
    "__x64_sys_finit_module",
    "__do_sys_init_module",
    "__x64_sys_init_module",
    "kexec_image_verify_sig",
    "kimage_validate_signature",
    "__x64_sys_kexec_file_load",
];

/// KEYCTL_*: include/uapi/linux/keyctl.h, the ones that name a key, with what they do.
const OPERATIONS: &[(u64, &str)] = &[
    (2, "to change"),
    (3, "to revoke"),
    (4, "to give away"),
    (5, "to set the rights of"),
    (6, "to look at"),
    (7, "to empty"),
    (8, "to link"),
    (9, "to unlink"),
    (10, "to search"),
    (11, "to read"),
    (12, "to make"),
    (15, "to set the end of"),
    (17, "to see the label of"),
    (21, "to invalidate"),
    (30, "to move"),
];
/// What a search looks in, not for.
const SEARCH: u64 = 10;
/// KEYCTL_LINK, KEYCTL_UNLINK, KEYCTL_MOVE name a keyring beside the key.
const WITH_RING: &[u64] = &[8, 9, 30];

pub(super) static CAUSE: Cause = Cause {
    slug: "key-unusable",
    title: "a kernel key is not there, no longer good, or not for this task",
    about: "\
keyctl(2), request_key(2) and add_key(2), and whatever they stand behind (mount.cifs and NFS with Kerberos, AFS, fscrypt and \
eCryptfs, cryptsetup, Kerberos caches in KEYRING:), fail with ENOKEY, \"Required key not available\": no key of that number, or none \
of that type and name in the keyrings that the task has; EKEYEXPIRED, \"Key has expired\"; EKEYREVOKED, \"Key has been revoked\"; \
EKEYREJECTED, \"Key was rejected by service\": whoever was to make the key said no. EACCES, \"Permission denied\", is the key's own \
mask of rights, which asks who possesses it before it asks whose it is: root has no exemption.

It surprises in containers because keys are not files. A session keyring belongs to the login or to the container for which the engine \
made one, so that what kinit or cifscreds put into another is not found; sudo, su and systemd units begin with a keyring of their own; \
a uid keyring belongs to the user outside of a user namespace; and the helper that makes keys on demand (/sbin/request-key, with \
/etc/request-key.d) is started on the host, in its first namespaces, never in the container.

init_module(2), finit_module(2) and kexec_file_load(2) say ENOKEY or EKEYREJECTED of a signature: Secure Boot or \
module.sig_enforce takes only modules signed with a key that the kernel knows, and one from DKMS has none that was enrolled.",
    shows_as: &[
        ("keyctl", "ENOKEY"),
        ("keyctl", "EKEYEXPIRED"),
        ("keyctl", "EKEYREVOKED"),
        ("keyctl", "EKEYREJECTED"),
        ("keyctl", "EACCES"),
        ("request_key", "ENOKEY"),
        ("request_key", "ENOENT"),
        ("request_key", "EKEYREJECTED"),
        ("add_key", "EACCES"),
        ("add_key", "ENODEV"),
        ("finit_module", "ENOKEY"),
        ("finit_module", "EKEYREJECTED"),
    ],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[FILTER],
    explain,
    remedy,
    fault: Fault::Action {
        about: "asks for a key that is not there, was revoked, has expired, or may not be read, in a keyring of its own",
        risk: "none: the keyring ends with its process",
        variants: &["missing", "revoked", "expired", "rights", "search"],
    },
    see: &[
        "keyrings(7), keyctl(2), request_key(2), request-key(8)",
        "security/keys/process_keys.c: lookup_user_key(); security/keys/permission.c: key_validate(), key_task_permission()",
        "https://docs.kernel.org/admin-guide/module-signing.html",
    ],
};

/// What it was, whether the errno says that of nothing else, and the knob.
struct Told {
    sentence: String,
    sure: bool,
    name: &'static str,
}

fn explain(case: &Case<'_>) -> Option<Proof> {
    let (call, errno) = case.failure().syscall()?;
    let told = match call {
        _ if SIGNED.contains(&call) => signature(case, call, errno)?,
        _ if !KEYS.contains(&call) => return None,
        "request_key" => requested(case, errno)?,
        "add_key" => added(case, errno)?,
        _ => used(case, errno)?,
    };
    let mut weighed = claim::weigh(case, DECIDERS, CALLERS, told.sure.then_some(true))?;
    if !told.sure {
        weighed.confidence = weighed.confidence.max(Confidence::Likely);
    }
    let object = knob(KnobKind::Other, told.name, object(case));
    Some(weighed.proof(case, DECIDERS, told.sentence, object))
}

/// The key's number or name, for keyctl(1).
fn object(case: &Case<'_>) -> String {
    let failure = case.failure();
    let name = failure.text_arg("type").zip(failure.text_arg("description"));
    match name {
        Some((kind, name)) => format!("{kind}:{name}"),
        None => failure.number_arg("arg2").map_or_else(String::new, number),
    }
}

/// A number of a key, or KEY_SPEC_* (linux/keyctl.h), which are small negative ones.
fn number(id: u64) -> String {
    const SPECIAL: &[&str] = &[
        "@t (the thread's keyring)",
        "@p (the process's keyring)",
        "@s (the session's keyring)",
        "@u (the user's keyring)",
        "@us (the user's session keyring)",
        "@g (the group's keyring)",
        "@a (the key that a helper is to make)",
    ];
    let id = id as u32 as i32;
    let special = id.checked_neg().and_then(|n| SPECIAL.get(usize::try_from(n).ok()?.checked_sub(1)?));
    special.map_or_else(|| format!("{id}"), |word| (*word).to_owned())
}

/// Both say "no" for nothing else: key_validate() of a key that was found.
fn spent(errno: Errno) -> Option<&'static str> {
    match errno.0 {
        EXPIRED => Some("has expired (its time was set with it, or by KEYCTL_SET_TIMEOUT)"),
        REVOKED => Some("was revoked: it stays in its keyring, and is of no use any more"),
        REJECTED => Some("was refused by the helper that was to make it, which also told so for some time"),
        _ => None,
    }
}

fn used(case: &Case<'_>, errno: Errno) -> Option<Told> {
    let operation = case.failure().number_arg("operation")?;
    let (_, verb) = OPERATIONS.iter().find(|(op, _)| *op == operation)?;
    let who = &case.failure().task.comm;
    let key = number(case.failure().number_arg("arg2")?);
    let ring = WITH_RING.contains(&operation);
    let or = if ring { ", or the keyring it was about" } else { "" };
    if let Some(state) = spent(errno) {
        let sentence = format!("{who} wanted {verb} the key {key}{or}, which {state}.");
        return Some(Told { sentence, sure: !ring, name: "key" });
    }
    match errno.0 {
        ENOKEY if operation == SEARCH => Some(Told {
            sentence: format!("{who} found no such key in the keyring {key}, or that keyring is not there."),
            sure: false,
            name: "keyring",
        }),
        // Also of a key that a helper was to make and did not, which stays for a while as a negative one.
        ENOKEY => Some(Told {
            sentence: format!(
                "{who} wanted {verb} the key {key}{or}, and there is none of that number that it could use."
            ),
            sure: true,
            name: "key",
        }),
        libc::EACCES => Some(Told {
            sentence: format!("{who} wanted {verb} the key {key}{or}, whose rights do not allow it."),
            sure: false,
            name: "key rights",
        }),
        _ => None,
    }
}

fn requested(case: &Case<'_>, errno: Errno) -> Option<Told> {
    let who = &case.failure().task.comm;
    let object = object(case);
    if let Some(state) = spent(errno) {
        return Some(Told { sentence: format!("The key {object} {state}."), sure: true, name: "key" });
    }
    // Without words for a helper nobody is asked to make it.
    let asks = case.failure().args().iter().find(|a| a.name == "callout_info");
    let helper = asks.is_some_and(|a| a.value != crate::model::ArgValue::Null);
    match errno.0 {
        ENOKEY if !helper => Some(Told {
            sentence: format!(
                "{who} has no key {object} that is of use in its keyrings (thread, process, session, user)."
            ),
            sure: true,
            name: "keyring",
        }),
        ENOKEY => Some(Told {
            sentence: format!("{who} has no key {object}, and the helper that was asked made none."),
            sure: true,
            name: "request-key",
        }),
        // call_sbin_request_key(): the errno of starting the helper, on the host.
        libc::ENOENT if helper => Some(Told {
            sentence: format!(
                "{who} has no key {object}, and the host has no /sbin/request-key that could make one."
            ),
            sure: false,
            name: "request-key",
        }),
        _ => None,
    }
}

fn added(case: &Case<'_>, errno: Errno) -> Option<Told> {
    let who = &case.failure().task.comm;
    let ring = number(case.failure().number_arg("keyring")?);
    match errno.0 {
        // key_type_lookup() says ENOKEY, and __key_create_or_update() makes ENODEV of it.
        libc::ENODEV => Some(Told {
            sentence: format!(
                "This kernel has no keys of the type {:?}: it is built without, or the module is not loaded.",
                case.failure().text_arg("type").unwrap_or("asked for")
            ),
            sure: true,
            name: "key type",
        }),
        ENOKEY => Some(Told {
            sentence: format!(
                "{who} wanted to put a key into the keyring {ring}, which is not there for it."
            ),
            sure: true,
            name: "keyring",
        }),
        libc::EACCES => Some(Told {
            sentence: format!(
                "{who} may not put a key into the keyring {ring}: its rights do not allow to write."
            ),
            sure: false,
            name: "key rights",
        }),
        _ => Some(Told {
            sentence: format!("The keyring {ring} {}.", spent(errno).filter(|_| errno.0 != REJECTED)?),
            sure: true,
            name: "keyring",
        }),
    }
}

fn signature(case: &Case<'_>, call: &str, errno: Errno) -> Option<Told> {
    let what = if call == "kexec_file_load" { "kernel" } else { "module" };
    let who = &case.failure().task.comm;
    let sentence = match errno.0 {
        ENOKEY => format!(
            "The {what} that {who} wanted to load is signed with a key that this kernel does not know."
        ),
        REJECTED => {
            format!("The {what} that {who} wanted to load has no signature that this kernel accepts.")
        }
        _ => return None,
    };
    Some(Told { sentence, sure: true, name: "signature" })
}

fn remedy(case: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let (pid, key) = (case.failure().task.pid, proof.knob.path.split(' ').next().unwrap_or("KEY"));
    match proof.knob.name.as_str() {
        "signature" => vec![
            look(
                "mokutil --sb-state; cat /sys/module/module/parameters/sig_enforce; keyctl list %:.builtin_trusted_keys",
                "whether signatures are asked for, and the keys that count",
            ),
            step(
                "for good",
                "mokutil --import /var/lib/dkms/mok.pub (then restart, and enroll it)",
                "modules signed with that key are taken from then on: whoever has its private part may load any",
                "mokutil --delete /var/lib/dkms/mok.pub",
            ),
        ],
        "request-key" => vec![
            look(
                "ls -l /sbin/request-key /etc/request-key.conf /etc/request-key.d/",
                "on the host: the helper and its rules by key type",
            ),
            step(
                "for good",
                "apt install keyutils (and cifs-utils, nfs-common for their key types), on the host",
                "the kernel starts it for every request of such a key, also for containers'",
                "apt remove keyutils",
            ),
        ],
        "key rights" => vec![
            look(
                format!("nsenter -t {pid} -a keyctl rdescribe {key}; grep . /proc/keys"),
                "mask and owner: possessor, user, group, others, two hexadecimal digits each",
            ),
            step(
                "now",
                format!("keyctl setperm {key} 0x3f3f0000"),
                "its user may do all with it, not only who possesses it (by its owner)",
                format!("keyctl setperm {key} 0x3f010000"),
            ),
            step(
                "for good",
                "keyctl link @u @s",
                "whoever has the user's keyring in its session possesses what is in it",
                "keyctl unlink @u @s",
            ),
        ],
        "key type" => vec![look(
            "grep -r . /proc/sys/kernel/keys/; cat /proc/keys; zgrep -i KEYS= /proc/config.gz",
            "what this kernel knows of keys",
        )],
        _ => vec![
            look(
                format!("nsenter -t {pid} -a keyctl show; cat /proc/keys"),
                "the keyrings that the task has, and what is in them",
            ),
            step(
                "now",
                "keyctl link @u @s, or make the key anew in the same session (kinit, cifscreds add, keyctl padd)",
                "a key is found only by tasks that have its keyring",
                "keyctl unlink @u @s",
            ),
        ],
    }
}

#[cfg(test)]
#[path = "key_unusable_tests.rs"]
mod tests;
