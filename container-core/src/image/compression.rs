//! Compressions of layers and archives, told by their first bytes: gzip (RFC 1952) and zstd (RFC 8878).

use std::io::{self, BufRead, Read};

use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

/// The stream behind `raw`, uncompressed. The error is a reason.
pub(super) fn decompressed<'a>(mut raw: impl BufRead + 'a) -> Result<Box<dyn Read + 'a>, String> {
    let start = raw.fill_buf().map_err(|e| e.to_string())?;
    Ok(match start {
        [] => return Err("the file is empty".to_owned()),
        [0x1f, 0x8b, ..] => Box::new(MultiGzDecoder::new(raw)),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Box::new(Zstd::new(raw)),
        // A skippable frame may come first.
        [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Box::new(Zstd::new(raw)),
        [0xfd, b'7', b'z', ..] | [b'B', b'Z', b'h', ..] => {
            return Err("of compressed archives, only gzip and zstd can be read".to_owned());
        }
        _ => Box::new(raw),
    })
}

/// Any number of zstd frames after each other. Frames to be skipped carry what others made of them: the
/// "zstd:chunked" format keeps its table of contents there.
struct Zstd<R> {
    source: R,
    decoder: FrameDecoder,
    in_frame: bool,
}

impl<R: BufRead> Zstd<R> {
    fn new(source: R) -> Zstd<R> {
        Zstd { source, decoder: FrameDecoder::new(), in_frame: false }
    }

    /// Go to the next frame's content; false at the end of the stream.
    fn enter_frame(&mut self) -> io::Result<bool> {
        loop {
            if self.source.fill_buf()?.is_empty() {
                return Ok(false);
            }
            match self.decoder.init(&mut self.source) {
                Ok(()) => return Ok(true),
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    let length = u64::from(length);
                    let skipped = io::copy(&mut self.source.by_ref().take(length), &mut io::sink())?;
                    if skipped != length {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
                Err(error) => return Err(io::Error::other(error.to_string())),
            }
        }
    }
}

impl<R: BufRead> Read for Zstd<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while !buffer.is_empty() {
            if !self.in_frame && !self.enter_frame()? {
                return Ok(0);
            }
            self.in_frame = true;
            while self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
                let decoded =
                    self.decoder.decode_blocks(&mut self.source, BlockDecodingStrategy::UptoBlocks(1));
                decoded.map_err(|error| io::Error::other(error.to_string()))?;
            }
            let count = self.decoder.read(buffer)?;
            if count > 0 {
                return Ok(count);
            }
            self.in_frame = false;
        }
        Ok(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};

    fn read(bytes: &[u8]) -> Result<Vec<u8>, String> {
        let mut all = Vec::new();
        decompressed(bytes)?.read_to_end(&mut all).map_err(|e| e.to_string())?;
        Ok(all)
    }

    #[test]
    fn every_frame_is_read_and_skippable_ones_are_skipped() {
        let frame = |text: &[u8]| compress_to_vec(text, CompressionLevel::Fastest);
        let skippable = [0x5a, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3];
        let stream = [skippable.as_slice(), &frame(b"one "), &skippable, &frame(b"two"), &skippable].concat();
        assert_eq!(read(&stream).unwrap(), b"one two");
        let long = b"abcdefgh".repeat(100_000);
        assert_eq!(read(&frame(&long)).unwrap(), long);
    }

    #[test]
    fn what_ends_early_or_is_unknown_is_an_error() {
        let frame = compress_to_vec(b"some text".as_slice(), CompressionLevel::Fastest);
        assert!(read(&frame[..frame.len() - 3]).is_err());
        assert!(read(&[0x5a, 0x2a, 0x4d, 0x18, 9, 0, 0, 0, 1]).is_err());
        assert!(read(b"BZh9").is_err());
        assert!(read(b"").is_err());
        assert_eq!(read(b"plain").unwrap(), b"plain");
    }
}
