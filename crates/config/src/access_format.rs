//! `access.format`, read as php-fpm reads it (`fpm_log.c`).

/// A part of a line in `access.log`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccessField {
    /// This text.
    Text(Vec<u8>),
    /// `%C`: processor time in percent.
    Cpu(CpuTime),
    /// `%d`: how long the request took.
    Duration(DurationUnit),
    /// `%{NAME}e`: a parameter of the request.
    Param(Vec<u8>),
    /// `%f`: the script's file.
    Script,
    /// `%l`: CONTENT_LENGTH.
    ContentLength,
    /// `%m`: the method.
    Method,
    /// `%M`: peak memory, in this many bytes.
    Memory(u64),
    /// `%n`: the pool.
    Pool,
    /// `%{Name}o`: a header of the response.
    Header(Vec<u8>),
    /// `%p`: who ran the request.
    Pid,
    /// `%P`: its parent.
    ParentPid,
    /// `%q`: the query.
    Query,
    /// `%Q`: a question mark, if there is a query.
    QueryMark,
    /// `%r`: SCRIPT_NAME.
    Uri,
    /// `%R`: the peer's address.
    Peer,
    /// `%s`: the status.
    Status,
    /// `%t`: when the request began, in this format of strftime(3).
    Began(Vec<u8>),
    /// `%T`: when the line is written, likewise.
    Written(Vec<u8>),
    /// `%u`: the user.
    User,
}

/// Which processor time `%C` shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CpuTime {
    /// Both.
    Total,
    /// In user mode.
    User,
    /// In the kernel.
    System,
}

/// Unit of `%d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DurationUnit {
    /// With three decimals.
    Seconds,
    /// With three decimals.
    Milliseconds,
    /// Whole ones.
    Microseconds,
}

/// How times are written without a format of their own.
const TIME: &[u8] = b"%d/%b/%Y:%H:%M:%S %z";

/// The parts of a format, or php-fpm's warning about one that it cannot use.
pub(crate) fn parse(format: &[u8]) -> Result<Vec<AccessField>, String> {
    let mut fields = Vec::new();
    let mut rest = format;
    // What stood between braces since the last '%'.
    let mut modifier: &[u8] = b"";
    let mut token = false;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if !token {
            token = byte == b'%';
            modifier = b"";
            if !token {
                push_text(&mut fields, byte);
            }
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
        if byte == b'%' && modifier.is_empty() {
            push_text(&mut fields, byte);
        } else {
            fields.push(field(byte, modifier)?);
        }
        modifier = b"";
    }
    Ok(fields)
}

fn push_text(fields: &mut Vec<AccessField>, byte: u8) {
    match fields.last_mut() {
        Some(AccessField::Text(text)) => text.push(byte),
        _ => fields.push(AccessField::Text(vec![byte])),
    }
}

/// The field of a specifier and what stood between its braces.
fn field(byte: u8, modifier: &[u8]) -> Result<AccessField, String> {
    use AccessField as F;
    let c = byte as char;
    let shown = String::from_utf8_lossy(modifier);
    let word = shown.to_ascii_lowercase();
    let time = || if modifier.is_empty() { TIME.to_vec() } else { modifier.to_vec() };
    let plain = |field| match modifier.is_empty() {
        true => Ok(field),
        false => Err(format!("embrace is not allowed for modifier %{c}")),
    };
    let named = |what: &str, field: fn(Vec<u8>) -> F| match modifier.is_empty() {
        true => Err(format!("the name of the {what} must be set between embraces for %{c}")),
        false => Ok(field(modifier.to_vec())),
    };
    match byte {
        b'C' => match word.as_str() {
            "" | "total" => Ok(F::Cpu(CpuTime::Total)),
            "user" => Ok(F::Cpu(CpuTime::User)),
            "system" => Ok(F::Cpu(CpuTime::System)),
            _ => Err(format!("only 'total', 'user' or 'system' are allowed as a modifier for %{c} ('{shown}')")),
        },
        b'd' => match word.as_str() {
            "" | "seconds" => Ok(F::Duration(DurationUnit::Seconds)),
            "milliseconds" | "milli" | "miliseconds" | "mili" => Ok(F::Duration(DurationUnit::Milliseconds)),
            "microseconds" | "micro" => Ok(F::Duration(DurationUnit::Microseconds)),
            _ => Err(format!(
                "only 'seconds', 'milli', 'milliseconds', 'micro' or 'microseconds' are allowed as a modifier for %{c} \
                 ('{shown}')"
            )),
        },
        b'M' => match word.as_str() {
            "" | "bytes" => Ok(F::Memory(1)),
            "kilobytes" | "kilo" => Ok(F::Memory(1 << 10)),
            "megabytes" | "mega" => Ok(F::Memory(1 << 20)),
            _ => Err(format!(
                "only 'bytes', 'kilo', 'kilobytes', 'mega' or 'megabytes' are allowed as a modifier for %{c} ('{shown}')"
            )),
        },
        b'e' => named("environment variable", F::Param),
        b'o' => named("header", F::Header),
        b't' => Ok(F::Began(time())),
        b'T' => Ok(F::Written(time())),
        b'%' => plain(F::Text(b"%".to_vec())),
        b'f' => plain(F::Script),
        b'l' => plain(F::ContentLength),
        b'm' => plain(F::Method),
        b'n' => plain(F::Pool),
        b'p' => plain(F::Pid),
        b'P' => plain(F::ParentPid),
        b'q' => plain(F::Query),
        b'Q' => plain(F::QueryMark),
        b'r' => plain(F::Uri),
        b'R' => plain(F::Peer),
        b's' => plain(F::Status),
        b'u' => plain(F::User),
        _ => Err(format!("Invalid token in the access.format (%{c})")),
    }
}

/// Longest text between braces; php-fpm cuts it there.
const MAX_MODIFIER_BYTES: usize = 128;

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
            assert!(parse(format.as_bytes()).is_ok(), "{format}");
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
            assert_eq!(parse(format.as_bytes()), Err(message.into()), "{format}");
        }
    }

    #[test]
    fn text_and_fields_keep_their_order() {
        use AccessField as F;
        let fields = parse(b"a%%b %{X-Y}o%{%H}T%").expect("good");
        let text = |text: &[u8]| F::Text(text.to_vec());
        assert_eq!(fields, [text(b"a%b "), F::Header(b"X-Y".to_vec()), F::Written(b"%H".to_vec())]);
        assert_eq!(parse(b"%t"), Ok(vec![F::Began(TIME.to_vec())]));
    }
}
