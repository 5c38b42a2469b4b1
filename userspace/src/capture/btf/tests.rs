//! Hand-made BTF: what the kernel's own never shows at once.

use super::*;

/// Writes types and strings in the raw format.
pub(super) struct Builder {
    types: Vec<u8>,
    strings: Vec<u8>,
    /// Where a module's strings begin: behind the kernel's.
    base: u32,
}

impl Builder {
    pub(super) fn new() -> Self {
        Self { types: Vec::new(), strings: vec![0], base: 0 }
    }

    /// The types of a module, whose strings begin at `base`.
    pub(super) fn after(base: u32) -> Self {
        Self { base, ..Self::new() }
    }

    fn name(&mut self, name: &str) -> u32 {
        if name.is_empty() {
            return 0;
        }
        let at = self.base + self.strings.len() as u32;
        self.strings.extend(name.as_bytes());
        self.strings.push(0);
        at
    }

    fn words(&mut self, words: &[u32]) {
        self.types.extend(words.iter().flat_map(|word| word.to_le_bytes()));
    }

    /// With the encoding of struct btf_type's INT.
    pub(super) fn integer(&mut self, name: &str, size: u32, encoding: u32) {
        let name = self.name(name);
        self.words(&[name, 1 << 24, size, (encoding << 24) | (size * 8)]);
    }

    /// A function and its prototype, which becomes type `id`.
    pub(super) fn function(&mut self, name: &str, returns: u32, parameters: &[(&str, u32)], id: u32) {
        self.words(&[0, kind::FUNC_PROTO << 24 | parameters.len() as u32, returns]);
        for (name, ty) in parameters {
            let name = self.name(name);
            self.words(&[name, *ty]);
        }
        let name = self.name(name);
        self.words(&[name, kind::FUNC << 24, id]);
    }

    fn int(&mut self, name: &str, size: u32) {
        let name = self.name(name);
        self.words(&[name, 1 << 24, size, size * 8]);
    }

    pub(super) fn reference(&mut self, kind: u32, to: u32) {
        self.words(&[0, kind << 24, to]);
    }

    /// Members are (name, type, bit offset); with `bitfields` the offset's upper byte is a size.
    fn structure(&mut self, kind: u32, name: &str, size: u32, bitfields: bool, members: &[(&str, u32, u32)]) {
        let name = self.name(name);
        self.words(&[name, u32::from(bitfields) << 31 | kind << 24 | members.len() as u32, size]);
        for (name, ty, offset) in members {
            let name = self.name(name);
            self.words(&[name, *ty, *offset]);
        }
    }

    pub(super) fn build(self) -> Vec<u8> {
        let (types, strings) = (self.types.len() as u32, self.strings.len() as u32);
        let mut bytes = vec![0x9f, 0xeb, 1, 0];
        for word in [24, 0, types, types, strings] {
            bytes.extend(u32::to_le_bytes(word));
        }
        bytes.extend(self.types);
        bytes.extend(self.strings);
        bytes
    }
}

/// 1: u32, 2: u64, 3: struct inner, 4: anonymous union, 5: struct outer, 6: pointer to inner,
/// 7: const of 6, 8: struct holder
fn sample() -> Vec<u8> {
    let mut b = Builder::new();
    b.int("unsigned int", 4);
    b.int("unsigned long", 8);
    b.structure(4, "inner", 8, false, &[("first", 1, 0), ("second", 1, 32)]);
    b.structure(5, "", 8, false, &[("as_word", 1, 0), ("as_long", 2, 0)]);
    b.structure(
        4,
        "outer",
        32,
        true,
        &[("inner", 3, 0), ("", 4, 64), ("bits", 1, 3 << 24 | 128), ("whole", 1, 160)],
    );
    b.reference(2, 3);
    b.reference(10, 6);
    b.structure(4, "holder", 8, false, &[("pointer", 7, 0)]);
    b.build()
}

