//! What must survive, and how it is marked.

use super::*;

/// `name{children}` with `!` for a hole: trees compared as text.
fn draw(call: &Call) -> String {
    let children: Vec<_> = call.children.iter().map(draw).collect();
    let hole = if call.hole { "!" } else { "" };
    if children.is_empty() {
        format!("{}{hole}", call.name)
    } else {
        format!("{}{hole}{{{}}}", call.name, children.join(" "))
    }
}

fn drawn(text: &str) -> Vec<String> {
    parse(text).iter().map(|graph| draw(&graph.root)).collect()
}

/// A line as diag's own capture configures it.
fn line(us: u64, cpu: u32, tid: u32, code: &str) -> String {
    let duration = if code.contains('{') { "             " } else { "  0.250 us   " };
    format!("  100.{us:06} |  {cpu:2})   comm-{tid:<6}  | {duration} |  {code}\n")
}

#[test]
fn a_whole_graph() {
    let text = line(1, 0, 7, "a() {") + &line(2, 0, 7, "  b();") + &line(9, 0, 7, "} /* a */");
    let graphs = parse(&text);
    assert_eq!(drawn(&text), ["a{b}"]);
    assert_eq!((graphs[0].tid, graphs[0].comm.as_str(), graphs[0].cpu), (7, "comm", 0));
    assert_eq!((graphs[0].start_ns, graphs[0].end_ns), (100_000_001_000, Some(100_000_009_000)));
    assert_eq!(graphs[0].root.duration_ns, Some(250));
}

#[test]
fn threads_interleave_and_migrate() {
    let text = line(1, 0, 7, "a() {")
        + &line(2, 0, 8, "x() {")
        + &line(3, 1, 7, "  b();")
        + &line(4, 0, 8, "  y();")
        + &line(5, 1, 7, "}")
        + &line(6, 0, 8, "}");
    assert_eq!(drawn(&text), ["a{b}", "x{y}"]);
}

#[test]
fn switches_name_the_thread_where_no_column_does() {
    let text = "\
 0)               |  a() {
 ------------------------------------------
 0)   bash-12    =>   sleep-13
 ------------------------------------------

 0)               |  x() {
 0)   1.000 us    |    y();
 0)   2.000 us    |  }
 ------------------------------------------
 0)  sleep-13    =>   bash-12
 ------------------------------------------

 0)   1.000 us    |    b();
 0)   9.000 us    |  }
";
    let graphs = parse(text);
    assert_eq!(drawn(text), ["x{y}", "a{b}"]);
    assert_eq!((graphs[0].tid, graphs[0].comm.as_str()), (13, "sleep"));
    assert_eq!((graphs[1].tid, graphs[1].comm.as_str()), (12, "bash"));
}

#[test]
fn lost_events_mark_every_open_graph() {
    let text = line(1, 0, 7, "a() {")
        + &line(2, 0, 7, "  b() {")
        + "CPU:0 [LOST 5 EVENTS]\n"
        + &line(8, 0, 7, "  c();")
        + &line(9, 0, 7, "}")
        + &line(10, 0, 7, "d();");
    assert_eq!(drawn(&text), ["a{b! c}", "d"]);
    let graphs = parse(&text);
    assert_eq!((graphs[0].lost, graphs[1].lost), (5, 0));
}

#[test]
fn exits_without_entries() {
    let text = line(1, 0, 7, "    } /* deep */")
        + &line(2, 0, 7, "a() {")
        + &line(3, 0, 7, "    } /* c */")
        + &line(4, 0, 7, "  } /* b */")
        + &line(5, 0, 7, "} /* a */");
    assert_eq!(drawn(&text), ["a!{c! b!}"]);
}

#[test]
fn entries_without_exits() {
    // A killed thread never returns; its number may come back with another call.
    let text = line(1, 0, 7, "a() {") + &line(2, 0, 7, "  b() {") + &line(3, 0, 7, "c();");
    assert_eq!(drawn(&text), ["a!{b!}", "c"]);
    assert_eq!(parse(&text)[0].end_ns, None);
    let wrong_tail = line(1, 0, 7, "a() {") + &line(2, 0, 7, "  b() {") + &line(3, 0, 7, "  } /* c */");
    assert_eq!(drawn(&(wrong_tail + &line(4, 0, 7, "}"))), ["a!{b! c!}"]);
}

