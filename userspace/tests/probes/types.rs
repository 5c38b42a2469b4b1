//! The BTF walker against another implementation, on the running kernel.

use crate::scene::skip;
use btf_rs::Type;
use diag::capture::btf::offsets::{self, MOUNT_COUNTERS};
use diag::capture::btf::{Btf, BtfError, Want, credentials, engines, netlink, objects, rlimits, silent};
use std::time::Instant;

/// Through typedefs and qualifiers: `kuid_t` is a name for a structure without one.
fn plain(btf: &btf_rs::Btf, mut ty: Type) -> Type {
    loop {
        ty = match &ty {
            Type::Typedef(inner) => btf.resolve_chained_type(inner).unwrap(),
            Type::Const(inner) => btf.resolve_chained_type(inner).unwrap(),
            Type::Volatile(inner) => btf.resolve_chained_type(inner).unwrap(),
            _ => return ty,
        };
    }
}

/// The oracle's answer: byte offset and type of a member, through anonymous structures too.
fn oracle(btf: &btf_rs::Btf, structure: &Type, name: &str) -> Option<(u32, Type)> {
    let (Type::Struct(of) | Type::Union(of)) = structure else { return None };
    for member in &of.members {
        let ty = plain(btf, btf.resolve_chained_type(member).unwrap());
        if btf.resolve_name(member).is_ok_and(|own| own == name) {
            return Some((member.bit_offset() / 8, ty));
        }
        if btf.resolve_name(member).is_ok_and(|own| own.is_empty())
            && let Some((offset, ty)) = oracle(btf, &ty, name)
        {
            return Some((member.bit_offset() / 8 + offset, ty));
        }
    }
    None
}

fn oracle_path(btf: &btf_rs::Btf, structure: &str, path: &str) -> Option<u32> {
    let types = btf.resolve_types_by_name(structure).ok()?;
    let mut ty = types.into_iter().find(|ty| matches!(ty, Type::Struct(_) | Type::Union(_)))?;
    let mut total = 0;
    for name in path.split('.') {
        let (offset, next) = oracle(btf, &ty, name)?;
        total += offset;
        ty = next;
    }
    Some(total)
}

#[test]
fn every_offset_agrees_with_btf_rs() {
    let Ok(bytes) = offsets::read_vmlinux() else { return skip("no BTF on this kernel") };
    let start = Instant::now();
    let resolved = offsets::resolve(&bytes).unwrap();
    println!("resolved in {:?}: {resolved:?}", start.elapsed());
    let missing = crate::scene::unexpectedly_missing(resolved.missing);
    assert_eq!(missing, [], "every field exists on every kernel that is tested");

    let ours = Btf::parse(&bytes).unwrap();
    let theirs = btf_rs::Btf::from_bytes(&bytes).unwrap();
    let counters = MOUNT_COUNTERS.map(|name| ("mnt_namespace", name, Want::Int(4)));
    let mut compared = 0;
    let fields = offsets::looked_up()
        .chain(silent::looked_up())
        .chain(objects::looked_up())
        .chain(credentials::looked_up())
        .chain(engines::looked_up())
        .chain(rlimits::looked_up())
        .chain(netlink::looked_up());
    for (structure, path, want) in fields.chain(counters) {
        match ours.member(structure, path, want) {
            Ok(offset) => {
                assert_eq!(Some(offset), oracle_path(&theirs, structure, path), "{structure}.{path}");
                compared += 1;
            }
            // One of the two names of the mount counter, or a tree that took its name.
            Err(BtfError::NoMember(_) | BtfError::WrongType { .. }) if structure == "mnt_namespace" => {}
            // What `unexpectedly_missing` lets pass must be missing for the other one too.
            Err(BtfError::NoMember(_)) if oracle_path(&theirs, structure, path).is_none() => {}
            Err(error) => panic!("{error}"),
        }
    }
    assert!(compared > 30, "{compared}");
}

#[test]
fn enumerators_agree_with_btf_rs() {
    let Ok(bytes) = offsets::read_vmlinux() else { return skip("no BTF on this kernel") };
    let ours = Btf::parse(&bytes).unwrap();
    let theirs = btf_rs::Btf::from_bytes(&bytes).unwrap();
    let types = theirs.resolve_types_by_name("cgroup_subsys_id").unwrap();
    let Some(Type::Enum(subsystems)) = types.into_iter().find(|ty| matches!(ty, Type::Enum(_))) else {
        panic!("cgroup_subsys_id is no enum")
    };
    for member in &subsystems.members {
        let name = theirs.resolve_name(member).unwrap();
        assert_eq!(ours.enumerator("cgroup_subsys_id", &name), Ok(member.val()), "{name}");
    }
    assert!(subsystems.members.len() > 5);
}
