//! Compressions of layers and archives, told by their first bytes: gzip (RFC 1952) and zstd (RFC 8878).

use std::io::{BufRead, Read};

use flate2::bufread::MultiGzDecoder;

/// The stream behind `raw`, uncompressed. The error is a reason.
pub(super) fn decompressed<'a>(mut raw: impl BufRead + 'a) -> Result<Box<dyn Read + 'a>, String> {
    let start = raw.fill_buf().map_err(|e| e.to_string())?;
    Ok(match start {
        [] => return Err("the file is empty".to_owned()),
        [0x1f, 0x8b, ..] => Box::new(MultiGzDecoder::new(raw)),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => zstd(raw)?,
        // A skippable frame may come first.
        [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => zstd(raw)?,
        [0xfd, b'7', b'z', ..] | [b'B', b'Z', b'h', ..] => {
            return Err("of compressed archives, only gzip and zstd can be read".to_owned());
        }
        _ => Box::new(raw),
    })
}

/// Any number of frames after each other. Frames to be skipped carry what others made of them: the "zstd:chunked"
/// format keeps its table of contents there. libzstd refuses windows above 128 MiB by itself.
fn zstd<'a>(raw: impl BufRead + 'a) -> Result<Box<dyn Read + 'a>, String> {
    let decoder = zstd::stream::read::Decoder::with_buffer(raw);
    decoder.map(|decoder| Box::new(decoder) as Box<dyn Read + 'a>).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(text: &[u8]) -> Vec<u8> {
        zstd::encode_all(text, 1).unwrap()
    }

    fn read(bytes: &[u8]) -> Result<Vec<u8>, String> {
        let mut all = Vec::new();
        decompressed(bytes)?.read_to_end(&mut all).map_err(|e| e.to_string())?;
        Ok(all)
    }

    #[test]
    fn every_frame_is_read_and_skippable_ones_are_skipped() {
        let skippable = [0x5a, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3];
        let stream = [skippable.as_slice(), &frame(b"one "), &skippable, &frame(b"two"), &skippable].concat();
        assert_eq!(read(&stream).unwrap(), b"one two");
        let long = b"abcdefgh".repeat(100_000);
        assert_eq!(read(&frame(&long)).unwrap(), long);
    }

    #[test]
    fn what_ends_early_or_is_unknown_is_an_error() {
        let frame = frame(b"some text");
        assert!(read(&frame[..frame.len() - 3]).is_err());
        assert!(read(&[0x5a, 0x2a, 0x4d, 0x18, 9, 0, 0, 0, 1]).is_err());
        assert!(read(b"BZh9").is_err());
        assert!(read(b"").is_err());
        assert_eq!(read(b"plain").unwrap(), b"plain");
    }
}
