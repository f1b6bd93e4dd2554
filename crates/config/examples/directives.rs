//! Writes the documentation of all directives from their table:
//! `cargo run -p ftm-config --example directives -- markdown >docs/directives.md`, and `-- man >man/php-ftm.conf.5`.

#[path = "../tests/support/reference.rs"]
mod reference;

fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("markdown") => print!("{}", reference::markdown()),
        Some("man") => print!("{}", reference::man()),
        _ => {
            eprintln!("usage: directives markdown|man");
            std::process::exit(64);
        }
    }
}
