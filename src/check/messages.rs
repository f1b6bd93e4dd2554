//! What PHP says at its start.

/// A line of PHP's without time, level and what it says about no file; `None`: nothing is left.
pub fn plain(line: &str) -> Option<String> {
    let mut text = line.trim();
    if let Some((_, rest)) = text.strip_prefix('[').and_then(|rest| rest.split_once("] ")) {
        let level = rest.split_once(": ").filter(|(level, _)| level.chars().all(|c| c.is_ascii_uppercase()));
        text = level.map_or(rest, |(_, message)| message);
    }
    if let Some((_, message)) = text.strip_prefix("PHP ").and_then(|rest| rest.split_once(":  ")) {
        text = message;
    }
    text = text.strip_prefix("PHP Startup: ").unwrap_or(text);
    text = text.strip_suffix(" in Unknown on line 0").unwrap_or(text);
    (!text.is_empty()).then(|| text.to_string())
}

/// The name that a message is about: what it has in quotes, or before its first colon.
pub fn subject(message: &str) -> Option<&str> {
    let quote = message.find(['\'', '"'])?;
    let (mark, rest) = message[quote..].split_at(1);
    rest.split_once(mark).map(|(name, _)| name)
}

/// The name before the first colon.
pub fn speaker(message: &str) -> Option<&str> {
    message.split_once(": ").map(|(name, _)| name).filter(|name| !name.contains(' '))
}

/// What to do about it.
pub fn help(message: &str) -> Option<&'static str> {
    let without_threads = message.contains("undefined symbol: ") && message.contains("_globals")
        || message.contains("Unable to initialize module") && message.contains(",NTS");
    if without_threads {
        Some("it was built for a PHP without threads (NTS); php-ftm needs it built for its own, thread-safe PHP (ZTS)")
    } else if message.contains(" is already loaded") {
        Some("this PHP contains it: leave the line out")
    } else if message.contains("cannot open shared object file") {
        Some(
            "leave the line out if php-ftm -m lists it; else build it for php-ftm's PHP (php-ftm -i shows extension_dir)",
        )
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_levels_and_unknown_places_are_left_out() {
        let message = |line| plain(line).unwrap_or_default();
        let line = "[20-Nov-2026 21:39:34] NOTICE: PHP Warning:  PHP Startup: Unable to load 'x' in Unknown on line 0";
        assert_eq!(message(line), "Unable to load 'x'");
        assert_eq!(message("[20-Nov-2026 21:39:34] WARNING: Unable to set 'a'"), "Unable to set 'a'");
        assert_eq!(message("Failed loading x.so:  no"), "Failed loading x.so:  no");
        assert_eq!(message("PHP:  syntax error in /etc/x.ini on line 3"), "PHP:  syntax error in /etc/x.ini on line 3");
        assert_eq!(plain("  "), None);
    }

    #[test]
    fn messages_have_a_subject() {
        assert_eq!(subject("Unable to load dynamic library 'x.so' (tried: 'y')"), Some("x.so"));
        assert_eq!(subject("Module \"curl\" is already loaded"), Some("curl"));
        assert_eq!(subject("it's"), None);
        assert_eq!(speaker("x: Unable to initialize module"), Some("x"));
        assert_eq!(speaker("Failed loading x: no"), None);
    }
}
