//! The kernel's own type information: where a field is, in this very kernel.
//!
//! A walker over the raw format (Documentation/bpf/btf.rst) that answers three questions: the offset of a
//! member by its name path *and type*, the value of an enumerator, the size of a structure. It reads the
//! types once and allocates one table of positions, because crates that build all 150 000 types take a
//! third of a second to do so.

pub mod credentials;
pub mod engines;
pub mod limits;
pub mod netlink;
pub mod objects;
pub mod offsets;
pub mod prototypes;
pub mod rlimits;
pub mod running;
pub mod silent;
pub(super) mod sockets;

use std::collections::HashMap;
use thiserror::Error;

const MAGIC: u16 = 0xeb9f;

mod kind {
    pub(super) const INT: u32 = 1;
    pub(super) const PTR: u32 = 2;
    pub(super) const ARRAY: u32 = 3;
    pub(super) const STRUCT: u32 = 4;
    pub(super) const UNION: u32 = 5;
    pub(super) const ENUM: u32 = 6;
    pub(super) const TYPEDEF: u32 = 8;
    pub(super) const VOLATILE: u32 = 9;
    pub(super) const CONST: u32 = 10;
    pub(super) const RESTRICT: u32 = 11;
    pub(super) const FUNC: u32 = 12;
    pub(super) const FUNC_PROTO: u32 = 13;
    pub(super) const TYPE_TAG: u32 = 18;
    pub(super) const ENUM64: u32 = 19;
}

/// Typedefs and qualifiers chained deeper than this are a loop in damaged data.
const MAX_CHAIN: usize = 32;

/// Anonymous structures nested deeper than this are a loop in damaged data.
const MAX_NESTING: usize = 16;

