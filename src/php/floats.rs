//! Floating point numbers to text and back, as PHP's Zend/zend_strtod.c has them, but without anything that threads share: up
//! to PHP 8.3 that takes a lock of all threads some ten times for each number, and from 8.4 on it keeps scratch memory that a
//! thread leaves behind at its end. Both are exact, so the results are the same.

use std::ffi::{c_char, c_int};
use std::fmt::{self, Write};
use std::slice;

use super::callbacks::fence;

/// Room for the shortest digits of any number, and for as many as 17.
const FEW: usize = 32;
/// Room for all digits of any number, before and after the point: 309, and 1074.
const ALL: usize = 1400;
/// No number has more digits than that, and none has more of them after the point.
const SIGNIFICANT: usize = 767;
const FRACTION: usize = 1074;

/// How many digits are wanted.
#[derive(Clone, Copy)]
enum Wanted {
    /// As many as it takes to tell the number from all others.
    Shortest,
    /// That many, at least one.
    Significant(usize),
    /// That many after the point.
    Fraction(usize),
}

/// Text of at most `N` bytes; more is refused.
struct Text<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Text<N> {
    fn of(arguments: fmt::Arguments<'_>) -> Text<N> {
        let mut text = Text { bytes: [0; N], len: 0 };
        text.write_fmt(arguments).expect("there is room for any number");
        text
    }
}

impl<const N: usize> Write for Text<N> {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        let end = self.len + part.len();
        self.bytes.get_mut(self.len..end).ok_or(fmt::Error)?.copy_from_slice(part.as_bytes());
        self.len = end;
        Ok(())
    }
}

/// Decimal digits, and where the point is among them: `point` digits stand before it. Neither begins nor ends with a zero, but
/// may be empty where nothing is left after rounding.
fn digits_in<const N: usize, R>(value: f64, wanted: Wanted, use_them: impl FnOnce(&[u8], i32) -> R) -> R {
    let mut text: Text<N> = match wanted {
        Wanted::Shortest => Text::of(format_args!("{value:e}")),
        Wanted::Significant(digits) => Text::of(format_args!("{value:.*e}", digits.clamp(1, SIGNIFICANT) - 1)),
        Wanted::Fraction(digits) => Text::of(format_args!("{value:.*}", digits.min(FRACTION))),
    };
    let (len, mut point) = match wanted {
        Wanted::Fraction(_) => (text.len, None),
        _ => {
            let e = text.bytes[..text.len].iter().rposition(|&b| b == b'e').unwrap_or(text.len);
            let (negative, exponent) = match text.bytes.get(e + 1) {
                Some(b'-') => (true, e + 2),
                _ => (false, e + 1),
            };
            let exponent = text.bytes[exponent..text.len].iter().fold(0, |n, &b| n * 10 + i32::from(b - b'0'));
            (e, Some(1 + if negative { -exponent } else { exponent }))
        }
    };
    // Without the point.
    let mut end = len;
    if let Some(at) = text.bytes[..len].iter().position(|&b| b == b'.') {
        text.bytes.copy_within(at + 1..len, at);
        end -= 1;
        point.get_or_insert(at as i32);
    }
    let point = point.unwrap_or(end as i32);
    let least = match wanted {
        Wanted::Significant(digits) if keeps_zeros(value, point - digits as i32 - 1) => digits,
        _ => 0,
    };
    while end > least && text.bytes[end - 1] == b'0' {
        end -= 1;
    }
    let begin = text.bytes[..end].iter().position(|&b| b != b'0').unwrap_or(end);
    if matches!(wanted, Wanted::Shortest) {
        half_to_even(value, &mut text.bytes[..end], point);
    }
    match (begin < end, wanted) {
        (true, _) => use_them(&text.bytes[begin..end], point - begin as i32),
        (false, Wanted::Fraction(digits)) => use_them(&[], -(digits as i32)),
        (false, _) => use_them(&[], 1),
    }
}

/// The digits of a number that is a whole one of tenths, hundredths or the like, as most are that pages show: that and the power
/// of ten that it is divided by. With up to 15 digits no other number of as many is as near, and none of fewer is as near.
fn simple(value: f64) -> Option<(u64, i32)> {
    const POWERS: [f64; 7] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6];
    for (scale, power) in POWERS.into_iter().enumerate() {
        let scaled = value * power;
        if scaled >= 1e15 {
            break;
        }
        let whole = (scaled + 0.5) as u64;
        // Both are exact, so this is what reading the digits gives.
        if whole as f64 / power == value {
            return Some((whole, scale as i32));
        }
    }
    None
}

