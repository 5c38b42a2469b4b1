//! What functions return, and whether they could have been given an errno, from the kernel's types.
//!
//! Modules carry types of their own that go on where the kernel's end (Documentation/bpf/btf.rst, "split
//! BTF"): ids and string offsets past the kernel's last ones are the module's.

use super::{Btf, Type, kind, word};
use crate::model::{Gives, Prototype, base_name};

/// Names that the kernel's programmers give to an errno that is handed on.
const ERRNO_PARAMETERS: [&str; 9] =
    ["err", "error", "errno", "ret", "retval", "rc", "res", "result", "error_code"];

/// Typedefs and qualifiers chained deeper than this are a loop in damaged data.
const MAX_CHAIN: usize = 32;

/// `BTF_INT_SIGNED` and `BTF_INT_BOOL` (include/uapi/linux/btf.h).
const SIGNED: u32 = 1;
const BOOL: u32 = 4;

/// The kernel's types, and after them a module's.
pub(super) struct Space<'a> {
    pub(super) kernel: &'a Btf<'a>,
    pub(super) module: Option<&'a Btf<'a>>,
    /// All functions, of a module its own: a hash of the name and the place of the type, sorted.
    functions: Vec<(u32, u32)>,
}

impl<'a> Space<'a> {
    pub(super) fn new(kernel: &'a Btf<'a>, module: Option<&'a Btf<'a>>) -> Self {
        let mut space = Self { kernel, module, functions: Vec::new() };
        let own = space.own();
        let hashed = |&at: &u32| {
            let function = own.type_at(at as usize).filter(|ty| ty.kind == kind::FUNC)?;
            Some((hash(space.string(function.name)), at))
        };
        let mut functions: Vec<_> = own.starts.iter().filter_map(hashed).collect();
        functions.sort_unstable();
        space.functions = functions;
        space
    }

    fn own(&self) -> &'a Btf<'a> {
        self.module.unwrap_or(self.kernel)
    }

    /// Of `name.isra.0` that of `name` where there is none of its own. Of equal names (static functions of different
    /// files) none is known to be the one that is meant, unless they are alike.
    pub(super) fn prototype_of(&self, name: &str) -> Option<Prototype> {
        for name in [name, base_name(name)] {
            let mut alike = self.named(name.as_bytes()).filter_map(|function| self.prototype(&function));
            if let Some(first) = alike.next() {
                return alike.all(|other| other.gives == first.gives).then_some(first);
            }
        }
        None
    }

    fn named(&self, name: &[u8]) -> impl Iterator<Item = Type> {
        let hash = hash(name);
        let from = self.functions.partition_point(|(known, _)| *known < hash);
        let places = self.functions[from..].iter().take_while(move |(known, _)| *known == hash);
        let types = places.filter_map(|(_, at)| self.own().type_at(*at as usize));
        types.filter(move |function| self.string(function.name) == name)
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

/// FNV-1a.
fn hash(name: &[u8]) -> u32 {
    name.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
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

    #[test]
    fn return_types_are_told_apart() {
        let bytes = kernel();
        let btf = Btf::parse(&bytes).unwrap();
        let space = Space::new(&btf, None);
        let gives = |name: &str| space.prototype_of(name).map(|p| p.gives);
        assert_eq!(gives("count_mounts.isra.0"), Some(Gives::Int));
        assert_eq!(gives("vfs_read"), Some(Gives::Long));
        assert_eq!(gives("may_mount"), Some(Gives::Bool));
        assert_eq!(gives("map_id_up"), Some(Gives::Number(4)));
        assert_eq!(gives("open_last_lookups"), Some(Gives::Pointer));
        let opened = space.prototype_of("open_last_lookups").unwrap();
        assert_eq!(opened.pointee.as_deref(), Some("char"));
        assert_eq!(gives("mntput"), Some(Gives::Nothing));
        assert_eq!(gives("do_mmap"), Some(Gives::Long));
        assert_eq!(gives("nobody"), None);
    }

    #[test]
    fn of_functions_with_one_name_only_what_they_have_in_common_is_known() {
        let mut b = Builder::new();
        b.integer("int", 4, SIGNED); // 1
        b.integer("long int", 8, SIGNED); // 2
        b.function("alike", 1, &[], 3);
        b.function("alike", 1, &[], 5);
        b.function("other", 1, &[], 7);
        b.function("other", 2, &[], 9);
        let bytes = b.build();
        let btf = Btf::parse(&bytes).unwrap();
        let space = Space::new(&btf, None);
        assert_eq!(space.prototype_of("alike").map(|p| p.gives), Some(Gives::Int));
        assert_eq!(space.prototype_of("other"), None);
    }

    #[test]
    fn what_could_be_an_errno_in_the_arguments() {
        let bytes = kernel();
        let btf = Btf::parse(&bytes).unwrap();
        let space = Space::new(&btf, None);
        let takes = |name| space.prototype_of(name).unwrap().takes;
        assert_eq!(takes("link_path_walk"), ["char"]);
        assert_eq!(takes("aa_audit_file"), ["errno"]);
    }

    #[test]
    fn a_module_s_types_go_on_where_the_kernel_s_end() {
        let bytes = kernel();
        let base = Btf::parse(&bytes).unwrap();
        let mut b = Builder::after(base.strings.len() as u32);
        b.function("ovl_fill_super", 1, &[], base.starts.len() as u32 + 1);
        let bytes = b.build();
        let own = Btf::parse(&bytes).unwrap();
        let space = Space::new(&base, Some(&own));
        assert_eq!(space.prototype_of("ovl_fill_super").map(|p| p.gives), Some(Gives::Int));
        assert_eq!(space.prototype_of("vfs_read"), None);
    }
}
