//! What each errno of a key is taken for.

use super::*;
use crate::causes::case::testing::{argument, judge_with, set_args, valued};
use crate::model::{ArgValue, Incident};

fn keyctl(operation: u64, key: i64, errno: i32) -> Option<(Confidence, String)> {
    let args = [("operation", operation), ("arg2", key as u64)];
    let i = valued("keyctl", Errno(errno), &args, &[], vec![]);
    judge_with(&CAUSE, &i).map(|f| (f.confidence, f.sentence))
}

fn request(errno: i32, callout: ArgValue) -> Option<(Confidence, String)> {
    let mut i: Incident = valued("request_key", Errno(errno), &[], &[], vec![]);
    set_args(&mut i, &[("type", "user"), ("description", "cifs:a:host")], &[]);
    argument(&mut i, "callout_info", callout);
    judge_with(&CAUSE, &i).map(|f| (f.confidence, f.knob.name))
}

#[test]
fn what_a_key_is_worth_is_said_by_the_errno_alone() {
    let (confidence, sentence) = keyctl(11, 77, REVOKED).unwrap();
    assert_eq!(confidence, Confidence::Proven);
    assert!(sentence.contains("to read the key 77, which was revoked"), "{sentence}");
    assert!(keyctl(11, 77, EXPIRED).unwrap().1.contains("has expired"));
    assert!(keyctl(11, -3, ENOKEY).unwrap().1.contains("@s"));
    assert_eq!(keyctl(10, -3, ENOKEY).map(|t| t.0), Some(Confidence::Likely), "the keyring, or the key");
    assert_eq!(keyctl(11, 77, libc::EACCES).map(|t| t.0), Some(Confidence::Likely));
    assert_eq!(keyctl(11, 77, libc::EINVAL), None);
    assert_eq!(keyctl(99, 77, ENOKEY), None, "an operation that names no key");
}

#[test]
fn a_request_with_and_without_a_helper() {
    assert_eq!(request(ENOKEY, ArgValue::Null), Some((Confidence::Proven, "keyring".into())));
    assert_eq!(request(ENOKEY, ArgValue::Redacted), Some((Confidence::Proven, "request-key".into())));
    assert_eq!(request(libc::ENOENT, ArgValue::Redacted), Some((Confidence::Likely, "request-key".into())));
    assert_eq!(request(libc::ENOENT, ArgValue::Null), None);
}

#[test]
fn modules_without_a_known_key() {
    let of = |call: &str, errno: i32| {
        judge_with(&CAUSE, &valued(call, Errno(errno), &[], &[], vec![])).map(|f| f.knob.name)
    };
    assert_eq!(of("finit_module", ENOKEY), Some("signature".into()));
    assert_eq!(of("kexec_file_load", REJECTED), Some("signature".into()));
    assert_eq!(of("finit_module", libc::EPERM), None);
}