/// Calls `use_them` with the decimal digits of a number that is finite and above zero, and where the point is among them: that
/// many stand before it. They neither begin nor end with a zero, and are empty where rounding has left nothing.
fn digits<R>(value: f64, wanted: Wanted, use_them: impl FnOnce(&[u8], i32) -> R) -> R {
    let most = match wanted {
        Wanted::Shortest => 15,
        Wanted::Significant(digits) if digits <= 15 => digits.max(1),
        _ => 0,
    };
    if most > 0
        && let Some((mut whole, scale)) = simple(value)
        && whole < 10u64.pow(most as u32)
    {
        let (mut text, mut at) = ([0; FEW], FEW);
        while whole > 0 {
            at -= 1;
            text[at] = b'0' + (whole % 10) as u8;
            whole /= 10;
        }
        let end = text.iter().rposition(|&b| b != b'0').map_or(at, |last| last + 1);
        return use_them(&text[at..end], (FEW - at) as i32 - scale);
    }
    match wanted {
        Wanted::Shortest | Wanted::Significant(..=17) => digits_in::<FEW, R>(value, wanted, use_them),
        _ => digits_in::<ALL, R>(value, wanted, use_them),
    }
}

/// Where a number lies just between two shortest ones, PHP takes the even one, and Rust the upper one.
fn half_to_even(value: f64, digits: &mut [u8], point: i32) {
    let Some(&last) = digits.last() else { return };
    if last % 2 == 0 || digits.len() < 15 || !ends_in_five(value, point - digits.len() as i32 - 1) {
        return;
    }
    let mut lower: Text<FEW> = Text { bytes: [0; FEW], len: 0 };
    let at = digits.len() - 1;
    digits[at] -= 1;
    let shown = str::from_utf8(digits).unwrap_or_default();
    // Below a power of two numbers are denser.
    let same = write!(lower, "{shown}e{}", point - digits.len() as i32).is_ok()
        && str::from_utf8(&lower.bytes[..lower.len]).is_ok_and(|lower| lower.parse() == Ok(value));
    if !same {
        digits[at] += 1;
    }
}

/// Are zeros kept at the end, of a number that is cut before its digit of 10^`place`? PHP does so with whole numbers up to 15
/// digits, where it has found a 5 to be cut off, and a zero before it.
fn keeps_zeros(value: f64, place: i32) -> bool {
    value < 1e15
        && place >= 0
        && ends_in_five(value, place)
        && (value as u64 / 10u64.pow(place as u32 + 1)).is_multiple_of(10)
}

/// Is the last decimal digit of a number a 5, and does it stand for 5 × 10^`place`?
fn ends_in_five(value: f64, place: i32) -> bool {
    let bits = value.to_bits();
    let (fraction, exponent) = (bits & ((1 << 52) - 1), (bits >> 52) as i32 & 0x7ff);
    let mantissa = if exponent == 0 { fraction } else { fraction | 1 << 52 };
    let zeros = mantissa.trailing_zeros();
    // The number is odd × 2^power: that times 10^-place is odd only where the powers of two cancel out.
    let (odd, power) = (mantissa >> zeros, exponent.max(1) - 1075 + zeros as i32);
    power == place && (place < 0 || 5u64.checked_pow(place as u32 + 1).is_some_and(|fives| odd % fives == 0))
}

/// Calls `use_it` with `value` as PHP's zend_gcvt() writes it: with `ndigit` significant digits, or the shortest where that is
/// negative.
fn gcvt<R>(value: f64, ndigit: i32, point_sign: u8, exponent_sign: u8, use_it: impl FnOnce(&[u8]) -> R) -> R {
    let (wanted, most) = match usize::try_from(ndigit) {
        Ok(digits) => (Wanted::Significant(digits), ndigit),
        Err(_) => (Wanted::Shortest, 17),
    };
    if !value.is_finite() {
        let name: &[u8] = if value.is_nan() { b"NAN" } else { [b"INF".as_slice(), b"-INF"][usize::from(value < 0.0)] };
        return use_it(&name[..name.len().min(most as usize)]);
    }
    let write = |digits: &[u8], point: i32| match digits.len() + point.unsigned_abs() as usize {
        ..=40 => written::<64, R>(value.is_sign_negative(), digits, point, most, (point_sign, exponent_sign), use_it),
        _ => written::<ALL, R>(value.is_sign_negative(), digits, point, most, (point_sign, exponent_sign), use_it),
    };
    match value {
        0.0 => write(b"0", 1),
        _ => digits(value.abs(), wanted, write),
    }
}

