//! Real graphs, recorded in guests (`tests/graphs/KERNEL/`), and made-up ones for what real ones lack.

use super::*;
use crate::capture::callgraph;

fn recorded(name: &str) -> Graph {
    let path = format!("{}/tests/graphs/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    let graphs = callgraph::parse(&std::fs::read_to_string(&path).unwrap());
    let wanted = if name.ends_with("-move") { "__x64_sys_move_mount" } else { "__x64_sys_" };
    graphs.into_iter().find(|graph| graph.root.name.starts_with(wanted)).unwrap()
}

/// `a(b c(d))` as a graph.
fn graph(text: &str) -> Graph {
    let mut stack = vec![Call::default()];
    let mut word = String::new();
    for letter in text.chars().chain([' ']) {
        match letter {
            '(' => stack.push(Call::leaf(std::mem::take(&mut word))),
            ' ' | ')' => {
                if !word.is_empty() {
                    let leaf = Call::leaf(std::mem::take(&mut word));
                    stack.last_mut().unwrap().children.push(leaf);
                }
                if letter == ')' {
                    let done = stack.pop().unwrap();
                    stack.last_mut().unwrap().children.push(done);
                }
            }
            letter => word.push(letter),
        }
    }
    let root = stack.pop().unwrap().children.remove(0);
    Graph { tid: 1, comm: "test".into(), cpu: 0, start_ns: 1, end_ns: Some(2), root, lost: 0 }
}

/// Without types, as on a kernel that has none.
fn difference(failed: &Graph, succeeded: &[Graph]) -> Difference {
    by_difference(failed, succeeded, &BTreeMap::new())
}

fn answer(failed: &str, succeeded: &[&str]) -> Difference {
    let succeeded: Vec<_> = succeeded.iter().map(|text| graph(text)).collect();
    difference(&graph(failed), &succeeded)
}

fn decider(failed: &str, succeeded: &[&str]) -> Option<String> {
    answer(failed, succeeded).decider
}

fn recorded_decider(failed: &str, succeeded: &[&str]) -> Option<String> {
    let succeeded: Vec<_> = succeeded.iter().map(|name| recorded(name)).collect();
    difference(&recorded(failed), &succeeded).decider
}

#[test]
fn mount_max_through_every_way_in() {
    let all = ["6.12/ok-tmpfs", "6.12/ok-bind", "6.12/ok-overlay", "6.12/ok-move", "6.12/ok-umount"];
    let succeeded = all.map(recorded);
    for (failed, sibling, path) in [
        (
            "max-tmpfs",
            0,
            "__x64_sys_mount path_mount do_add_mount graft_tree attach_recursive_mnt count_mounts",
        ),
        ("max-bind", 1, "__x64_sys_mount path_mount graft_tree attach_recursive_mnt count_mounts"),
        (
            "max-overlay",
            2,
            "__x64_sys_mount path_mount do_add_mount graft_tree attach_recursive_mnt count_mounts",
        ),
        ("max-move", 3, "__x64_sys_move_mount do_move_mount attach_recursive_mnt count_mounts"),
    ] {
        let found = difference(&recorded(&format!("6.12/{failed}")), &succeeded);
        assert_eq!(found.path.join(" "), path, "{found:?}");
        assert_eq!(found.sibling, Some(sibling));
        assert_eq!(found.sureness, Some(Sureness::High));
    }
    // Here the compiler has inlined most of what follows count_mounts, and renamed attach_recursive_mnt.
    let found = difference(&recorded("7.2/max-tmpfs"), &[recorded("7.2/ok-tmpfs")]);
    assert_eq!(found.decider.as_deref(), Some("count_mounts"));
    assert!(found.path.contains(&"attach_recursive_mnt".to_owned()), "{found:?}");
}

#[test]
fn a_success_of_another_file_system_will_do() {
    assert_eq!(recorded_decider("6.12/max-overlay", &["6.12/ok-tmpfs"]).as_deref(), Some("count_mounts"));
    assert_eq!(recorded_decider("6.12/max-tmpfs", &["6.12/ok-overlay"]).as_deref(), Some("count_mounts"));
}

#[test]
fn other_refusals() {
    // A file on a directory: graft_tree itself looks, before it calls anything.
    let found = recorded_decider("6.12/bad-bind-file-on-dir", &["6.12/ok-tmpfs", "6.12/ok-bind"]);
    assert_eq!(found.as_deref(), Some("graft_tree"));
    let found = recorded_decider("6.12/bad-umount-busy", &["6.12/ok-umount"]);
    assert_eq!(found.as_deref(), Some("propagate_mount_busy"));
}

#[test]
fn no_answer_rather_than_a_wrong_one() {
    // A new mount against a bind mount: another way through path_mount.
    let found = difference(&recorded("6.12/max-bind"), &[recorded("6.12/ok-tmpfs")]);
    assert_eq!(found.decider, None, "{found:?}");
    assert!(found.notes[0].contains("not comparable"), "{found:?}");
    // One option more than any success had.
    assert_eq!(recorded_decider("6.12/bad-ovl-option", &["6.12/ok-overlay"]), None);
    // Another system call.
    let found = difference(&recorded("6.12/max-move"), &[recorded("6.12/ok-tmpfs")]);
    assert!(found.notes[0].contains("no comparable success"), "{found:?}");
    assert_eq!(difference(&recorded("6.12/max-move"), &[]).sibling, None);
    // The same tree: whatever decided is inlined or not armed.
    assert_eq!(recorded_decider("6.12/max-tmpfs", &["6.12/max-tmpfs"]), None);
    assert_eq!(recorded_decider("6.12/ok-overlay", &["6.12/ok-overlay"]), None);
}

#[test]
fn the_last_common_call_before_the_unwinding() {
    assert_eq!(decider("s(a b)", &["s(a b c)"]).as_deref(), Some("b"));
    // Unlocking comes between the refusal and the return.
    assert_eq!(
        decider("s(x_lock b x_unlock)", &["s(x_lock b x_unlock x_lock c x_unlock)"]).as_deref(),
        Some("b")
    );
    // Refused on the third round.
    assert_eq!(decider("s(f(a) f(a) f(a) undo_all)", &["s(f(a) f(a) f(a) f(a) g)"]).as_deref(), Some("a"));
    // Nothing called yet: the check is inside.
    assert_eq!(decider("s(a f)", &["s(a f(g) h)"]).as_deref(), Some("f"));
    // The success does nothing more, but only the failure cleans up.
    let found = answer("s(a f(b) a_free)", &["s(a f(b))"]);
    assert_eq!((found.decider.as_deref(), found.sureness), (Some("b"), Some(Sureness::Low)));
}

/// Types in short: `i` can carry an errno, `b` says yes or no, `v` nothing.
fn typed(failed: &str, succeeded: &str, short: &str) -> Option<String> {
    use crate::model::Gives;
    let one = |word: &str| {
        let (name, kind) = word.split_once(':').unwrap();
        let gives = match kind {
            "i" => Gives::Int,
            "b" => Gives::Bool,
            _ => Gives::Nothing,
        };
        (name.to_owned(), Prototype { gives, pointee: None, takes: Vec::new() })
    };
    let types = short.split(' ').map(one).collect();
    by_difference(&graph(failed), &[graph(succeeded)], &types).decider
}

#[test]
fn who_says_only_yes_or_no_does_not_decide() {
    // sethostname(2): the kernel asks, and says EPERM itself.
    let (failed, succeeded) = ("s(f(capable(cap)))", "s(f(capable(cap) copy))");
    assert_eq!(typed(failed, succeeded, "f:i capable:b cap:i").as_deref(), Some("f"));
    // What it asked is passed by on the way down as well.
    let (failed, succeeded) = ("s(check(hook(ask)))", "s(check(hook(ask)) work)");
    assert_eq!(typed(failed, succeeded, "check:i hook:i ask:b").as_deref(), Some("hook"));
    assert_eq!(typed(failed, succeeded, "check:i hook:i ask:i").as_deref(), Some("ask"));
    // The success was not even asked.
    let (failed, succeeded) = ("s(f(look capable(cap)))", "s(f(look set))");
    assert_eq!(typed(failed, succeeded, "f:i look:i capable:b cap:i").as_deref(), Some("f"));
    // Whatever differs below the question.
    assert_eq!(
        typed("s(f(capable(cap(look))))", "s(f(capable(cap(look audit)) set))", "f:i capable:b cap:i look:i")
            .as_deref(),
        Some("f")
    );
    assert_eq!(
        typed(
            "s(f(capable(cap(look)) f_put))",
            "s(f(capable(cap(look audit)) f_put))",
            "f:i capable:b cap:i"
        )
        .as_deref(),
        Some("f")
    );
    // Nor does who says no by NULL, whatever its type could carry.
    assert_eq!(
        typed("s(copy_ns(inc_ucount))", "s(copy_ns(inc_ucount) x)", "copy_ns:i").as_deref(),
        Some("copy_ns")
    );
    // And what says nothing at all is no reason to stop.
    let (failed, succeeded) = ("s(check trace)", "s(check trace work)");
    assert_eq!(typed(failed, succeeded, "check:i trace:v").as_deref(), Some("check"));
}

#[test]
fn what_walks_a_path_says_only_what_walks_can_say() {
    use crate::model::Errno;
    let walk =
        ["__x64_sys_connect", "unix_find_other", "link_path_walk", "inode_permission"].map(str::to_owned);
    assert!(can_come(&walk, Errno::EACCES) && !can_come(&walk, Errno::EAGAIN));
    assert!(can_come(&walk[..2], Errno::EAGAIN));
}

#[test]
fn what_is_undone_had_been_done() {
    let (failed, succeeded) =
        ("s(f(inc_rlimit_get_ucounts dec_rlimit_put_ucounts))", "s(f(inc_rlimit_get_ucounts))");
    assert_eq!(decider(failed, &[succeeded]).as_deref(), Some("f"));
    // Of something else it says only that the last one may have failed.
    let found = answer("s(f(inc_count charge dec_count))", &["s(f(inc_count charge))"]);
    assert_eq!((found.decider.as_deref(), found.sureness), (Some("charge"), Some(Sureness::Low)));
}

#[test]
fn a_chain_of_calls_is_less_sure_and_one_of_several_least() {
    assert_eq!(answer("s(a)", &["s(a b)"]).sureness, Some(Sureness::High));
    let found = answer("s(a(x(y)))", &["s(a(x(y)) b)"]);
    assert_eq!((found.decider.as_deref(), found.sureness), (Some("y"), Some(Sureness::Medium)));
    let found = answer("s(a(w x(y)))", &["s(a(w x(y)) b)"]);
    assert_eq!((found.decider.as_deref(), found.sureness), (Some("y"), Some(Sureness::Low)));
}

#[test]
fn differences_before_the_decision_are_passed_by() {
    let found = decider(
        "s(get(ext_get) add(lock count) get_put)",
        &["s(get(tmp_get) add(lock count commit) get_put)"],
    );
    assert_eq!(found.as_deref(), Some("count"));
    // A slow path on the way, which only one of them took.
    assert_eq!(decider("s(a(slow) b c)", &["s(a b c d)"]).as_deref(), Some("c"));
    assert_eq!(decider("s(a b c)", &["s(a slow_init b c d)"]).as_deref(), Some("c"));
}

#[test]
fn noise_is_known_or_learned() {
    assert_eq!(decider("s(a <interrupt>(tick) b schedule)", &["s(a b c)"]).as_deref(), Some("b"));
    let common = "a1 a2 a3 a4 a5 a6 a7 a8 a9 a10 a11 a12 a13 a14 a15 a16 a17 a18 a19";
    let failed = format!("s({common} b sometimes)");
    let with = format!("s({common} b c sometimes)");
    let without = format!("s({common} b c)");
    let found = answer(&failed, &[&with, &without]);
    assert_eq!(found.decider.as_deref(), Some("b"));
    assert_eq!(found.notes, ["left out, because successes differ in them: sometimes"]);
}

#[test]
fn lost_events_forbid_an_answer_where_they_are_missing() {
    let mut failed = graph("s(a f(b))");
    failed.lost = 3;
    failed.root.children[1].hole = true;
    let found = difference(&failed, &[graph("s(a f(b c) d)")]);
    assert_eq!(found.decider, None);
    assert!(found.notes[0].contains("lost inside f"), "{found:?}");
}

#[test]
fn paths() {
    let failed = graph("s(f(g.isra.0(h)) f(g.isra.0(i) x_unlock))");
    assert_eq!(path_to(&failed, "g"), ["s", "f", "g"]);
    assert_eq!(path_to(&failed, "h"), ["s", "f", "g", "h"]);
    assert!(path_to(&failed, "absent").is_empty());
    assert_eq!(deepest_path(&failed), ["s", "f", "g", "i"]);
}

/// Any two trees: no panic, and a decider is always a call of the failed tree.
#[test]
fn any_trees_survive() {
    let mut seed = 7u64;
    let mut roll = |sides: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % sides
    };
    let mut tree = || {
        let mut stack = vec![Call::leaf("s")];
        for _ in 0..roll(30) {
            match roll(3) {
                0 if stack.len() > 1 => {
                    let done = stack.pop().unwrap();
                    stack.last_mut().unwrap().children.push(done);
                }
                _ => {
                    let name = ["a", "b", "c", "a_put", "x_free", "schedule"][roll(6) as usize];
                    stack.push(Call { hole: roll(20) == 0, ..Call::leaf(name) });
                }
            }
        }
        while stack.len() > 1 {
            let done = stack.pop().unwrap();
            stack.last_mut().unwrap().children.push(done);
        }
        Graph { root: stack.remove(0), ..graph("s(a)") }
    };
    for _ in 0..20_000 {
        let (failed, succeeded) = (tree(), [tree(), tree()]);
        let found = difference(&failed, &succeeded);
        if let Some(name) = &found.decider {
            assert!(!path_to(&failed, name).is_empty(), "{found:?}");
            assert_eq!(found.path.last(), Some(name));
        }
    }
}
