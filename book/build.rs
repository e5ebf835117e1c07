//! Hands the Rust samples of the English pages to `cargo test --doc`, which compiles and runs each.

use std::{env, fs, path::Path};

fn main() {
    let folder = Path::new(&env::var("CARGO_MANIFEST_DIR").expect("set by cargo")).join("en");
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut pages: Vec<_> = fs::read_dir(&folder)
        .expect("the pages")
        .map(|page| page.expect("a page").path())
        .collect();
    pages.sort();
    let mut code = String::new();
    for page in pages {
        println!("cargo::rerun-if-changed={}", page.display());
        let text = fs::read_to_string(&page).expect("a page");
        let name: String = page
            .file_stem()
            .expect("a name")
            .to_string_lossy()
            .replace('-', "_");
        // Only the samples, each at its own line, so that a failure names the line of the page.
        let mut inside = false;
        let kept: Vec<&str> = text
            .lines()
            .map(|line| {
                let fence = line.starts_with("```");
                let keep = inside || (fence && line.starts_with("```rust"));
                if fence {
                    inside = !inside && keep;
                }
                if keep { line } else { "" }
            })
            .collect();
        if kept.iter().any(|line| !line.is_empty()) {
            code += &format!("#[doc = {:?}]\npub mod {name} {{}}\n", kept.join("\n"));
        }
    }
    let out = Path::new(&env::var("OUT_DIR").expect("set by cargo")).join("samples.rs");
    fs::write(out, code).expect("a file");
}
