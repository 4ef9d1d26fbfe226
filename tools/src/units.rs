//! Numbers for people: bytes, durations and counts as text; configs from human units into Kafka's.

use std::time::Duration;

use tidemark_core::metadata::units;

use crate::exit::Failure;

/// `9.1 GiB`, `512 B`; negative numbers mean no limit to Kafka.
pub fn bytes(count: i64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let mut value = count as f64;
    let mut unit = "B";
    for next in UNITS {
        if value < 1023.95 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    if value < 10.0 && value.fract() > 0.05 {
        format!("{value:.1} {unit}")
    } else {
        format!("{value:.0} {unit}")
    }
}

/// `7d`, `12h`, `1h30m`, `250ms`: exact.
pub fn duration_ms(ms: i64) -> String {
    const UNITS: [(&str, i64); 5] =
        [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];
    if ms <= 0 {
        return format!("{ms}ms");
    }
    let mut rest = ms;
    let mut text = String::new();
    for (unit, size) in UNITS {
        if rest >= size {
            text.push_str(&format!("{}{unit}", rest / size));
            rest %= size;
        }
    }
    text
}

/// `8,120,447`.
pub fn count(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if number < 0 { format!("-{text}") } else { text }
}

/// A config's value in Kafka's units: `12h` for a key that counts milliseconds, `1GiB` for one that counts bytes.
pub fn config_value(key: &str, value: &str) -> Result<String, Failure> {
    let parsed = if is_plain(value) {
        return Ok(value.to_owned());
    } else if key.ends_with(".ms") {
        without_limit(value).map_or_else(|| units::parse_duration_ms(value), Ok)
    } else if key.ends_with("bytes") {
        without_limit(value).map_or_else(|| units::parse_bytes(value), Ok)
    } else {
        return Ok(value.to_owned());
    };
    parsed.map(|number| number.to_string()).map_err(|error| Failure::usage(format!("{key}: {error}")))
}

/// A config's value with its human form: `43200000 (12h)`.
pub fn config_shown(key: &str, value: &str) -> String {
    let Ok(number) = value.parse::<i64>() else { return value.to_owned() };
    let human = match number {
        i64::MAX => "no limit".to_owned(),
        -1 if key.ends_with(".ms") || key.ends_with("bytes") => "no limit".to_owned(),
        -2 if key.starts_with("local.") => "as the total".to_owned(),
        1000.. if key.ends_with(".ms") => duration_ms(number),
        1024.. if key.ends_with("bytes") => bytes(number),
        _ => return value.to_owned(),
    };
    format!("{value} ({human})")
}

/// A time of at least a millisecond, as flags take it.
pub fn duration(text: &str) -> Result<Duration, String> {
    let ms = units::parse_duration_ms(text).map_err(|error| error.to_string())?;
    u64::try_from(ms)
        .ok()
        .filter(|ms| *ms > 0)
        .map(Duration::from_millis)
        .ok_or_else(|| "must be above 0".to_owned())
}

/// A time as flags take it: `5m`.
pub fn duration_text(time: Duration) -> String {
    duration_ms(i64::try_from(time.as_millis()).unwrap_or(i64::MAX))
}

/// Splits `KEY=VALUE`.
pub fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => Ok((key.trim().to_owned(), value.to_owned())),
        _ => Err(format!("{text:?} is not KEY=VALUE")),
    }
}

fn is_plain(value: &str) -> bool {
    value.parse::<i64>().is_ok()
}

fn without_limit(value: &str) -> Option<i64> {
    matches!(value, "inf" | "unlimited" | "forever").then_some(-1)
}

#[cfg(test)]
mod tests;