#[derive(Debug, Clone, Error, PartialEq, Eq)]
pub enum BtfError {
    #[error("not BTF: {0}")]
    Malformed(&'static str),
    #[error("BTF kind {kind} at type {id} is newer than this program")]
    UnknownKind { kind: u32, id: u32 },
    #[error("this kernel has no {0}")]
    NoType(String),
    #[error("{0} does not exist in this kernel")]
    NoMember(String),
    #[error("{path} is {found} in this kernel, not {wanted}")]
    WrongType { path: String, wanted: String, found: String },
    #[error("{0} is a bit field")]
    Bitfield(String),
    #[error("this kernel has several {0} that differ")]
    Ambiguous(String),
}

/// What a member must be, so that a field that changed its meaning is not read as what it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// An integer of this many bytes.
    Int(u32),
    /// A pointer to a structure of this name.
    Pointer(&'static str),
    /// A pointer to pointers to structures of this name.
    PointerPointer(&'static str),
    /// An array of pointers to structures of this name.
    PointerArray(&'static str),
    /// An array of structures of this name.
    StructArray(&'static str),
    /// An array of bytes.
    Bytes,
    /// A pointer to bytes: a C string.
    Text,
    /// A pointer to words of eight bytes.
    Words,
    /// An embedded structure of this name.
    Struct(&'static str),
    /// An array whose elements have this many bytes, e.g. of `atomic_t`.
    Array(u32),
    /// Something of this many bytes, where kernels differ in what they call it.
    Sized(u32),
}

/// One type's fixed part.
#[derive(Clone, Copy)]
struct Type {
    /// Where its name starts in the strings.
    name: u32,
    kind: u32,
    /// Members, enumerators or parameters that follow.
    count: u32,
    /// In structures: members carry a bit field size.
    flag: bool,
    /// Size in bytes, or the type it refers to.
    value: u32,
    /// Where the variable part starts.
    rest: usize,
}

/// Parsed BTF. Borrows the bytes.
pub struct Btf<'a> {
    types: &'a [u8],
    strings: &'a [u8],
    /// Where each type starts in `types`; id 0 is `void` and has no entry of its own.
    starts: Vec<u32>,
    /// Structures, unions and enumerations by name.
    named: HashMap<&'a [u8], Vec<u32>>,
}

impl<'a> Btf<'a> {
    /// Reads the header and walks the types once.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, BtfError> {
        let magic = bytes.get(..2).map(|b| u16::from_le_bytes([b[0], b[1]]));
        if magic != Some(MAGIC) {
            return Err(BtfError::Malformed("wrong magic number"));
        }
        let field = |at| word(bytes, at).ok_or(BtfError::Malformed("header too short"));
        let header = field(4)? as usize;
        let section = |offset: u32, length: u32| {
            let start = header.checked_add(offset as usize)?;
            bytes.get(start..start.checked_add(length as usize)?)
        };
        let types = section(field(8)?, field(12)?).ok_or(BtfError::Malformed("types outside the data"))?;
        let strings =
            section(field(16)?, field(20)?).ok_or(BtfError::Malformed("strings outside the data"))?;
        let mut btf =
            Self { types, strings, starts: Vec::with_capacity(types.len() / 24), named: HashMap::new() };
        btf.index()?;
        Ok(btf)
    }

    fn index(&mut self) -> Result<(), BtfError> {
        let mut at = 0;
        while at < self.types.len() {
            let id = self.starts.len() as u32 + 1;
            let Some(ty) = self.type_at(at) else { return Err(BtfError::Malformed("truncated type")) };
            let Some(rest) = rest_size(ty.kind, ty.count) else {
                return Err(BtfError::UnknownKind { kind: ty.kind, id });
            };
            self.starts.push(at as u32);
            if matches!(ty.kind, kind::STRUCT | kind::UNION | kind::ENUM | kind::ENUM64) && ty.name != 0 {
                self.named.entry(self.string(ty.name)).or_default().push(id);
            }
            at = ty.rest + rest;
        }
        if at > self.types.len() {
            return Err(BtfError::Malformed("truncated type"));
        }
        Ok(())
    }

    /// The byte offset of `path` (names joined by dots, through embedded structures) in `structure`.
    /// Members of anonymous structures and unions count as members of what encloses them, as in C.
    pub fn member(&self, structure: &str, path: &str, want: Want) -> Result<u32, BtfError> {
        let mut found = None;
        for &id in self.candidates(structure, &[kind::STRUCT, kind::UNION])? {
            let offset = self.member_of(id, structure, path, want)?;
            if found.is_some_and(|earlier| earlier != offset) {
                return Err(BtfError::Ambiguous(format!("structures {structure}")));
            }
            found = Some(offset);
        }
        found.ok_or_else(|| BtfError::NoType(format!("struct {structure}")))
    }

    /// The size of a structure in bytes.
    pub fn size_of(&self, structure: &str) -> Result<u32, BtfError> {
        let mut sizes = self
            .candidates(structure, &[kind::STRUCT, kind::UNION])?
            .iter()
            .filter_map(|&id| Some(self.by_id(id)?.value));
        let first = sizes.next().ok_or_else(|| BtfError::NoType(format!("struct {structure}")))?;
        if sizes.any(|size| size != first) {
            return Err(BtfError::Ambiguous(format!("structures {structure}")));
        }
        Ok(first)
    }

    /// The value of an enumerator of a named enumeration.
    pub fn enumerator(&self, enumeration: &str, name: &str) -> Result<u32, BtfError> {
        for &id in self.candidates(enumeration, &[kind::ENUM, kind::ENUM64])? {
            let Some(ty) = self.by_id(id) else { continue };
            // struct btf_enum { name, value }; struct btf_enum64 { name, low, high }
            let step = if ty.kind == kind::ENUM { 8 } else { 12 };
            for index in 0..ty.count as usize {
                let at = ty.rest + index * step;
                if word(self.types, at).is_some_and(|n| self.string(n) == name.as_bytes()) {
                    return word(self.types, at + 4).ok_or(BtfError::Malformed("truncated enumerator"));
                }
            }
        }
        Err(BtfError::NoMember(format!("enum {enumeration}: {name}")))
    }

    fn candidates(&self, name: &str, kinds: &[u32]) -> Result<&[u32], BtfError> {
        self.named
            .get(name.as_bytes())
            .filter(|ids| ids.iter().all(|&id| self.by_id(id).is_some_and(|ty| kinds.contains(&ty.kind))))
            .map(Vec::as_slice)
            .ok_or_else(|| BtfError::NoType(name.to_owned()))
    }

    fn member_of(&self, id: u32, structure: &str, path: &str, want: Want) -> Result<u32, BtfError> {
        let whole = || format!("{structure}.{path}");
        let (mut id, mut offset) = (id, 0);
        let mut names = path.split('.').peekable();
        while let Some(name) = names.next() {
            let (member, bits) =
                self.find(id, name.as_bytes(), MAX_NESTING).ok_or_else(|| BtfError::NoMember(whole()))?;
            if bits % 8 != 0 || bits == u32::MAX {
                return Err(BtfError::Bitfield(whole()));
            }
            offset += bits / 8;
            id = member;
            if names.peek().is_none() {
                break;
            }
        }
        if self.is(id, want) {
            return Ok(offset);
        }
        Err(BtfError::WrongType { path: whole(), wanted: want.to_string(), found: self.describe(id) })
    }

    /// The type and bit offset of a member. A bit field has the offset `u32::MAX`.
    fn find(&self, id: u32, name: &[u8], depth: usize) -> Option<(u32, u32)> {
        let ty = self.by_id(self.plain(id)?)?;
        if depth == 0 || !matches!(ty.kind, kind::STRUCT | kind::UNION) {
            return None;
        }
        for index in 0..ty.count as usize {
            // struct btf_member { name, type, offset }
            let at = ty.rest + index * 12;
            let member = word(self.types, at + 4)?;
            let raw = word(self.types, at + 8)?;
            // With the flag set the upper byte is the size of a bit field (btf.h BTF_MEMBER_BITFIELD_SIZE).
            let (bits, bitfield) = if ty.flag { (raw & 0x00ff_ffff, raw >> 24 != 0) } else { (raw, false) };
            match self.string(word(self.types, at)?) {
                own if own == name => return Some((member, if bitfield { u32::MAX } else { bits })),
                b"" => {
                    if let Some((found, inner)) = self.find(member, name, depth - 1) {
                        return Some((found, bits.saturating_add(inner)));
                    }
                }
                _ => {}
            }
        }
        None
    }

    fn is(&self, id: u32, want: Want) -> bool {
        let Some(ty) = self.plain(id).and_then(|id| self.by_id(id)) else { return false };
        let element = || self.array_element(&ty);
        match want {
            Want::Int(bytes) => {
                // The word that follows says how many of the bits count.
                ty.kind == kind::INT
                    && ty.value == bytes
                    && word(self.types, ty.rest).is_some_and(|encoding| encoding & 0xff == bytes * 8)
            }
            Want::Pointer(to) => ty.kind == kind::PTR && self.is_structure(ty.value, to),
            Want::PointerPointer(to) => ty.kind == kind::PTR && self.is(ty.value, Want::Pointer(to)),
            Want::PointerArray(to) => element().is_some_and(|element| self.is(element, Want::Pointer(to))),
            Want::StructArray(of) => element().is_some_and(|element| self.is_structure(element, of)),
            Want::Bytes => element().is_some_and(|element| self.is(element, Want::Int(1))),
            Want::Words => ty.kind == kind::PTR && self.is(ty.value, Want::Int(8)),
            Want::Text => ty.kind == kind::PTR && self.is(ty.value, Want::Int(1)),
            Want::Struct(name) => ty.kind == kind::STRUCT && self.string(ty.name) == name.as_bytes(),
            Want::Array(bytes) => element().is_some_and(|element| self.is(element, Want::Sized(bytes))),
            Want::Sized(bytes) => {
                // A pointer to anything: `void *`.
                matches!(ty.kind, kind::INT | kind::STRUCT | kind::UNION) && ty.value == bytes
                    || ty.kind == kind::PTR && bytes == 8
            }
        }
    }

    fn is_structure(&self, id: u32, name: &str) -> bool {
        let ty = self.plain(id).and_then(|id| self.by_id(id));
        ty.is_some_and(|ty| ty.kind == kind::STRUCT && self.string(ty.name) == name.as_bytes())
    }

    fn array_element(&self, ty: &Type) -> Option<u32> {
        // struct btf_array { type, index_type, nelems }
        (ty.kind == kind::ARRAY).then(|| word(self.types, ty.rest)).flatten()
    }

    /// The type behind typedefs and qualifiers.
    fn plain(&self, id: u32) -> Option<u32> {
        let mut id = id;
        for _ in 0..MAX_CHAIN {
            let ty = self.by_id(id)?;
            match ty.kind {
                kind::TYPEDEF | kind::VOLATILE | kind::CONST | kind::RESTRICT | kind::TYPE_TAG => {
                    id = ty.value
                }
                _ => return Some(id),
            }
        }
        None
    }

    fn describe(&self, id: u32) -> String {
        let Some(ty) = self.plain(id).and_then(|id| self.by_id(id)) else { return "void".into() };
        let name = String::from_utf8_lossy(self.string(ty.name));
        match ty.kind {
            kind::INT => format!("an integer of {} bytes", ty.value),
            kind::PTR => "a pointer to something else".into(),
            kind::ARRAY => "an array".into(),
            kind::STRUCT => format!("struct {name}"),
            kind::UNION => format!("union {name}"),
            other => format!("of kind {other}"),
        }
    }

    fn by_id(&self, id: u32) -> Option<Type> {
        let start = self.starts.get((id as usize).checked_sub(1)?)?;
        self.type_at(*start as usize)
    }

    fn type_at(&self, at: usize) -> Option<Type> {
        let info = word(self.types, at + 4)?;
        Some(Type {
            name: word(self.types, at)?,
            // Kinds have 5 bits and counts 16; the bits between were always zero, so that reading them
            // too costs nothing and understands kernels that widened both.
            kind: (info >> 24) & 0x7f,
            count: info & 0x00ff_ffff,
            flag: info >> 31 == 1,
            value: word(self.types, at + 8)?,
            rest: at + 12,
        })
    }

    fn string(&self, at: u32) -> &'a [u8] {
        let tail = self.strings.get(at as usize..).unwrap_or_default();
        tail.split(|&byte| byte == 0).next().unwrap_or_default()
    }
}

impl std::fmt::Display for Want {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Int(bytes) => write!(f, "an integer of {bytes} bytes"),
            Self::Pointer(to) => write!(f, "a pointer to struct {to}"),
            Self::PointerPointer(to) => write!(f, "a pointer to pointers to struct {to}"),
            Self::PointerArray(to) => write!(f, "an array of pointers to struct {to}"),
            Self::StructArray(of) => write!(f, "an array of struct {of}"),
            Self::Bytes => f.write_str("an array of bytes"),
            Self::Words => f.write_str("a pointer to words"),
            Self::Text => f.write_str("a pointer to bytes"),
            Self::Struct(name) => write!(f, "a struct {name}"),
            Self::Array(bytes) => write!(f, "an array of {bytes} bytes each"),
            Self::Sized(bytes) => write!(f, "{bytes} bytes"),
        }
    }
}

/// The size of what follows a type's fixed part; `None` for kinds that did not exist when this was written.
fn rest_size(kind: u32, count: u32) -> Option<usize> {
    let each = match kind {
        // int: encoding; var: linkage; decl_tag: component index
        1 | 14 | 17 => return Some(4),
        3 => return Some(12),
        // struct, union: members; datasec: variables; enum64: values
        4 | 5 | 15 | 19 => 12,
        // enum: values; func_proto: parameters
        6 | 13 => 8,
        2 | 7..=12 | 16 | 18 => 0,
        _ => return None,
    };
    Some(each * count as usize)
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let slice = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes([slice[0], slice[1], slice[2], slice[3]]))
}

#[cfg(test)]
mod tests;
