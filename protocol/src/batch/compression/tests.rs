//! Every codec against itself, against the other library where one is at hand, and against hostile bytes.

use proptest::prelude::*;

use super::*;

const ALL: [Compression; 5] =
    [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];
const CODECS: [Compression; 4] =
    [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

fn text(len: usize) -> Vec<u8> {
    (0..len).map(|i| b"the tide comes in, the tide goes out; "[(i * 7 + i / 900) % 38]).collect()
}

#[test]
fn ids_and_names_are_those_of_kafka() {
    for (id, codec) in ALL.into_iter().enumerate() {
        assert_eq!(Compression::from_id(id as u8), Some(codec));
        assert_eq!(usize::from(codec.id()), id);
        assert_eq!(Compression::from_name(codec.name()), Some(codec));
    }
    assert_eq!(Compression::from_id(5), None);
    assert_eq!(Compression::from_name("producer"), None);
}

#[test]
fn every_level_unfolds_to_the_input() {
    let input = text(200_000);
    for codec in CODECS {
        for level in [None, Some(-131_072), Some(-1), Some(0), Some(1), Some(5), Some(9), Some(12), Some(19)]
        {
            let packed = codec.compress(level, &input);
            assert_eq!(
                codec.decompress(&packed, input.len()).as_deref(),
                Ok(&input[..]),
                "{codec:?} {level:?}"
            );
        }
    }
}

#[test]
fn a_higher_level_packs_tighter() {
    let input = text(100_000);
    for (codec, low, high) in
        [(Compression::Gzip, 1, 9), (Compression::Lz4, 9, 17), (Compression::Zstd, -100, 19)]
    {
        let (loose, tight) = (codec.compress(Some(low), &input), codec.compress(Some(high), &input));
        assert!(tight.len() < loose.len(), "{codec:?}: {} against {}", tight.len(), loose.len());
    }
}

#[test]
fn the_cap_is_exact() {
    let zeros = vec![0; 100_000];
    for codec in ALL {
        let packed = codec.compress(None, &zeros);
        assert_eq!(codec.decompress(&packed, zeros.len()).map(|out| out.len()), Ok(zeros.len()), "{codec:?}");
        let cap = zeros.len() - 1;
        assert_eq!(codec.decompress(&packed, cap), Err(DecompressError::TooLarge { cap }), "{codec:?}");
    }
}

#[test]
fn a_bomb_stops_at_the_cap() {
    let zeros = vec![0; 64 << 20];
    for codec in CODECS {
        let packed = codec.compress(None, &zeros);
        let cap = 1 << 20;
        assert_eq!(codec.decompress(&packed, cap), Err(DecompressError::TooLarge { cap }), "{codec:?}");
    }
}

#[test]
fn a_cut_input_is_corrupt() {
    let input = text(5_000);
    for codec in [Compression::Gzip, Compression::Snappy, Compression::Zstd] {
        let packed = codec.compress(None, &input);
        for cut in [1, packed.len() / 2, packed.len() - 1] {
            let result = codec.decompress(&packed[..cut], 1 << 20);
            assert!(matches!(result, Err(DecompressError::Corrupt { .. })), "{codec:?} cut to {cut}");
        }
    }
}

#[test]
fn raw_snappy_is_read_too() {
    let input = text(100_000);
    let raw = snap::raw::Encoder::new().compress_vec(&input).unwrap();
    assert_eq!(Compression::Snappy.decompress(&raw, input.len()), Ok(input));
}

#[test]
fn snappy_is_framed_as_java_does() {
    let packed = Compression::Snappy.compress(None, &text(40_000));
    assert_eq!(packed[..16], [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0, 0, 0, 0, 1, 0, 0, 0, 1]);
    let first = i32::from_be_bytes(packed[16..20].try_into().unwrap()) as usize;
    assert_eq!(snap::raw::decompress_len(&packed[20..20 + first]), Ok(32 * 1024));
}

#[test]
fn concatenated_members_and_streams_unfold_to_both() {
    for codec in [Compression::Gzip, Compression::Snappy, Compression::Zstd] {
        let packed = [codec.compress(None, b"one "), codec.compress(None, b"two")].concat();
        assert_eq!(codec.decompress(&packed, 100).as_deref(), Ok(&b"one two"[..]), "{codec:?}");
    }
}

#[test]
fn gzip_with_a_full_header_is_read() {
    use std::io::Write;
    let mut encoder = flate2::GzBuilder::new()
        .filename("a name")
        .comment("a comment")
        .extra(vec![1, 2, 3])
        .write(Vec::new(), flate2::Compression::fast());
    encoder.write_all(b"hello").unwrap();
    let packed = encoder.finish().unwrap();
    assert_eq!(Compression::Gzip.decompress(&packed, 100).as_deref(), Ok(&b"hello"[..]));
}

#[test]
fn gzip_is_read_by_a_stock_reader() {
    use std::io::Read;
    let input = text(70_000);
    let packed = Compression::Gzip.compress(Some(4), &input);
    let mut out = Vec::new();
    flate2::read::GzDecoder::new(&packed[..]).read_to_end(&mut out).unwrap();
    assert_eq!(out, input);
}

#[test]
fn lz4_frames_begin_as_those_of_java() {
    for level in [1, 9, 17] {
        for input in [text(0), text(10), text(200_000), vec![0; 200_000], (0..=255).collect()] {
            let packed = Compression::Lz4.compress(Some(level), &input);
            assert_eq!(packed[..7], [0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82]);
            assert_eq!(Compression::Lz4.decompress(&packed, 1 << 20), Ok(input));
        }
    }
}

#[test]
fn lz4_with_linked_blocks_and_checksums_is_read() {
    use std::io::Write;
    let input = text(300_000);
    let info = lz4_flex::frame::FrameInfo::new()
        .block_mode(lz4_flex::frame::BlockMode::Linked)
        .block_checksums(true)
        .content_checksum(true);
    let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(info, Vec::new());
    encoder.write_all(&input).unwrap();
    assert_eq!(Compression::Lz4.decompress(&encoder.finish().unwrap(), 1 << 20), Ok(input));
}

proptest! {
    #[test]
    fn whatever_goes_in_comes_out(
        input in prop::collection::vec(prop_oneof![Just(0u8), Just(1u8), any::<u8>()], 0..5000),
        level in prop::option::of(-10..25),
    ) {
        for codec in ALL {
            let packed = codec.compress(level, &input);
            prop_assert_eq!(codec.decompress(&packed, input.len()), Ok(input.clone()), "{:?}", codec);
        }
    }

    #[test]
    fn hostile_bytes_never_panic(input in prop::collection::vec(any::<u8>(), 0..200)) {
        for codec in CODECS {
            let _ = codec.decompress(&input, 1000);
        }
    }

    #[test]
    fn damaged_data_never_panics(flips in prop::collection::vec((0usize..10_000, any::<u8>()), 1..6)) {
        for codec in CODECS {
            let mut packed = codec.compress(None, &text(3_000));
            for &(at, byte) in &flips {
                let at = at % packed.len();
                packed[at] ^= byte;
            }
            if let Ok(out) = codec.decompress(&packed, 10_000) {
                prop_assert!(out.len() <= 10_000);
            }
        }
    }
}
