use super::*;

fn buffer(bytes: &[u8]) -> BytesMut {
    BytesMut::from(bytes)
}

#[test]
fn frames_come_out_whole_and_in_order() {
    let mut buf = buffer(b"\0\0\0\x02ab\0\0\0\0\0\0\0\x01cmore");
    assert_eq!(next_frame(&mut buf, 10), Ok(Some(Bytes::from_static(b"ab"))));
    assert_eq!(next_frame(&mut buf, 10), Ok(Some(Bytes::new())));
    assert_eq!(next_frame(&mut buf, 10), Ok(Some(Bytes::from_static(b"c"))));
    assert_eq!(&buf[..], b"more");
}

#[test]
fn a_frame_in_pieces_is_waited_for() {
    let whole = b"\0\0\0\x03abc";
    for cut in 0..whole.len() {
        let mut buf = buffer(&whole[..cut]);
        assert_eq!(next_frame(&mut buf, 10), Ok(None), "{cut} bytes");
        assert_eq!(buf.len(), cut, "nothing is taken yet");
    }
}

#[test]
fn the_length_is_refused_before_the_bytes_arrive() {
    assert_eq!(next_frame(&mut buffer(b"\0\0\0\x0b"), 10), Err(FrameError::TooLarge { len: 11, max: 10 }));
    assert_eq!(
        next_frame(&mut buffer(b"\x7f\xff\xff\xff"), 10),
        Err(FrameError::TooLarge { len: 0x7fff_ffff, max: 10 })
    );
    assert_eq!(next_frame(&mut buffer(b"\xff\xff\xff\xff"), 10), Err(FrameError::Negative { len: -1 }));
    assert_eq!(next_frame(&mut buffer(b"\0\0\0\x0a"), 10), Ok(None), "the limit itself is allowed");
}

#[test]
fn an_announced_length_reserves_nothing() {
    let mut buf = buffer(b"\0\x10\0\0ab");
    let before = buf.capacity();
    assert_eq!(next_frame(&mut buf, usize::MAX), Ok(None));
    assert_eq!(buf.capacity(), before);
}

#[test]
fn a_frame_is_a_slice_of_the_buffer() {
    let mut buf = buffer(b"\0\0\0\x02ab");
    let at = buf[4..].as_ptr();
    assert_eq!(next_frame(&mut buf, 10).unwrap().unwrap().as_ptr(), at);
}
