//! Names of the files in a partition's directory: Kafka's, so that its tools find their way.

use tidemark_protocol::types::Offset;

/// Batches of a segment.
pub const LOG: &str = ".log";
/// Its offset index.
pub const INDEX: &str = ".index";
/// Its time index.
pub const TIME_INDEX: &str = ".timeindex";
/// Its aborted transactions.
pub const TXN_INDEX: &str = ".txnindex";
/// All files that belong to a segment; `.log` last, so that a half removed segment is still seen as one.
pub const SEGMENT_FILES: [&str; 4] = [INDEX, TIME_INDEX, TXN_INDEX, LOG];
/// Added to the files of a segment that was taken out of the log.
pub const DELETED: &str = ".deleted";
/// Added to the files of a compacted segment while it is written.
pub const CLEANED: &str = ".cleaned";
/// Added to the files of a compacted segment that is whole but not yet in the place of those it replaces.
pub const SWAP: &str = ".swap";
/// Ends the names of files that are written to be renamed.
pub const TEMPORARY: &str = ".tmp";
/// Holds the topic id.
pub const METADATA: &str = "partition.metadata";

/// Name of a segment's file: twenty digits and the suffix.
pub fn file_name(base_offset: Offset, suffix: &str) -> String {
    format!("{base_offset:020}{suffix}")
}

/// Base offset in the name of a file that ends with `suffix`.
pub fn base_offset(name: &str, suffix: &str) -> Option<Offset> {
    let digits = name.strip_suffix(suffix)?;
    (digits.len() == 20 && digits.bytes().all(|b| b.is_ascii_digit())).then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_twenty_digits_and_read_back() {
        assert_eq!(file_name(42, LOG), "00000000000000000042.log");
        assert_eq!(base_offset("00000000000000000042.log", LOG), Some(42));
        for other in [
            "42.log",
            "00000000000000000042.log.deleted",
            "0000000000000000004x.log",
            "99999999999999999999.log",
        ] {
            assert_eq!(base_offset(other, LOG), None);
        }
    }
}
