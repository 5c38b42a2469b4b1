//! Parse, dispatch, exit code: 0 nothing found, 1 found something, 2 diag itself failed.

use std::process::ExitCode;

fn main() -> ExitCode {
    diag::cli::main()
}
