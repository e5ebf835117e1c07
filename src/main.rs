//! The command `baichuan2`.

use std::process::ExitCode;

fn main() -> ExitCode {
    baichuan2::cli::run()
}
