//! The `sidenote` command. Everything is in the library's `cli` module.

use std::process::ExitCode;

fn main() -> ExitCode {
    sidenote::cli::main()
}
