//! What functions return, and whether they could have been given an errno, from the kernel's types.
//!
//! Modules carry types of their own that go on where the kernel's end (Documentation/bpf/btf.rst, "split
//! BTF"): ids and string offsets past the kernel's last ones are the module's.

use super::{Btf, Type, kind, word};
use crate::model::{Gives, Prototype, base_name};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

/// The kernel's own, and beside it one file a loaded module (since 5.11).
const FOLDER: &str = "/sys/kernel/btf";
const KERNEL: &str = "vmlinux";

/// Names that the kernel's programmers give to an errno that is handed on.
const ERRNO_PARAMETERS: [&str; 9] =
    ["err", "error", "errno", "ret", "retval", "rc", "res", "result", "error_code"];

/// Typedefs and qualifiers chained deeper than this are a loop in damaged data.
const MAX_CHAIN: usize = 32;

/// `BTF_INT_SIGNED` and `BTF_INT_BOOL` (include/uapi/linux/btf.h).
const SIGNED: u32 = 1;
const BOOL: u32 = 4;

/// The types of these functions, read from the running kernel: of `name.isra.0` those of `name` where the
/// kernel has none of its own. What is not found is left out.
pub fn of_running(names: &HashSet<String>) -> BTreeMap<String, Prototype> {
    let folder = Path::new(FOLDER);
    let Ok(bytes) = std::fs::read(folder.join(KERNEL)) else { return BTreeMap::new() };
    let Ok(kernel) = Btf::parse(&bytes) else { return BTreeMap::new() };
    let mut found = Space { kernel: &kernel, module: None }.prototypes(names);
    let modules = std::fs::read_dir(folder).into_iter().flatten().flatten();
    for module in modules.filter(|file| file.file_name() != KERNEL) {
        let missing: HashSet<String> =
            names.iter().filter(|name| !found.contains_key(*name)).cloned().collect();
        if missing.is_empty() {
            break;
        }
        let Ok(bytes) = std::fs::read(module.path()) else { continue };
        let Ok(own) = Btf::parse(&bytes) else { continue };
        found.extend(Space { kernel: &kernel, module: Some(&own) }.prototypes(&missing));
    }
    found
}

/// The kernel's types, and after them a module's.
pub(super) struct Space<'a> {
    pub(super) kernel: &'a Btf<'a>,
    pub(super) module: Option<&'a Btf<'a>>,
}

impl<'a> Space<'a> {
    pub(super) fn prototypes(&self, names: &HashSet<String>) -> BTreeMap<String, Prototype> {
        let mut wanted: HashMap<&[u8], Vec<&String>> = HashMap::new();
        for name in names {
            wanted.entry(name.as_bytes()).or_default().push(name);
            if base_name(name) != name {
                wanted.entry(base_name(name).as_bytes()).or_default().push(name);
            }
        }
        // Of equal names (static functions of different files) none is known to be the one that is meant,
        // unless they are alike.
        let mut found: BTreeMap<String, (bool, Option<Prototype>)> = BTreeMap::new();
        for function in self.functions() {
            let Some(askers) = wanted.get(self.string(function.name)) else { continue };
            let Some(prototype) = self.prototype(&function) else { continue };
            for name in askers {
                let exact = self.string(function.name) == name.as_bytes();
                let known = found.entry((*name).clone()).or_insert_with(|| (exact, Some(prototype.clone())));
                match (known.0, exact) {
                    (false, true) => *known = (true, Some(prototype.clone())),
                    (true, false) => {}
                    _ if known.1.as_ref().is_some_and(|p| p.gives != prototype.gives) => known.1 = None,
                    _ => {}
                }
            }
        }
        found.into_iter().filter_map(|(name, (_, prototype))| Some((name, prototype?))).collect()
    }

    /// All functions; where there is a module, only its own.
    fn functions(&self) -> impl Iterator<Item = Type> {
        let of = self.module.unwrap_or(self.kernel);
        of.starts.iter().filter_map(|&at| of.type_at(at as usize)).filter(|ty| ty.kind == kind::FUNC)
    }

    fn prototype(&self, function: &Type) -> Option<Prototype> {
        let (proto, data) = self.by_id(function.value)?;
        if proto.kind != kind::FUNC_PROTO {
            return None;
        }
        let mut takes = Vec::new();
        for index in 0..proto.count as usize {
            // struct btf_param { name, type }
            let at = proto.rest + index * 8;
            let (name, ty) = (self.string(word(data, at)?), word(data, at + 4)?);
            if let Some(pointee) = self.pointee(ty) {
                takes.push(pointee);
            } else if ERRNO_PARAMETERS.iter().any(|known| known.as_bytes() == name)
                && matches!(self.gives(ty), Gives::Int | Gives::Long)
            {
                takes.push("errno".into());
            }
        }
        Some(Prototype { gives: self.gives(proto.value), pointee: self.pointee(proto.value), takes })
    }

    fn gives(&self, id: u32) -> Gives {
        if id == 0 {
            return Gives::Nothing;
        }
        let Some((ty, data)) = self.plain(id) else { return Gives::Nothing };
        match ty.kind {
            kind::PTR => Gives::Pointer,
            kind::ENUM | kind::ENUM64 => Gives::Number(u8::try_from(ty.value).unwrap_or(4)),
            kind::INT => {
                let encoding = word(data, ty.rest).unwrap_or(0) >> 24;
                let name = self.string(ty.name);
                match ty.value {
                    _ if encoding & BOOL != 0 || name == b"_Bool" => Gives::Bool,
                    8 if encoding & SIGNED != 0
                        || name == b"long unsigned int"
                        || name == b"unsigned long" =>
                    {
                        Gives::Long
                    }
                    4 if encoding & SIGNED != 0 => Gives::Int,
                    size => Gives::Number(u8::try_from(size).unwrap_or(8)),
                }
            }
            _ => Gives::Other,
        }
    }

