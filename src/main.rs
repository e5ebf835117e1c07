//! The command `baichuan2`.

mod cli;

fn main() -> std::process::ExitCode {
    cli::run()
}