#[test]
fn nested_interrupts_are_set_apart() {
    let mark = |us| line(us, 0, 7, "").replace("0.250 us    |", "==========> |");
    let text = line(1, 0, 7, "a() {")
        + &mark(2)
        + &line(2, 0, 7, "  asm_sysvec() {")
        + &mark(3)
        + &line(3, 0, 7, "    asm_nmi();")
        + &line(4, 0, 7, "    tick();")
        + &line(5, 0, 7, "  }")
        + &line(6, 0, 7, "  b();")
        + &line(7, 0, 7, "}");
    assert_eq!(drawn(&text), ["a{<interrupt>{asm_sysvec{<interrupt>{asm_nmi} tick}} b}"]);
}

#[test]
fn the_root_may_lie_deep() {
    // Another user of the graph tracer counts into the same depth.
    let text = line(1, 0, 7, "      a() {") + &line(2, 0, 7, "          b();") + &line(3, 0, 7, "      }");
    assert_eq!(drawn(&text), ["a{b}"]);
}

#[test]
fn a_graph_is_bounded() {
    let mut parser = Parser::default();
    parser.feed(&line(1, 0, 7, "a() {"));
    for _ in 0..MAX_CALLS + 10 {
        parser.feed(&line(2, 0, 7, "  b();"));
    }
    parser.feed(&line(3, 0, 7, "}"));
    let graphs = parser.finish();
    assert!(graphs[0].root.hole);
    for depth in 0..2 * MAX_DEPTH {
        parser.feed(&line(1, 0, 7, &format!("{:1$}a() {{", "", 2 * depth)));
    }
    assert_eq!(parser.finish()[0].root.size(), MAX_DEPTH);
    for tid in 0..(MAX_THREADS as u32 + 3) {
        parser.feed(&line(4, 0, tid, "a() {"));
    }
    assert_eq!(parser.stats().evicted, 3);
}

#[test]
fn all_open_graphs_together_are_bounded() {
    let mut parser = Parser::default();
    let each = MAX_CALLS - 1;
    for tid in 1..=6 {
        parser.feed(&line(1, 0, tid, "a() {"));
        let leaf = line(2, 0, tid, "  b();");
        (1..each).for_each(|_| parser.feed(&leaf));
    }
    assert_eq!(parser.stats().evicted, 1);
    let first = parser.take();
    assert_eq!((first.len(), first[0].tid, first[0].root.hole), (1, 1, true));
    assert_eq!(parser.open, 5 * each);
    (2..=6).for_each(|tid| parser.feed(&line(3, 0, tid, "}")));
    assert_eq!((parser.open, parser.take().len()), (0, 5));
}

/// A small generator: no dependency, the same lines on every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % sides
    }
}

/// Lines dropped, doubled, cut and scrambled in any way: no panic, and every graph's size stays bounded
/// by the lines that were read.
#[test]
fn any_lines_survive() {
    const PIECES: [&str; 16] = [
        "a() {",
        "  b();",
        "  }",
        "}",
        "} /* a */",
        "    c() {",
        "CPU:1 [LOST 3 EVENTS]",
        "|",
        "==========>",
        " => ",
        "-7 | ",
        "  100.000001 |  ",
        " 0) ",
        "é() {",
        "/* = -28 */",
        "12345.678 us |",
    ];
    let mut dice = Dice(20);
    for _ in 0..20_000 {
        let mut text = String::new();
        for _ in 0..dice.roll(12) {
            if dice.roll(3) == 0 {
                for _ in 0..dice.roll(5) {
                    text.push_str(PIECES[dice.roll(PIECES.len())]);
                }
                text.push('\n');
            } else {
                let (cpu, tid) = (dice.roll(2) as u32, dice.roll(2) as u32);
                let mut whole = line(1, cpu, tid, PIECES[dice.roll(6)]);
                if dice.roll(8) == 0 {
                    whole.truncate(dice.roll(whole.len()));
                }
                text.push_str(&whole);
            }
        }
        let calls: usize = parse(&text).iter().map(|graph| graph.root.size()).sum();
        assert!(calls <= 2 * text.lines().count() + 1, "{text}");
    }
}