    /// What a pointer points to; `None` for anything else.
    fn pointee(&self, id: u32) -> Option<String> {
        let (ty, _) = self.plain(id)?;
        if ty.kind != kind::PTR {
            return None;
        }
        let name = match self.plain(ty.value) {
            Some((to, _)) => String::from_utf8_lossy(self.string(to.name)).into_owned(),
            None => "void".into(),
        };
        Some(if name.is_empty() { "?".into() } else { name })
    }

    /// The type behind typedefs and qualifiers; `None` for `void`.
    fn plain(&self, id: u32) -> Option<(Type, &'a [u8])> {
        let mut id = id;
        for _ in 0..MAX_CHAIN {
            let (ty, data) = self.by_id(id)?;
            match ty.kind {
                kind::TYPEDEF | kind::VOLATILE | kind::CONST | kind::RESTRICT | kind::TYPE_TAG => {
                    id = ty.value
                }
                _ => return Some((ty, data)),
            }
        }
        None
    }

    fn by_id(&self, id: u32) -> Option<(Type, &'a [u8])> {
        let own = self.kernel.starts.len() as u32;
        if id <= own {
            return Some((self.kernel.by_id(id)?, self.kernel.types));
        }
        let module = self.module?;
        Some((module.by_id(id - own)?, module.types))
    }

    fn string(&self, at: u32) -> &'a [u8] {
        let own = self.kernel.strings.len() as u32;
        match self.module {
            Some(module) if at >= own => module.string(at - own),
            _ => self.kernel.string(at),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::Builder;
    use super::*;

    /// `int`, `long`, `bool`, `unsigned int`, `char *`, `void` and a name with a suffix.
    fn kernel() -> Vec<u8> {
        let mut b = Builder::new();
        b.integer("int", 4, SIGNED); // 1
        b.integer("long int", 8, SIGNED); // 2
        b.integer("_Bool", 1, BOOL); // 3
        b.integer("unsigned int", 4, 0); // 4
        b.integer("char", 1, 0); // 5
        b.reference(kind::CONST, 5); // 6
        b.reference(kind::PTR, 6); // 7
        b.integer("long unsigned int", 8, 0); // 8
        for (at, (name, returns, parameters)) in [
            ("count_mounts", 1, &[][..]),
            ("vfs_read", 2, &[]),
            ("may_mount", 3, &[]),
            ("map_id_up", 4, &[]),
            ("open_last_lookups", 7, &[]),
            ("link_path_walk", 1, &[("name", 7)]),
            ("aa_audit_file", 1, &[("error", 1)]),
            ("mntput", 0, &[]),
            ("do_mmap", 8, &[]),
        ]
        .into_iter()
        .enumerate()
        {
            b.function(name, returns, parameters, 9 + 2 * at as u32);
        }
        b.build()
    }

    fn names(names: &[&str]) -> HashSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn return_types_are_told_apart() {
        let bytes = kernel();
        let btf = Btf::parse(&bytes).unwrap();
        let space = Space { kernel: &btf, module: None };
        let all = "count_mounts.isra.0 vfs_read may_mount map_id_up open_last_lookups mntput do_mmap nobody";
        let found = space.prototypes(&all.split(' ').map(str::to_owned).collect());
        let gives = |name: &str| found.get(name).map(|p| p.gives);
        assert_eq!(gives("count_mounts.isra.0"), Some(Gives::Int));
        assert_eq!(gives("vfs_read"), Some(Gives::Long));
        assert_eq!(gives("may_mount"), Some(Gives::Bool));
        assert_eq!(gives("map_id_up"), Some(Gives::Number(4)));
        assert_eq!(gives("open_last_lookups"), Some(Gives::Pointer));
        assert_eq!(found["open_last_lookups"].pointee.as_deref(), Some("char"));
        assert_eq!(gives("mntput"), Some(Gives::Nothing));
        assert_eq!(gives("do_mmap"), Some(Gives::Long));
        assert_eq!(gives("nobody"), None);
    }

    #[test]
    fn what_could_be_an_errno_in_the_arguments() {
        let bytes = kernel();
        let btf = Btf::parse(&bytes).unwrap();
        let found =
            Space { kernel: &btf, module: None }.prototypes(&names(&["link_path_walk", "aa_audit_file"]));
        assert_eq!(found["link_path_walk"].takes, ["char"]);
        assert_eq!(found["aa_audit_file"].takes, ["errno"]);
    }

    #[test]
    fn a_module_s_types_go_on_where_the_kernel_s_end() {
        let bytes = kernel();
        let base = Btf::parse(&bytes).unwrap();
        let mut b = Builder::after(base.strings.len() as u32);
        b.function("ovl_fill_super", 1, &[], base.starts.len() as u32 + 1);
        let bytes = b.build();
        let own = Btf::parse(&bytes).unwrap();
        let found =
            Space { kernel: &base, module: Some(&own) }.prototypes(&names(&["ovl_fill_super", "vfs_read"]));
        assert_eq!(found.len(), 1);
        assert_eq!(found["ovl_fill_super"].gives, Gives::Int);
    }
}
