//! The object that a failed call named, looked at again through the failing task: its kind, owner, mode, mount and
//! first bytes, and the folders that lead to it.
//!
//! diag looks with all rights, so that what it finds is what is there, not what the task may see; whether the task
//! may is the causes' to judge.

mod busy;
mod head;
mod named;
mod reach;

use super::{Look, Sampled};
use crate::model::{Errno, Fact, Failure, Head, ObjectKind, PathObject};
use named::{Named, Way};
use reach::Reach;

/// Errnos that the object's own state decides.
const OF_OBJECTS: &[i32] = &[
    libc::EPERM,
    libc::EACCES,
    libc::ENOEXEC,
    libc::ETXTBSY,
    libc::ELOOP,
    libc::EISDIR,
    libc::ENOTDIR,
    libc::EROFS,
    libc::ENAMETOOLONG,
    libc::ELIBBAD,
    libc::ENXIO,
    libc::ENODEV,
];

pub(super) fn look(look: &Look<'_>, failure: &mut Failure, out: &mut Sampled) {
    let exec = matches!(look.call, "execve" | "execveat");
    let of_object = OF_OBJECTS.contains(&look.errno.0);
    // A file of procfs takes a word and may refuse it: the errno then is about the file.
    let written = look.call.starts_with("write") || look.call.starts_with("pwrite");
    let of_word = written && [Errno::EINVAL, Errno::ENOENT, Errno(libc::ERANGE)].contains(&look.errno);
    let makes = ["open", "creat", "mkdir", "mknod", "symlink"].iter().any(|call| look.call.starts_with(call));
    let absent = look.errno == Errno::ENOENT && (exec || makes || failure.socket_file().is_some());
    if !(of_object || of_word || absent || exec) {
        return;
    }
    let after = look.after(failure);
    for named in named::of(failure) {
        let Some(object) = find(look, failure, &named, after) else { continue };
        let interpreter = interpreter(look, failure, &object, after);
        let both = [Some(object), interpreter].into_iter().flatten();
        out.facts.extend(both.map(|object| Fact::PathObject(Box::new(object))));
    }
}

/// Of a program that may not be started: its mode may be fine, and that of its interpreter not.
fn interpreter(look: &Look<'_>, failure: &Failure, object: &PathObject, after_ns: u64) -> Option<PathObject> {
    let path = match object.head.as_ref().filter(|_| look.errno == Errno::EACCES)? {
        Head::Script { interpreter, .. } => interpreter.clone(),
        Head::Elf { interpreter: Some((path, _)), .. } => path.clone(),
        _ => return None,
    };
    let named = Named { role: "interpreter", way: Way::Path { dirfd: None, path }, follow: true };
    Some(Reach::of(&look.view, failure, &named)?.object(&named, after_ns))
}

fn find(look: &Look<'_>, failure: &Failure, named: &Named, after_ns: u64) -> Option<PathObject> {
    let reach = Reach::of(&look.view, failure, named)?;
    let exec = matches!(look.call, "execve" | "execveat");
    let mut object = reach.object(named, after_ns);
    if exec && object.kind == ObjectKind::Regular {
        object.head = Some(head::read(&reach, &look.view, &failure.task));
    }
    if look.errno == Errno(libc::ETXTBSY) {
        (object.running, object.writing) = busy::holders(look.root, &reach, failure.task.pid);
    }
    Some(object)
}
