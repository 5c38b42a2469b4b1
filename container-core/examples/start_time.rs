//! Time of `run --rm IMAGE true`, median of N: `start_time STORE ROOTFS [N]`.
#![allow(clippy::print_stdout, reason = "its answer")]

use std::time::Instant;

use container_core::{Attach, Engine, Spec};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().collect();
    let [_, store, rootfs, rest @ ..] = args.as_slice() else {
        return Err("start_time STORE ROOTFS [N]".into());
    };
    let count = rest.first().map_or(Ok(20), |n| n.parse())?;
    let engine = Engine::open(store)?;
    engine.import("busybox", rootfs.as_ref())?;
    let spec = Spec { auto_remove: true, ..Spec::new("busybox", ["/bin/busybox", "true"]) };
    let mut times_ms = Vec::new();
    for _ in 0..count {
        let begin = Instant::now();
        engine.run(&spec, &Attach::nothing())?;
        times_ms.push(begin.elapsed().as_secs_f64() * 1e3);
    }
    times_ms.sort_by(f64::total_cmp);
    println!(
        "{count} starts: median {:.2} ms, fastest {:.2}, slowest {:.2}",
        times_ms[times_ms.len() / 2],
        times_ms[0],
        times_ms[times_ms.len() - 1]
    );
    Ok(())
}
