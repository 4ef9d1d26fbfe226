//! Numbers as people write them: `7d`, `12h`, `64MiB`, and Kafka's plain ones.

use thiserror::Error;

/// The text is not a number with a unit.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{text:?} is not {expected}")]
pub struct UnitError {
    /// What was written.
    pub text: String,
    /// What would be fine.
    pub expected: &'static str,
}

/// Units of time, in milliseconds.
const DURATIONS: &[(&str, i64)] = &[
    ("ms", 1),
    ("s", 1_000),
    ("m", 60_000),
    ("min", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
    ("w", 604_800_000),
];

/// Units of size, in bytes: decimal ones are decimal, and a lone letter is binary as in Java's options.
const SIZES: &[(&str, i64)] = &[
    ("B", 1),
    ("K", 1 << 10),
    ("KiB", 1 << 10),
    ("kB", 1_000),
    ("KB", 1_000),
    ("M", 1 << 20),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("G", 1 << 30),
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("T", 1 << 40),
    ("TiB", 1 << 40),
    ("TB", 1_000_000_000_000),
];

/// Milliseconds of `250ms`, `30s`, `15m`, `12h`, `1.5d`, `2w`, or of a plain number of milliseconds (also negative).
pub fn parse_duration_ms(text: &str) -> Result<i64, UnitError> {
    parse(text, DURATIONS, "a duration: a number and one of ms, s, m, h, d, w, or plain milliseconds")
}

/// Bytes of `512`, `64KiB`, `1GiB`, `10MB` (decimal units are decimal), or of a plain number (also negative).
pub fn parse_bytes(text: &str) -> Result<i64, UnitError> {
    parse(text, SIZES, "a size: a number and one of B, KiB, MiB, GiB, TiB, kB, MB, GB, TB, or plain bytes")
}

fn parse(text: &str, units: &[(&str, i64)], expected: &'static str) -> Result<i64, UnitError> {
    let error = || UnitError { text: text.to_owned(), expected };
    let trimmed = text.trim();
    if let Ok(plain) = trimmed.parse::<i64>() {
        return Ok(plain);
    }
    let at = trimmed.find(|c: char| c.is_ascii_alphabetic()).ok_or_else(error)?;
    let (number, unit) = (trimmed[..at].trim_end(), &trimmed[at..]);
    let unit = units
        .iter()
        .find(|(name, _)| *name == unit)
        .or_else(|| units.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)));
    let (_, scale) = unit.ok_or_else(error)?;
    scaled(number, *scale).ok_or_else(error)
}

/// A decimal number times the scale, exact: `1.5` of an hour is whole milliseconds, `1.0001` of a second is not.
fn scaled(number: &str, scale: i64) -> Option<i64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty()
        || !digits(whole)
        || !digits(fraction)
        || (number.contains('.') && fraction.is_empty())
    {
        return None;
    }
    let whole: i128 = whole.parse().ok()?;
    let mut total = whole.checked_mul(i128::from(scale))?;
    if !fraction.is_empty() {
        let parts = fraction.parse::<i128>().ok()?.checked_mul(i128::from(scale))?;
        let of = 10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
        if parts % of != 0 {
            return None;
        }
        total += parts / of;
    }
    i64::try_from(total).ok()
}

#[cfg(test)]
mod tests;
