//! Zigzag varints as records use them, read from slices with every bound checked.
//!
//! Like Kafka's reader, bits beyond the width of the type are dropped and a sixth (eleventh) byte is refused.

/// Longest encoding of a 32-bit value.
const MAX_BYTES_32: usize = 5;
/// Longest encoding of a 64-bit value.
const MAX_BYTES_64: usize = 10;

/// Reads a 32-bit zigzag varint off the front of `bytes`; `None` when it does not end in time.
#[inline]
pub(super) fn read_i32(bytes: &mut &[u8]) -> Option<i32> {
    let mut value: u32 = 0;
    for (i, &byte) in bytes.iter().take(MAX_BYTES_32).enumerate() {
        value |= u32::from(byte & 0x7f) << (7 * i);
        if byte < 0x80 {
            *bytes = &bytes[i + 1..];
            return Some(((value >> 1) as i32) ^ -((value & 1) as i32));
        }
    }
    None
}

/// Reads a 64-bit zigzag varint off the front of `bytes`; `None` when it does not end in time.
#[inline]
pub(super) fn read_i64(bytes: &mut &[u8]) -> Option<i64> {
    let mut value: u64 = 0;
    for (i, &byte) in bytes.iter().take(MAX_BYTES_64).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * i);
        if byte < 0x80 {
            *bytes = &bytes[i + 1..];
            return Some(((value >> 1) as i64) ^ -((value & 1) as i64));
        }
    }
    None
}

/// Reads a length-prefixed byte string off the front of `bytes`. Any negative length means null, as in Kafka.
#[inline]
pub(super) fn read_bytes<'a>(bytes: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    let Ok(len) = usize::try_from(read_i32(bytes)?) else {
        return Some(None);
    };
    let (taken, rest) = bytes.split_at_checked(len)?;
    *bytes = rest;
    Some(Some(taken))
}

/// Appends a 32-bit zigzag varint.
pub(super) fn write_i32(out: &mut Vec<u8>, value: i32) {
    write_i64(out, i64::from(value));
}

/// Appends a 64-bit zigzag varint. For values of 32 bits the bytes are those of the 32-bit form.
pub(super) fn write_i64(out: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    while rest >= 0x80 {
        out.push((rest as u8) | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// Appends a nullable byte string with its length.
pub(super) fn write_bytes(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        Some(bytes) => {
            write_i64(out, bytes.len() as i64);
            out.extend_from_slice(bytes);
        }
        None => write_i32(out, -1),
    }
}

/// Bytes that `write_i64` appends for `value`.
pub(super) fn len_i64(value: i64) -> usize {
    let zigzag = ((value << 1) ^ (value >> 63)) as u64;
    (64 - (zigzag | 1).leading_zeros() as usize).div_ceil(7)
}

/// Bytes that `write_bytes` appends for `bytes`.
pub(super) fn len_bytes(bytes: Option<&[u8]>) -> usize {
    match bytes {
        Some(bytes) => len_i64(bytes.len() as i64) + bytes.len(),
        None => 1,
    }
}

#[cfg(test)]
mod tests;
