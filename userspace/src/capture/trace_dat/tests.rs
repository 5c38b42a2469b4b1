//! Files, whole and damaged; recorded ones are of guests (`tests/graphs/dat`).

use super::made::{Kind, enter, exit, file};
use super::*;
use crate::capture::callgraph::{self, INTERRUPT};
use crate::capture::ring_buffer::made::Page;
use crate::model::Call;
use proptest::prelude::*;
use std::io::Read;

const WORDS: Words = Words { big_endian: false, long: 8 };
const KALLSYMS: &str = "0000000000001000 T a\n0000000000002000 T b\n0000000000003000 T c\n";
const KINDS: [Kind; 3] = [Kind::Six, Kind::Seven, Kind::Packed];
const A: u64 = 0x1000;
const B: u64 = 0x2000;

fn graphs_of(bytes: &[u8]) -> Result<(Vec<Graph>, Summary), TraceDatError> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    let mut graphs = Vec::new();
    let summary = read(file.path(), &mut |graph| graphs.push(graph))?;
    Ok((graphs, summary))
}

fn draw(call: &Call) -> String {
    let children: Vec<_> = call.children.iter().map(draw).collect();
    let hole = if call.hole { "!" } else { "" };
    if children.is_empty() {
        return format!("{}{hole}", call.name);
    }
    format!("{}{hole}{{{}}}", call.name, children.join(" "))
}

fn drawn(graphs: &[Graph]) -> Vec<String> {
    graphs.iter().map(|graph| draw(&graph.root)).collect()
}

/// A thread that begins on one processor and ends on the other, beside another thread; all in time.
fn two_cpus() -> Vec<Vec<u8>> {
    let first = Page::new(WORDS, 1000)
        .event(0, &enter(7, A, 0, 0))
        .event(10, &enter(8, A, 0, 0))
        .event(100, &exit(8, A, 0, 110, 0))
        .bytes();
    let second = Page::new(WORDS, 1050)
        .event(0, &enter(7, B, 1, 0))
        .event(5, &exit(7, B, 1, 5, 0xffff_ffe4))
        .event(100, &exit(7, A, 0, 155, 0))
        .bytes();
    vec![first, second]
}

#[test]
fn every_version_and_packing_gives_the_same() {
    for kind in KINDS {
        let (graphs, summary) = graphs_of(&file(kind, KALLSYMS, &two_cpus())).unwrap();
        assert_eq!(drawn(&graphs), ["a", "a{b}"], "{kind:?}");
        assert_eq!(summary, Summary { events: 6, ..Summary::default() });
        let graph = &graphs[1];
        assert_eq!((graph.tid, graph.comm.as_str(), graph.cpu), (7, "mount", 0));
        assert_eq!((graph.start_ns, graph.end_ns), (1000, Some(1155)));
        let b = &graph.root.children[0];
        assert_eq!((b.start_ns, b.duration_ns, b.ret), (Some(1050), Some(5), Some(0xffff_ffe4)));
        assert_eq!(graphs[0].comm, "");
    }
}

#[test]
fn loss_marks_what_was_open() {
    let pages = [
        Page::new(WORDS, 1).event(0, &enter(7, A, 0, 0)).bytes(),
        Page::new(WORDS, 9)
            .lost(Some(5))
            .event(0, &exit(7, B, 1, 5, 0))
            .event(1, &exit(7, A, 0, 9, 0))
            .bytes(),
    ];
    for kind in KINDS {
        let (graphs, summary) = graphs_of(&file(kind, KALLSYMS, &[pages.concat()])).unwrap();
        assert_eq!(drawn(&graphs), ["a!{b!}"]);
        assert_eq!((graphs[0].lost, summary.lost), (5, 5));
    }
}