#[test]
fn paths_go_through_embedded_and_anonymous_members() {
    let bytes = sample();
    let btf = Btf::parse(&bytes).unwrap();
    assert_eq!(btf.member("outer", "inner.second", Want::Int(4)), Ok(4));
    assert_eq!(btf.member("outer", "as_long", Want::Int(8)), Ok(8));
    assert_eq!(btf.member("outer", "whole", Want::Int(4)), Ok(20));
    assert_eq!(btf.member("holder", "pointer", Want::Pointer("inner")), Ok(0));
    assert_eq!(btf.size_of("outer"), Ok(32));
}

#[test]
fn a_member_of_another_type_is_refused() {
    let bytes = sample();
    let btf = Btf::parse(&bytes).unwrap();
    let refused = btf.member("outer", "inner", Want::Int(4)).unwrap_err();
    assert_eq!(refused.to_string(), "outer.inner is struct inner in this kernel, not an integer of 4 bytes");
    assert!(matches!(btf.member("outer", "as_word", Want::Int(8)), Err(BtfError::WrongType { .. })));
    assert!(matches!(
        btf.member("holder", "pointer", Want::Pointer("outer")),
        Err(BtfError::WrongType { .. })
    ));
    assert!(matches!(btf.member("outer", "bits", Want::Int(4)), Err(BtfError::Bitfield(_))));
    assert!(matches!(btf.member("outer", "absent", Want::Int(4)), Err(BtfError::NoMember(_))));
    assert!(matches!(btf.member("absent", "x", Want::Int(4)), Err(BtfError::NoType(_))));
}

#[test]
fn two_structures_of_one_name_must_agree() {
    let mut b = Builder::new();
    b.int("unsigned int", 4);
    b.structure(4, "twin", 4, false, &[("same", 1, 0)]);
    b.structure(4, "twin", 8, false, &[("other", 1, 0), ("same", 1, 32)]);
    let bytes = b.build();
    let btf = Btf::parse(&bytes).unwrap();
    assert!(matches!(btf.member("twin", "same", Want::Int(4)), Err(BtfError::Ambiguous(_))));
    assert!(matches!(btf.size_of("twin"), Err(BtfError::Ambiguous(_))));
}

#[test]
fn enumerators_of_both_widths() {
    let mut b = Builder::new();
    let (short, long) = (b.name("short"), b.name("long"));
    let (one, two) = (b.name("one"), b.name("two"));
    b.words(&[short, 6 << 24 | 2, 4, one, 7, two, 8]);
    b.words(&[long, 19 << 24 | 1, 8, two, 9, 0]);
    let bytes = b.build();
    let btf = Btf::parse(&bytes).unwrap();
    assert_eq!(btf.enumerator("short", "two"), Ok(8));
    assert_eq!(btf.enumerator("long", "two"), Ok(9));
    assert!(matches!(btf.enumerator("short", "three"), Err(BtfError::NoMember(_))));
}

#[test]
fn damaged_data_is_an_error_and_never_a_panic() {
    let bytes = sample();
    assert!(Btf::parse(&[]).is_err());
    for length in 0..bytes.len() {
        // Cut anywhere: either refused, or the look-up says no.
        if let Ok(btf) = Btf::parse(&bytes[..length]) {
            let _ = btf.member("outer", "inner.second", Want::Int(4));
        }
    }
    for at in 0..bytes.len() {
        for value in [0, 1, 0x7f, 0xff] {
            let mut damaged = bytes.clone();
            damaged[at] = value;
            if let Ok(btf) = Btf::parse(&damaged) {
                let _ = btf.member("outer", "inner.second", Want::Int(4));
                let _ = btf.member("holder", "pointer", Want::Pointer("inner"));
            }
        }
    }
}

#[test]
fn an_unknown_kind_is_named() {
    let mut b = Builder::new();
    b.words(&[0, 33 << 24, 0]);
    assert_eq!(Btf::parse(&b.build()).err(), Some(BtfError::UnknownKind { kind: 33, id: 1 }));
}
