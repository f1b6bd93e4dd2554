//! What can be seen of the server from outside.

pub mod access;
pub mod log;
pub mod status;
pub mod title;

/// The system's reason as PHP-FPM words it: `Permission denied (13)`.
pub fn reason(e: &std::io::Error) -> String {
    let text = e.to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    match e.raw_os_error() {
        Some(code) => format!("{text} ({code})"),
        None => text.to_owned(),
    }
}