/// Digits as PHP writes them: with an exponent where the point is far from them, as `most` has it.
fn written<const N: usize, R>(
    negative: bool,
    digits: &[u8],
    point: i32,
    most: i32,
    (point_sign, exponent_sign): (u8, u8),
    use_it: impl FnOnce(&[u8]) -> R,
) -> R {
    let (mut bytes, mut len) = ([0; N], 0);
    let mut put = |part: &[u8]| {
        bytes[len..len + part.len()].copy_from_slice(part);
        len += part.len();
    };
    if negative {
        put(b"-");
    }
    if point > most || point < -3 {
        let (first, rest) = digits.split_first().unwrap_or((&b'0', &[]));
        put(&[*first, point_sign]);
        put(if rest.is_empty() { b"0" } else { rest });
        let exponent = (point - 1).unsigned_abs();
        put(&[exponent_sign, if point < 1 { b'-' } else { b'+' }]);
        for (scale, always) in [(100, false), (10, false), (1, true)] {
            if always || exponent >= scale {
                put(&[b'0' + (exponent / scale % 10) as u8]);
            }
        }
    } else {
        let whole = digits.len().min(point.max(0) as usize);
        put(&digits[..whole]);
        for _ in whole as i32..point {
            put(b"0");
        }
        if whole < digits.len() {
            put(if point <= 0 { b"0" } else { b"" });
            put(&[point_sign]);
            for _ in point..0 {
                put(b"0");
            }
            put(&digits[whole..]);
        }
    }
    use_it(&bytes[..len])
}

/// The number that a text begins with, after white space, and how many bytes it takes; 0 and 0 where there is none. `byte`
/// gives the text's bytes, and is not asked for what follows one that cannot be part of a number.
fn strtod<'a>(byte: impl Fn(usize) -> u8, slice: impl Fn(usize, usize) -> &'a [u8]) -> (f64, usize) {
    let mut at = 0;
    while matches!(byte(at), b'\t'..=b'\r' | b' ') {
        at += 1;
    }
    let begin = at;
    if matches!(byte(at), b'-' | b'+') {
        at += 1;
    }
    let digits = |mut at| {
        while byte(at).is_ascii_digit() {
            at += 1;
        }
        at
    };
    let whole = at;
    at = digits(at);
    let mut count = at - whole;
    if byte(at) == b'.' {
        let end = digits(at + 1);
        count += end - at - 1;
        at = end;
    }
    if count == 0 {
        return (0.0, 0);
    }
    if matches!(byte(at), b'e' | b'E') {
        let exponent = at + 1 + usize::from(matches!(byte(at + 1), b'-' | b'+'));
        if byte(exponent).is_ascii_digit() {
            at = digits(exponent);
        }
    }
    let number = str::from_utf8(slice(begin, at)).ok().and_then(|number| number.parse().ok());
    number.map_or((0.0, 0), |number| (number, at))
}

/// # Safety
///
/// `out` has room for `text` and, where `end` is, a byte more.
unsafe fn copy_out(text: &[u8], out: *mut c_char, end: bool) {
    // SAFETY: by the contract above; nobody else has the memory that C has lent for this.
    unsafe {
        out.copy_from_nonoverlapping(text.as_ptr().cast(), text.len());
        if end {
            out.add(text.len()).write(0);
        }
    }
}

#[unsafe(no_mangle)]
extern "C" fn ftm_rs_digits(value: f64, mode: c_int, ndigits: c_int, out: *mut c_char, point: *mut c_int) -> usize {
    let count = ndigits.max(0) as usize;
    let wanted = match mode {
        0 => Wanted::Shortest,
        2 => Wanted::Significant(count),
        _ => Wanted::Fraction(count),
    };
    fence(0, || {
        digits(value, wanted, |digits, at| {
            // SAFETY: C gives room for FTM_DIGITS, which no number has more of, and for the point.
            unsafe {
                copy_out(digits, out, false);
                point.write(at);
            }
            digits.len()
        })
    })
}

#[unsafe(no_mangle)]
extern "C" fn ftm_rs_gcvt(value: f64, ndigit: c_int, point: c_char, exponent: c_char, out: *mut c_char) {
    fence((), || {
        // SAFETY: zend_gcvt()'s caller gives as much room as the number takes.
        gcvt(value, ndigit, point as u8, exponent as u8, |text| unsafe { copy_out(text, out, true) });
    });
}

#[unsafe(no_mangle)]
extern "C" fn ftm_rs_strtod(text: *const c_char, read: *mut usize) -> f64 {
    fence(0.0, || {
        let text = text.cast::<u8>();
        // SAFETY: C's text goes on at least to the first byte that is no part of a number, and no byte after that is asked for.
        let byte = |at| unsafe { *text.add(at) };
        // SAFETY: what is asked for has been read before.
        let (number, end) = strtod(byte, |from, to| unsafe { slice::from_raw_parts(text.add(from), to - from) });
        // SAFETY: C has room for it.
        unsafe { read.write(end) };
        number
    })
}
