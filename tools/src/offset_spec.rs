//! Where reading starts and ends, as `consume -o` and `seek --to` say it.
//!
//! ```text
//! start  end  N  +N (after the start)  -N (before the end)  @TIME  A:B (from A up to before B)
//! ```

use tidemark_protocol::types::{Offset, TimestampMs};

use crate::time_text;

/// A place in each partition's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The first record.
    Start,
    /// After the last record.
    End,
    /// This offset.
    At(Offset),
    /// So many offsets after the start.
    AfterStart(i64),
    /// So many offsets before the end.
    BeforeEnd(i64),
    /// The first record that is not older.
    Time(TimestampMs),
}

/// From where to where; `to` is exclusive, `None` goes on for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Where reading starts.
    pub from: Place,
    /// Where it ends.
    pub to: Option<Place>,
}

/// What is accepted, for error messages.
const FORMS: &str = "start, end, N, +N, -N, N:M, @TIME, @TIME:TIME or @-1h";

impl Place {
    /// Parses one place.
    pub fn parse(text: &str, now_ms: TimestampMs) -> Result<Place, String> {
        let error = || format!("{text:?} is no place in a log; it can be {FORMS}");
        let number = |digits: &str| digits.parse::<i64>().ok().filter(|n| *n >= 0).ok_or_else(error);
        match text {
            "start" | "earliest" | "beginning" => return Ok(Place::Start),
            "end" | "latest" => return Ok(Place::End),
            _ => {}
        }
        if let Some(time) = text.strip_prefix('@') {
            return time_text::parse(time, now_ms).map(Place::Time).ok_or_else(error);
        }
        match text.split_at_checked(1) {
            Some(("+", rest)) => Ok(Place::AfterStart(number(rest)?)),
            Some(("-", rest)) => Ok(Place::BeforeEnd(number(rest)?)),
            _ => Ok(Place::At(number(text)?)),
        }
    }

    /// The offset this is in a partition; times are looked up by the caller, who passes what was found.
    pub fn resolve(self, start: Offset, end: Offset, at_time: Option<Offset>) -> Offset {
        match self {
            Place::Start => start,
            Place::End => end,
            Place::At(offset) => offset,
            Place::AfterStart(count) => start.saturating_add(count).min(end),
            Place::BeforeEnd(count) => end.saturating_sub(count).max(start),
            // Nothing that late: what comes next is.
            Place::Time(_) => at_time.unwrap_or(end),
        }
    }
}

impl Span {
    /// Parses a place, or two with a colon between. Times hold colons themselves, so every split is tried.
    pub fn parse(text: &str, now_ms: TimestampMs) -> Result<Span, String> {
        if let Ok(from) = Place::parse(text, now_ms) {
            return Ok(Span { from, to: None });
        }
        let splits = text.match_indices(':').filter_map(|(at, _)| {
            let (from, to) = (&text[..at], &text[at + 1..]);
            // `@T1:T2` says the sign once.
            let to = if from.starts_with('@') && !to.starts_with('@') && to != "end" {
                format!("@{to}")
            } else {
                to.to_owned()
            };
            let from = if from.is_empty() { Place::Start } else { Place::parse(from, now_ms).ok()? };
            Some(Span { from, to: Some(Place::parse(&to, now_ms).ok()?) })
        });
        let spans: Vec<Span> = splits.collect();
        match spans.as_slice() {
            [span] => Ok(*span),
            [] => Err(format!("{text:?} is no offset; it can be {FORMS}")),
            _ => Err(format!("{text:?} can be read in more than one way; write times with seconds and Z")),
        }
    }
}

#[cfg(test)]
mod tests;
