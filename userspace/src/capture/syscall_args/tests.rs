//! Names, flags, and above all what must not be shown.

use super::*;
use crate::model::ArgValue;

fn read(text: &str) -> Option<Text> {
    Some(Text::Read(text.to_owned()))
}

fn value(args: &[Arg], name: &str) -> ArgValue {
    args.iter().find(|arg| arg.name == name).map(|arg| arg.value.clone()).unwrap()
}

fn mount(fstype: Option<Text>, data: Option<Text>) -> Vec<Arg> {
    let flags = libc::MS_BIND | libc::MS_REC;
    describe("mount", Abi::Native, &[1, 1, 1, flags, 1, 0], &[read("src"), read("/mnt"), fstype, data])
}

#[test]
fn mount_is_named_and_its_flags_are_words() {
    let args = mount(read("overlay"), read("lowerdir=/l,upperdir=/u,workdir=/w"));
    let names: Vec<_> = args.iter().map(|arg| arg.name.as_str()).collect();
    assert_eq!(names, ["source", "target", "fstype", "flags", "data"]);
    assert_eq!(value(&args, "flags"), ArgValue::Flags { raw: 0x5000, words: "MS_BIND|MS_REC".into() });
    assert_eq!(value(&args, "data"), ArgValue::Text("lowerdir=/l,upperdir=/u,workdir=/w".into()));
}

#[test]
fn null_and_unread_are_not_empty_strings() {
    let args = mount(Some(Text::Null), Some(Text::Unread));
    assert_eq!(value(&args, "fstype"), ArgValue::Null);
    assert_eq!(value(&args, "data"), ArgValue::Unread);
}

#[test]
fn mount_data_of_unknown_file_systems_is_held_back() {
    let secret = "username=bob,password=hunter2";
    for fstype in [read("cifs"), read("fuse.sshfs"), Some(Text::Null), Some(Text::Unread)] {
        assert_eq!(value(&mount(fstype, read(secret)), "data"), ArgValue::Redacted);
    }
}

#[test]
fn unknown_options_of_known_file_systems_are_held_back() {
    let args = mount(read("tmpfs"), read("size=64m,password=hunter2,mode=0755,x"));
    assert_eq!(value(&args, "data"), ArgValue::Text("size=64m,mode=0755,…".into()));
    assert_eq!(value(&mount(read("ext4"), read("key=hunter2")), "data"), ArgValue::Redacted);
}

#[test]
fn credentials_in_a_source_are_held_back() {
    let strings = [read("https://bob:hunter2@host/x"), read("/mnt"), read("davfs"), None];
    let args = describe("mount", Abi::Native, &[1, 1, 1, 0, 0, 0], &strings);
    assert_eq!(value(&args, "source"), ArgValue::Redacted);
}

#[test]
fn fsconfig_shows_values_of_known_keys_only() {
    let call = |cmd, key, text| {
        let args =
            describe("fsconfig", Abi::Native, &[3, cmd, 1, 1, 0, 0], &[read(key), read(text), None, None]);
        value(&args, "value")
    };
    assert_eq!(call(1, "upperdir", "/u"), ArgValue::Text("/u".into()));
    assert_eq!(call(1, "password", "hunter2"), ArgValue::Redacted);
    assert_eq!(call(2, "upperdir", "hunter2"), ArgValue::Redacted, "binary values are not text");
    assert_eq!(call(5, "source", "x"), ArgValue::Redacted);
}

#[test]
fn environments_and_payloads_are_never_read() {
    for (name, params) in
        [("execve", ["argv", "envp"]), ("execveat", ["argv", "envp"]), ("add_key", ["payload"; 2])]
    {
        let call = find(name, Abi::Native).unwrap();
        for param in params {
            let index = call.params.iter().position(|(name, _)| *name == param).unwrap();
            assert!(matches!(call.params[index].1, Kind::Secret | Kind::Strings));
            let told = describe(name, Abi::Native, &[4096; 6], &[None, None, None, None]);
            let value = told.iter().find(|arg| arg.name == param).map(|arg| &arg.value);
            assert!(matches!(value, Some(ArgValue::Redacted | ArgValue::Withheld { .. })), "{name} {param}");
            assert!(!string_slots(name, Abi::Native).contains(&Some(index as u8)));
        }
    }
}

#[test]
fn clone_flags_and_their_signal() {
    let args = describe("clone", Abi::Native, &[0x0002_0011, 0, 0, 0, 0, 0], &[const { None }; SLOTS]);
    assert_eq!(
        value(&args, "flags"),
        ArgValue::Flags { raw: 0x0002_0011, words: "CLONE_NEWNS|SIGCHLD".into() }
    );
    let compat = describe("clone", Abi::Compat, &[17, 0, 0, 7, 8, 0], &[const { None }; SLOTS]);
    assert_eq!(value(&compat, "tls"), ArgValue::Number(7));
}

#[test]
fn descriptors_modes_and_the_nameless() {
    let none = [const { None }; SLOTS];
    let args = describe("mkdirat", Abi::Native, &[0xffff_ff9c, 1, 0o755, 0, 0, 0], &none);
    assert_eq!(value(&args, "dirfd"), ArgValue::Flags { raw: -100_i64 as u64, words: "AT_FDCWD".into() });
    assert_eq!(value(&args, "mode"), ArgValue::Flags { raw: 0o755, words: "0755".into() });
    assert_eq!(describe("brand_new_call", Abi::Native, &[1, 2, 3, 4, 5, 6], &none).len(), 6);
    assert_eq!(flags::join(flags::MOUNT, 0), "0");
    assert_eq!(flags::join(flags::UMOUNT, 0x102), "MNT_DETACH|0x100");
}

#[test]
fn every_string_has_a_slot_and_every_call_one_row() {
    for (table, abi) in [(table::CALLS, Abi::Native), (table::COMPAT, Abi::Compat)] {
        let mut seen = Vec::new();
        for call in table {
            let strings =
                call.params.iter().filter(|(_, kind)| matches!(kind, Kind::Text | Kind::Data)).count();
            for name in call.names {
                assert!(!seen.contains(name), "{name} twice");
                seen.push(name);
                assert_eq!(string_slots(name, abi).iter().flatten().count(), strings, "{name}");
            }
            assert!(call.params.len() <= ARGS);
        }
    }
}
