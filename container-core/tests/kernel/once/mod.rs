//! What the engine does for itself, whatever the kernel: guests run it on one kernel only (`cargo xtask test`).

mod churn;
mod hostile;
mod images;
mod load;
