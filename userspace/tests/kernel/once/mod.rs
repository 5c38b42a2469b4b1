//! What diag does for itself, whatever the kernel: guests run it on one kernel only (`cargo xtask test`), because a start
//! of diag takes an emulated processor many seconds, and four times the same answer proves no more.

mod budget;
mod capabilities;
mod devices;
mod docker;
mod docker_scene;
mod flood;
mod killed;
mod memory;
mod probed;
mod proving;
mod reading;
mod telling;
