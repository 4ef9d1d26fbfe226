//! Fields of coordinators' records in Kafka's encoding, plain and flexible.
//!
//! A length or count read here decides nothing but how much is taken of the bytes that are there; nothing is allocated for
//! what a record only claims.

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// The bytes end early, a length cannot be, or a text is not UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// Writes a text with its length as int16. The caller has refused longer ones.
pub(crate) fn put_string(out: &mut BytesMut, text: &str) {
    out.put_i16(i16::try_from(text.len()).expect("the coordinator refuses texts that are longer"));
    out.put_slice(text.as_bytes());
}

pub(crate) fn put_nullable(out: &mut BytesMut, text: Option<&str>) {
    match text {
        Some(text) => put_string(out, text),
        None => out.put_i16(-1),
    }
}

pub(crate) fn put_bytes(out: &mut BytesMut, bytes: &[u8]) {
    out.put_i32(i32::try_from(bytes.len()).expect("a request frame is below 2 GiB"));
    out.put_slice(bytes);
}

pub(crate) fn put_varint(out: &mut BytesMut, value: usize) {
    let mut rest = value;
    while rest >= 0x80 {
        out.put_u8((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    out.put_u8(rest as u8);
}

pub(crate) fn get_i8(buf: &mut &[u8]) -> Result<i8, Malformed> {
    buf.try_get_i8().map_err(|_| Malformed)
}

pub(crate) fn get_i16(buf: &mut &[u8]) -> Result<i16, Malformed> {
    buf.try_get_i16().map_err(|_| Malformed)
}

pub(crate) fn get_i32(buf: &mut &[u8]) -> Result<i32, Malformed> {
    buf.try_get_i32().map_err(|_| Malformed)
}

pub(crate) fn get_i64(buf: &mut &[u8]) -> Result<i64, Malformed> {
    buf.try_get_i64().map_err(|_| Malformed)
}

pub(crate) fn get_varint(buf: &mut &[u8]) -> Result<usize, Malformed> {
    let mut value = 0usize;
    for shift in (0..32).step_by(7) {
        let byte = buf.try_get_u8().map_err(|_| Malformed)?;
        value |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(Malformed)
}

/// A length of a flexible field is stored plus one, and 0 is null.
fn get_compact(buf: &mut &[u8]) -> Result<Option<usize>, Malformed> {
    Ok(get_varint(buf)?.checked_sub(1))
}

fn take<'a>(buf: &mut &'a [u8], len: usize) -> Result<&'a [u8], Malformed> {
    let (head, tail) = buf.split_at_checked(len).ok_or(Malformed)?;
    *buf = tail;
    Ok(head)
}

pub(crate) fn get_nullable<'a>(buf: &mut &'a [u8], flexible: bool) -> Result<Option<&'a str>, Malformed> {
    let len = if flexible { get_compact(buf)? } else { usize::try_from(get_i16(buf)?).ok() };
    let Some(len) = len else { return Ok(None) };
    std::str::from_utf8(take(buf, len)?).map(Some).map_err(|_| Malformed)
}

pub(crate) fn get_string<'a>(buf: &mut &'a [u8], flexible: bool) -> Result<&'a str, Malformed> {
    get_nullable(buf, flexible)?.ok_or(Malformed)
}

pub(crate) fn get_bytes(buf: &mut &[u8], flexible: bool) -> Result<Bytes, Malformed> {
    let len = if flexible { get_compact(buf)? } else { usize::try_from(get_i32(buf)?).ok() };
    Ok(Bytes::copy_from_slice(take(buf, len.unwrap_or(0))?))
}

/// How many elements follow; null counts as none.
pub(crate) fn get_count(buf: &mut &[u8], flexible: bool) -> Result<usize, Malformed> {
    let count = if flexible { get_compact(buf)? } else { usize::try_from(get_i32(buf)?).ok() };
    Ok(count.unwrap_or(0))
}

/// Hands every tagged field over with its tag.
pub(crate) fn for_each_tag<E: From<Malformed>>(
    buf: &mut &[u8],
    mut on_tag: impl FnMut(usize, &[u8]) -> Result<(), E>,
) -> Result<(), E> {
    for _ in 0..get_varint(buf)? {
        let tag = get_varint(buf)?;
        let len = get_varint(buf)?;
        on_tag(tag, take(buf, len)?)?;
    }
    Ok(())
}
