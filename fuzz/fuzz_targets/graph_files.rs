//! Any bytes as a recording: text or trace.dat, by their beginning. Start it on real ones:
//! `cargo +nightly fuzz run graph_files fuzz/corpus/graph_files userspace/tests/graphs/dat`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use std::cell::RefCell;
use std::io::{Seek, Write};

thread_local! {
    static FILE: RefCell<tempfile::NamedTempFile> =
        RefCell::new(tempfile::NamedTempFile::new().expect("a temporary file"));
}

fuzz_target!(|bytes: &[u8]| {
    FILE.with_borrow_mut(|file| {
        file.as_file().set_len(0).expect("emptied");
        file.rewind().expect("rewound");
        file.write_all(bytes).expect("written");
        let mut calls = 0;
        let _ = diag::capture::saved::read(file.path(), &mut |graph| calls += graph.root.size());
        // Each byte is at most one entry or exit; an interrupt adds a frame.
        assert!(calls <= 2 * bytes.len() + 2);
    });
});
