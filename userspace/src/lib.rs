//! diag explains container failures that the kernel causes.
//!
//! The modules are the stages of one pipeline, in order; see ARCHITECTURE.md for the picture and the
//! invariants. `model` is the data between them, `pipeline` alone knows their order.

pub mod model;

pub mod limits;

pub mod capture;

pub mod attribute;

pub mod correlate;

pub mod causes;

pub mod explain;

pub mod journal;

pub mod pipeline;

pub mod render;

pub mod repro;

pub mod doctor;

pub mod cli;
