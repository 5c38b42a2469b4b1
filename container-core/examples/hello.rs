//! The engine in twenty lines; also the example of the crate's documentation.

use std::path::Path;

use container_core::{Attach, Engine, Limits, Spec};

/// Make an image of a folder, run something in it, and return what it said.
pub fn hello(store: &Path, rootfs: &Path) -> Result<Vec<String>, container_core::Error> {
    let engine = Engine::open(store)?;
    engine.import("busybox", rootfs)?;
    let spec = Spec {
        name: Some("hello".into()),
        limits: Limits { pids: Some(50), memory_bytes: Some(64 << 20), ..Limits::default() },
        ..Spec::new("busybox", ["/bin/echo", "hello"])
    };
    let finished = engine.run(&spec, &Attach::nothing())?;
    let mut said: Vec<String> = engine.logs("hello")?.read_new()?.into_iter().map(|line| line.text).collect();
    said.push(format!("{} ended with {}", finished.name, finished.exit.shell_code()));
    engine.remove("hello", false)?;
    Ok(said)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args_os().skip(1);
    let (Some(store), Some(rootfs)) = (args.next(), args.next()) else {
        return Err("hello STORE ROOTFS".into());
    };
    std::io::Write::write_all(
        &mut std::io::stdout(),
        hello(store.as_ref(), rootfs.as_ref())?.join("\n").as_bytes(),
    )?;
    Ok(())
}
