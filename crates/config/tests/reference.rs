//! The generated documentation is what the table says.

#[path = "support/reference.rs"]
mod reference;

use std::fs;
use std::path::Path;

fn is_current(file: &str, text: &str, format: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(file);
    let found = fs::read_to_string(&path).unwrap_or_default();
    let command = format!("cargo run -p ftm-config --example directives -- {format} >{file}");
    assert!(found == text, "{file} is not what the table of directives says; renew it: {command}");
}

#[test]
fn the_page_is_current() {
    is_current("docs/directives.md", &reference::markdown(), "markdown");
}

#[test]
fn the_manual_is_current() {
    is_current("man/php-ftm.conf.5", &reference::man(), "man");
}
