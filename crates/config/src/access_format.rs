//! The check php-fpm makes of `access.format` (`fpm_log.c`).

/// php-fpm's warning about a format it cannot use.
pub(crate) fn check(format: &[u8]) -> Result<(), String> {
    let mut rest = format;
    // What stood between braces since the last '%'.
    let mut modifier: &[u8] = b"";
    let mut token = false;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if !token {
            token = byte == b'%';
            modifier = b"";
            continue;
        }
        if byte == b'{' {
            // A brace that does not close takes everything, and then nothing is left to modify.
            let close = rest.iter().position(|&b| b == b'}').unwrap_or(rest.len());
            modifier = &rest[..close.min(MAX_MODIFIER_BYTES)];
            rest = rest.get(close + 1..).unwrap_or_default();
            if rest.is_empty() {
                return Err("missing closing embrace in the access.format".into());
            }
            continue;
        }
        token = false;
        let c = byte as char;
        let shown = String::from_utf8_lossy(modifier);
        let one_of = |words: &[&str]| modifier.is_empty() || words.iter().any(|w| shown.eq_ignore_ascii_case(w));
        match byte {
            b'C' if !one_of(&["total", "user", "system"]) => {
                return Err(format!("only 'total', 'user' or 'system' are allowed as a modifier for %{c} ('{shown}')"));
            }
            b'd' if !one_of(&DURATIONS) => {
                return Err(format!(
                    "only 'seconds', 'milli', 'milliseconds', 'micro' or 'microseconds' are allowed \
                     as a modifier for %{c} ('{shown}')"
                ));
            }
            b'M' if !one_of(&["bytes", "kilobytes", "kilo", "megabytes", "mega"]) => {
                return Err(format!(
                    "only 'bytes', 'kilo', 'kilobytes', 'mega' or 'megabytes' are allowed as a \
                     modifier for %{c} ('{shown}')"
                ));
            }
            b'e' if modifier.is_empty() => {
                return Err(format!("the name of the environment variable must be set between embraces for %{c}"));
            }
            b'o' if modifier.is_empty() => {
                return Err(format!("the name of the header must be set between embraces for %{c}"));
            }
            b'C' | b'd' | b'M' | b'e' | b'o' | b't' | b'T' => {}
            b'%' | b'f' | b'l' | b'm' | b'n' | b'p' | b'P' | b'q' | b'Q' | b'r' | b'R' | b's' | b'u' => {
                if !modifier.is_empty() {
                    return Err(format!("embrace is not allowed for modifier %{c}"));
                }
            }
            _ => return Err(format!("Invalid token in the access.format (%{c})")),
        }
        modifier = b"";
    }
    Ok(())
}

/// Longest text between braces; php-fpm cuts it there.
const MAX_MODIFIER_BYTES: usize = 128;

const DURATIONS: [&str; 7] = ["seconds", "milliseconds", "milli", "miliseconds", "mili", "microseconds", "micro"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_formats_pass() {
        for format in [
            "%R - %u %t \"%m %r%Q%q\" %s %f %{milli}d %{kilo}M %C%%",
            "%{user}C %{Content-Type}o %{HTTP_HOST}e %{%Y-%m-%d}t %{%H}T",
            "%{MICRO}d %{mega}M",
            "plain",
            "",
            "%",
        ] {
            assert_eq!(check(format.as_bytes()), Ok(()), "{format}");
        }
    }

    #[test]
    fn bad_formats_get_php_fpms_words() {
        for (format, message) in [
            ("%z", "Invalid token in the access.format (%z)"),
            ("%{x}m", "embrace is not allowed for modifier %m"),
            ("%{milli", "missing closing embrace in the access.format"),
            ("%{milli}", "missing closing embrace in the access.format"),
            ("%e", "the name of the environment variable must be set between embraces for %e"),
            ("%o", "the name of the header must be set between embraces for %o"),
            ("%{x}C", "only 'total', 'user' or 'system' are allowed as a modifier for %C ('x')"),
        ] {
            assert_eq!(check(format.as_bytes()), Err(message.into()), "{format}");
        }
    }
}
