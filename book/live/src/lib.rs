//! The course's live pictures: the visualizer's own views, compiled for the browser, in pages that are opened from disk.
//!
//! [`build`] writes two files beside the pages: `live.js`, the loader that a page names, and `live-module.js`, which the loader fetches once, when the first
//! picture comes near. A page that is opened from disk may load no module and fetch no file, only run scripts: so the compiled program lies inside one, as base64.

use anyhow::{Context, Result, bail};
use base64::{Engine, prelude::BASE64_STANDARD};
use std::{
    env,
    fmt::Write,
    fs,
    path::{Path, PathBuf},
    process::Command,
};
use wasm_bindgen_cli_support::Bindgen;

const TARGET: &str = "wasm32-unknown-unknown";

/// The loader.
pub const LOADER: &str = include_str!("../live.js");

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Built {
    /// `live.js`.
    pub loader: PathBuf,
    /// `live-module.js`.
    pub module: PathBuf,
    /// Bytes of the compiled program, before base64.
    pub wasm_bytes: usize,
}

/// Builds the module and writes `live.js` and `live-module.js` into the folder `out`, which is made where it is not there.
///
/// # Errors
/// A compiler without the target and no way to get one, a program that does not compile, a folder that cannot be written: each with what to do about it.
pub fn build(out: &Path) -> Result<Built> {
    let workspace = workspace()?;
    let compiled = compile(&workspace)?;
    let (glue, wasm) = bindings(&compiled)?;
    let write = |name: &str, text: &str| -> Result<PathBuf> {
        let path = out.join(name);
        fs::write(&path, text).with_context(|| format!("{} cannot be written", path.display()))?;
        Ok(path)
    };
    fs::create_dir_all(out).with_context(|| format!("{} cannot be made", out.display()))?;
    Ok(Built {
        module: write("live-module.js", &module(&glue, &wasm))?,
        loader: write("live.js", LOADER)?,
        wasm_bytes: wasm.len(),
    })
}

/// The repository that this was built from.
fn workspace() -> Result<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let workspace = here.ancestors().nth(2).unwrap_or(here);
    if !workspace.join("viz/Cargo.toml").is_file() {
        bail!(
            "{} is not the repository any more; build baichuan2-live anew where it is now",
            workspace.display()
        );
    }
    Ok(workspace.to_owned())
}

/// Compiles the visualizer for the browser; returns the file.
fn compile(workspace: &Path) -> Result<PathBuf> {
    const PROFILE: &str = "live";
    let target_dir = workspace.join("target/live");
    // A script, for it knows what to do where rustup has no such target.
    let script = workspace.join("book/live/wasm");
    let mut cargo = match target_is_installed() {
        true => Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into())),
        false => {
            let mut bash = Command::new("bash");
            bash.arg(&script);
            bash
        }
    };
    cargo.current_dir(workspace);
    cargo.args([
        "rustc",
        "-p",
        "baichuan2-viz",
        "--lib",
        "--crate-type",
        "cdylib",
    ]);
    cargo.args(["--no-default-features", "--profile", PROFILE]);
    cargo.arg("--target-dir").arg(&target_dir);
    if target_is_installed() {
        cargo.args(["--target", TARGET]);
    }
    // What is set for this program's own build is not for the other.
    cargo.env_remove("CARGO_TARGET_DIR").env_remove("RUSTFLAGS");
    let status = cargo.status().with_context(|| {
        format!("the browser's target is not installed; run: rustup target add {TARGET}")
    })?;
    if !status.success() {
        bail!(
            "the visualizer was not compiled for the browser (see above); where the target is missing, run: rustup target add {TARGET}"
        );
    }
    Ok(target_dir
        .join(TARGET)
        .join(PROFILE)
        .join("baichuan2_viz.wasm"))
}

/// Whether the compiler has the browser's standard library.
fn target_is_installed() -> bool {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let Ok(output) = Command::new(rustc).args(["--print", "sysroot"]).output() else {
        return false;
    };
    let sysroot = String::from_utf8_lossy(&output.stdout);
    let library = Path::new(sysroot.trim()).join("lib/rustlib").join(TARGET);
    library.join("lib").is_dir()
}

/// The script that speaks for the program, and the program that it speaks for.
fn bindings(compiled: &Path) -> Result<(String, Vec<u8>)> {
    let mut bindgen = Bindgen::new();
    bindgen
        .input_path(compiled)
        .typescript(false)
        .remove_name_section(true)
        .remove_producers_section(true)
        .no_modules(true)
        .context("wasm-bindgen has no scripts without modules")?
        .no_modules_global("baichuan2Module")
        .context("wasm-bindgen has no scripts without modules")?;
    let mut output = bindgen.generate_output().with_context(|| {
        format!(
            "no bindings can be made for {}; the version of wasm-bindgen-cli-support in book/live/Cargo.toml has to be that of wasm-bindgen in Cargo.lock",
            compiled.display()
        )
    })?;
    let glue = output.js().to_owned();
    let wasm = output.wasm_mut().emit_wasm();
    Ok((glue, wasm))
}

/// One script with both.
fn module(glue: &str, wasm: &[u8]) -> String {
    let mut module = String::from(
        "// The visualizer of baichuan2, compiled for the browser. Made by `cargo run -p baichuan2-live`; the loader is live.js.\n",
    );
    module += glue;
    let _ = write!(
        module,
        "\nbaichuan2Module.bytes = \"{}\";\n",
        BASE64_STANDARD.encode(wasm)
    );
    module
}
