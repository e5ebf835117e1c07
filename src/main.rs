//! The command `baichuan2`.

fn main() -> std::process::ExitCode {
    baichuan2::cli::run()
}
