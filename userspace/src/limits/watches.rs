//! Limits on inotify and fanotify: per user, in its user namespace and in every one around it.

use super::{Ceiling::Sysctl, Limit, Usage, owners, row::limits};
use crate::model::KnobKind;

limits! {
    INOTIFY_INSTANCES: Sysctl Sysctl("fs/inotify/max_user_instances"), "fs.inotify.max_user_instances",
        "inotify instances of a user", "instances", "user, in its user namespace and all around it",
        Usage::Read(owners::inotify_instances), 128, "2.6.13", "inotify(7); fs/notify/inotify/inotify_user.c, inotify_new_group()";
    INOTIFY_WATCHES: Sysctl Sysctl("fs/inotify/max_user_watches"), "fs.inotify.max_user_watches",
        "files and folders that a user watches by inotify", "watches", "user, in its user namespace and all around it",
        Usage::Read(owners::inotify_watches), 8192, "2.6.13", "inotify(7); fs/notify/inotify/inotify_user.c, inotify_new_watch()";
    FANOTIFY_GROUPS: Sysctl Sysctl("fs/fanotify/max_user_groups"), "fs.fanotify.max_user_groups",
        "fanotify groups of a user", "groups", "user, in its user namespace and all around it",
        Usage::Read(owners::fanotify_groups), 128, "5.13", "fanotify_init(2), EMFILE; fs/notify/fanotify/fanotify_user.c, fanotify_init()";
    FANOTIFY_MARKS: Sysctl Sysctl("fs/fanotify/max_user_marks"), "fs.fanotify.max_user_marks",
        "fanotify marks of a user", "marks", "user, in its user namespace and all around it",
        Usage::Read(owners::fanotify_marks), 8192, "5.13", "fanotify_mark(2), ENOSPC; fs/notify/fanotify/fanotify_user.c, fanotify_add_new_mark()";
}
