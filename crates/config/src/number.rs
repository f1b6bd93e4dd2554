//! Numbers as php-fpm reads them.

/// C's `atoi`: blanks, a sign, digits; the rest is ignored. Numbers that do not fit end at the
/// limits of 32 bits (php-fpm lets them wrap around, which nobody can mean).
pub(crate) fn atoi(bytes: &[u8]) -> i32 {
    let blank = |b: &u8| matches!(b, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c);
    let start = bytes.iter().position(|b| !blank(b)).unwrap_or(bytes.len());
    let (negative, digits) = match &bytes[start..] {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let magnitude = digits
        .iter()
        .take_while(|b| b.is_ascii_digit())
        .fold(0i64, |sum, b| (sum * 10 + i64::from(b - b'0')).min(i64::from(u32::MAX)));
    let number = if negative { -magnitude } else { magnitude };
    number.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32
}

/// C's `strtoul(…, 8)` for a file mode: leading octal digits, 0 if there are none.
pub(crate) fn octal(bytes: &[u8]) -> u32 {
    let digits = bytes.trim_ascii_start();
    digits
        .iter()
        .take_while(|b| (b'0'..=b'7').contains(b))
        .fold(0, |sum: u32, b| sum.saturating_mul(8).saturating_add(u32::from(b - b'0')))
}

/// Bytes with an optional K, M or G (any case, 1024 each): `256K`.
pub(crate) fn size(bytes: &[u8]) -> Option<u64> {
    let (digits, unit) = match bytes.split_last()? {
        (b'k' | b'K', digits) => (digits, 1 << 10),
        (b'm' | b'M', digits) => (digits, 1 << 20),
        (b'g' | b'G', digits) => (digits, 1 << 30),
        _ => (bytes, 1u64),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let digits = std::str::from_utf8(digits).ok()?;
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn atoi_reads_as_c_does_and_stops_at_the_limits() {
        for (text, number) in [
            ("", 0),
            ("12", 12),
            (" \t-7x", -7),
            ("+3", 3),
            ("x1", 0),
            ("--1", 0),
            ("99999999999999999999", i32::MAX),
            ("-99999999999999999999", i32::MIN),
        ] {
            assert_eq!(atoi(text.as_bytes()), number, "{text:?}");
        }
    }

    #[test]
    fn sizes_take_one_suffix_and_nothing_else() {
        assert_eq!(size(b"0"), Some(0));
        assert_eq!(size(b"256K"), Some(262_144));
        assert_eq!(size(b"8m"), Some(8 << 20));
        assert_eq!(size(b"2G"), Some(2 << 30));
        for bad in ["", "K", "1T", "-1", "1 K", "1KB", "1.5M", "99999999999G"] {
            assert_eq!(size(bad.as_bytes()), None, "{bad:?}");
        }
    }

    #[test]
    fn a_mode_is_octal_and_garbage_is_0() {
        assert_eq!(octal(b"0660"), 0o660);
        assert_eq!(octal(b"777"), 0o777);
        assert_eq!(octal(b"0668"), 0o66);
        assert_eq!(octal(b"rw"), 0);
    }
}