#[test]
fn what_interrupts_is_set_apart_also_twice() {
    let page = Page::new(WORDS, 1)
        .event(0, &enter(7, A, 0, 0))
        .event(1, &enter(7, B, 1, 0x10))
        .event(1, &enter(7, A, 2, 0x18))
        .event(1, &exit(7, A, 2, 1, 0))
        .event(1, &exit(7, B, 1, 5, 0))
        .event(1, &enter(7, B, 1, 0))
        .event(1, &exit(7, B, 1, 5, 0))
        .event(1, &exit(7, A, 0, 9, 0))
        .bytes();
    let (graphs, _) = graphs_of(&file(Kind::Seven, KALLSYMS, &[page])).unwrap();
    assert_eq!(drawn(&graphs), ["a{<interrupt>{b{<interrupt>{a}}} b}"]);
}

#[test]
fn idle_threads_of_two_processors_are_two() {
    let page =
        |time| Page::new(WORDS, time).event(0, &enter(0, A, 0, 0)).event(10, &exit(0, A, 0, 10, 0)).bytes();
    let (graphs, _) = graphs_of(&file(Kind::Six, KALLSYMS, &[page(1), page(5)])).unwrap();
    assert_eq!(drawn(&graphs), ["a", "a"]);
    assert_eq!((graphs[0].cpu, graphs[1].cpu), (0, 1));
}

#[test]
fn a_cut_file_gives_what_it_has() {
    let whole = file(Kind::Six, KALLSYMS, &two_cpus());
    let (graphs, summary) = graphs_of(&whole[..whole.len() - 4096]).unwrap();
    assert_eq!(drawn(&graphs), ["a", "a!"]);
    assert!(summary.broken.unwrap().contains("ends before its time"));
    let header = &whole[..200];
    assert!(matches!(graphs_of(header), Err(TraceDatError::Cut { .. })));
}

#[test]
fn what_cannot_be_read_is_named() {
    let said = |bytes: &[u8]| graphs_of(bytes).unwrap_err().to_string();
    let mut other = file(Kind::Six, KALLSYMS, &[]);
    other[10] = b'8';
    assert!(said(&other).contains("file version 8"), "{}", said(&other));
    let packed = String::from_utf8_lossy(&file(Kind::Packed, KALLSYMS, &[])).replace("zlib", "lzma");
    assert!(said(packed.as_bytes()).contains("lzma"));
    assert!(said(b"text").contains("ends within the beginning"));
    let nameless = file(Kind::Six, "0000000000000000 T a\n", &two_cpus());
    let (graphs, summary) = graphs_of(&nameless).unwrap();
    assert!(summary.nameless);
    assert_eq!(drawn(&graphs)[0], "0x1000");
}

fn recorded(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/graphs/dat/{name}", env!("CARGO_MANIFEST_DIR"));
    let bytes = std::fs::read(path).unwrap();
    if !name.ends_with(".gz") {
        return bytes;
    }
    let mut whole = Vec::new();
    flate2::read::GzDecoder::new(&bytes[..]).read_to_end(&mut whole).unwrap();
    whole
}

/// Without the frames for interrupts, which the two sources know by different signs.
fn flat(call: &Call, out: &mut Vec<(usize, String, Option<u64>)>, depth: usize) {
    let inside = call.name == INTERRUPT;
    if !inside {
        out.push((depth, call.name.clone(), call.duration_ns));
    }
    call.children.iter().for_each(|child| flat(child, out, depth + usize::from(!inside)));
}

/// Times agree as far as text tells them: microseconds, and three places of a duration below a millisecond.
fn same(binary: &[Graph], text: &[Graph]) {
    assert_eq!(binary.len(), text.len());
    for (binary, text) in binary.iter().zip(text) {
        assert_eq!((binary.tid, binary.cpu), (text.tid, text.cpu));
        assert!(binary.start_ns.abs_diff(text.start_ns) < 1000);
        let (mut left, mut right) = (Vec::new(), Vec::new());
        flat(&binary.root, &mut left, 0);
        flat(&text.root, &mut right, 0);
        for (left, right) in left.iter().zip(&right) {
            assert_eq!((left.0, &left.1), (right.0, &right.1));
            let (left, right) = (left.2.unwrap(), right.2.unwrap());
            assert!(left.abs_diff(right) <= 10.max(left / 1000), "{left} and {right}");
        }
        assert_eq!(left.len(), right.len());
    }
}

