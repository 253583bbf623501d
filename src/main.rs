//! The command line of Viaduct; everything else is the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    viaduct::cli::run(std::env::args_os())
}
