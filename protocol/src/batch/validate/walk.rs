//! The walk over a produced batch's records: keys, timestamps, inner offsets.
//!
//! Good batches pass without an allocation; the first bad record starts the list of errors.

use crate::batch::header::{BatchHeader, TimestampType};
use crate::batch::{Record, RecordIter};
use crate::error_code::ErrorCode;
use crate::types::TimestampMs;

use super::{AppendRules, NO_TIMESTAMP, RECORD_ERRORS_MAX, Rejected};

/// Records named in the text of a rejection, as Kafka does.
const RECORDS_IN_TEXT: usize = 3;

/// What a walk finds out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Walked {
    /// Largest timestamp of the records; −1 if none has one.
    pub(super) max_timestamp: TimestampMs,
    /// Whether the inner offsets are 0, 1, 2, ….
    pub(super) sequential: bool,
}

/// Walks `data`, the uncompressed records of the batch with this header.
pub(super) fn walk(
    header: &BatchHeader,
    data: &[u8],
    rules: &AppendRules,
    wall_ms: i64,
) -> Result<Walked, Rejected> {
    let bounds = Bounds::new(header, rules, wall_ms);
    let mut walked = Walked { max_timestamp: NO_TIMESTAMP, sequential: true };
    let mut faults = Faults::default();
    for (index, record) in (0..).zip(RecordIter::new(header, data)) {
        let record = record.map_err(|error| Rejected::invalid(error.to_string()))?;
        if rules.compacted && record.key.is_none() {
            faults.keyless(index);
        } else if bounds.refuse(&record) {
            faults.untimely(index, &record, &bounds);
        }
        walked.max_timestamp = walked.max_timestamp.max(record.timestamp);
        walked.sequential &= record.offset_delta == index;
    }
    faults.into_result().map(|()| walked)
}

/// Which timestamps pass.
struct Bounds {
    /// The batch claims append times, which are the broker's to give.
    log_append_time: bool,
    /// Inclusive bounds for CreateTime.
    create_time: Option<(TimestampMs, TimestampMs)>,
}

impl Bounds {
    fn new(header: &BatchHeader, rules: &AppendRules, wall_ms: i64) -> Self {
        let create_time = (rules.timestamp_type == TimestampType::CreateTime).then(|| {
            let earliest = wall_ms.saturating_sub(rules.timestamp_before_max_ms);
            (earliest, wall_ms.saturating_add(rules.timestamp_after_max_ms))
        });
        Bounds { log_append_time: header.timestamp_type() == TimestampType::LogAppendTime, create_time }
    }

    #[inline]
    fn refuse(&self, record: &Record<'_>) -> bool {
        let outside = |(earliest, latest)| {
            record.timestamp != NO_TIMESTAMP && !(earliest..=latest).contains(&record.timestamp)
        };
        self.log_append_time || self.create_time.is_some_and(outside)
    }
}

/// The bad records of a batch.
#[derive(Default)]
struct Faults {
    count: usize,
    untimely: bool,
    records: Vec<(i32, Option<String>)>,
}

impl Faults {
    #[cold]
    fn keyless(&mut self, index: i32) {
        self.add(index, || "Compacted topic cannot accept message without key.".to_owned());
    }

    #[cold]
    fn untimely(&mut self, index: i32, record: &Record<'_>, bounds: &Bounds) {
        self.untimely = true;
        self.add(index, || match bounds.create_time {
            Some((earliest, latest)) if !bounds.log_append_time => format!(
                "Timestamp {} of message with offset {} is out of range. The timestamp should be within [{earliest}, {latest}]",
                record.timestamp, record.offset
            ),
            _ => format!(
                "Invalid timestamp type in message with offset {}. Producer should not set timestamp type to LogAppendTime.",
                record.offset
            ),
        });
    }

    fn add(&mut self, index: i32, text: impl FnOnce() -> String) {
        self.count += 1;
        if self.records.len() < RECORD_ERRORS_MAX {
            self.records.push((index, Some(text())));
        }
    }

    /// INVALID_TIMESTAMP wins over INVALID_RECORD.
    fn into_result(self) -> Result<(), Rejected> {
        if self.count == 0 {
            return Ok(());
        }
        if self.untimely {
            return Err(Rejected {
                code: ErrorCode::InvalidTimestamp,
                message: "One or more records have been rejected due to invalid timestamp".to_owned(),
                record_errors: self.records,
            });
        }
        let shown: Vec<String> = self
            .records
            .iter()
            .take(RECORDS_IN_TEXT)
            .map(|(index, text)| {
                format!("RecordError(batchIndex={index}, message='{}')", text.as_deref().unwrap_or(""))
            })
            .collect();
        Err(Rejected {
            code: ErrorCode::InvalidRecord,
            message: format!(
                "One or more records have been rejected due to {} record errors in total, and only showing the first three errors at most: [{}]",
                self.count,
                shown.join(", ")
            ),
            record_errors: self.records,
        })
    }
}