/// The kernel's own text of the very buffer that trace-cmd took.
#[test]
fn recorded_pages_say_what_the_kernels_text_says() {
    for kernel in KERNELS {
        let (graphs, summary) = graphs_of(&recorded(&format!("{kernel}.v7.dat"))).unwrap();
        let text = recorded(&format!("{kernel}.v7.txt.gz"));
        let text = callgraph::parse(&String::from_utf8(text).unwrap());
        same(&graphs, &text);
        assert!(graphs.iter().all(|graph| graph.comm == "mount" && !graph.root.hole), "{kernel}");
        assert_eq!((summary.lost, summary.broken, summary.nameless), (0, None, false));
    }
}

/// trace-cmd's own reading of a version 6 file.
#[test]
fn recorded_pages_say_what_trace_cmd_says() {
    let (graphs, summary) = graphs_of(&recorded("6.12.v6.dat.gz")).unwrap();
    let text = callgraph::parse(&String::from_utf8(recorded("6.12.v6.report.gz")).unwrap());
    assert!(graphs.len() >= 4, "{}", graphs.len());
    same(&graphs, &text);
    assert_eq!((summary.lost, summary.broken), (0, None));
}

/// Real files with bytes changed and ends cut off: nothing panics. The same changes on every run.
#[test]
fn damaged_recordings_survive() {
    let whole = recorded("6.12.v7.dat");
    let mut dice = 20u64;
    let mut roll = |sides: usize| {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (dice >> 33) as usize % sides
    };
    for _ in 0..200 {
        let mut bytes = whole.clone();
        for _ in 0..1 + roll(6) {
            let at = roll(bytes.len());
            bytes[at] = roll(256) as u8;
        }
        if roll(4) == 0 {
            bytes.truncate(roll(whole.len()));
        }
        let _ = graphs_of(&bytes);
    }
}

const KERNELS: [&str; 2] = ["6.1", "6.12"];

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// Bytes changed and files cut anywhere: no panic, and no more calls than there is room for in the file.
    #[test]
    fn damaged_files_survive(
        kind in 0usize..3,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..24),
        keep in any::<prop::sample::Index>(),
        cut in any::<bool>(),
    ) {
        let mut bytes = file(KINDS[kind], KALLSYMS, &two_cpus());
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        if cut {
            bytes.truncate(keep.index(bytes.len()));
        }
        if let Ok((graphs, summary)) = graphs_of(&bytes) {
            let calls: usize = graphs.iter().map(|graph| graph.root.size()).sum();
            prop_assert!(calls as u64 <= 2 * summary.events + 1);
            prop_assert!(summary.events <= bytes.len() as u64);
        }
    }

    /// Events in any order, of any thread and depth, with pages missing: no panic, every call kept once.
    #[test]
    fn events_in_any_order_survive(
        events in prop::collection::vec((0u32..3, 0u64..4, -1i32..5, any::<bool>(), 0u8..=0x7f, 0u64..1 << 30), 0..60),
        lost in any::<bool>(),
    ) {
        let mut pages = [Page::new(WORDS, 5), Page::new(WORDS, 7)];
        for (tid, function, depth, is_entry, flags, delta) in &events {
            let event = match is_entry {
                true => enter(*tid, function << 12, *depth, *flags),
                false => exit(*tid, function << 12, *depth, *delta, 0),
            };
            let [page, _] = &mut pages;
            let full = std::mem::replace(page, Page::new(WORDS, 0));
            *page = if *delta > 1 << 27 { full.extend(*delta).event(0, &event) } else { full.event(*delta, &event) };
            pages.swap(0, 1);
        }
        let [first, second] = pages;
        let second = if lost { second.lost(None) } else { second };
        let bytes = file(Kind::Seven, KALLSYMS, &[first.bytes(), second.bytes()]);
        let (graphs, summary) = graphs_of(&bytes).unwrap();
        let calls: usize = graphs.iter().map(|graph| graph.root.size()).sum();
        // Each entry is a call, each exit without one at most another, each interrupt a frame around one.
        prop_assert!(calls <= 2 * events.len());
        prop_assert_eq!(summary.broken, None);
    }
}
