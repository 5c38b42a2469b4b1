//! The compressions of version 7: zlib and zstd, as trace-cmd was built with.

use super::TraceDatError;
use std::io::Read;

/// What a part of the file is packed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    None,
    Zlib,
    Zstd,
}

impl Packing {
    pub(super) fn named(name: &str) -> Result<Self, TraceDatError> {
        match name {
            "none" => Ok(Self::None),
            "zlib" => Ok(Self::Zlib),
            "zstd" => Ok(Self::Zstd),
            other => Err(TraceDatError::Packing { name: other.to_owned() }),
        }
    }

    /// Unpacks into `to`, which is emptied before: exactly `length` bytes, as the file says. The reason of a
    /// failure is in words.
    pub(super) fn unpack(self, packed: &[u8], length: usize, to: &mut Vec<u8>) -> Result<(), String> {
        to.clear();
        // One byte more than promised would be noticed, more are never made.
        let most = length as u64 + 1;
        match self {
            Self::None => to.extend_from_slice(packed),
            Self::Zlib => {
                flate2::read::ZlibDecoder::new(packed)
                    .take(most)
                    .read_to_end(to)
                    .map_err(|e| e.to_string())?;
            }
            Self::Zstd => {
                let decoder = zstd::stream::read::Decoder::with_buffer(packed).map_err(|e| e.to_string())?;
                decoder.take(most).read_to_end(to).map_err(|e| e.to_string())?;
            }
        }
        if to.len() != length {
            return Err(format!("{length} bytes were promised, {} came", to.len()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn exactly_what_was_promised() {
        let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        zlib.write_all(&[7; 10_000]).unwrap();
        let zlib = zlib.finish().unwrap();
        let zstd = zstd::encode_all(&[7; 10_000][..], 1).unwrap();
        let mut to = vec![1; 3];
        for (packing, bytes) in [(Packing::Zlib, &zlib), (Packing::Zstd, &zstd)] {
            packing.unpack(bytes, 10_000, &mut to).unwrap();
            assert_eq!(to, [7; 10_000]);
            assert!(packing.unpack(bytes, 9_999, &mut to).unwrap_err().contains("promised"));
            assert!(packing.unpack(bytes, 10_001, &mut to).is_err());
            assert!(packing.unpack(&bytes[..bytes.len() / 2], 10_000, &mut to).is_err());
            assert!(packing.unpack(b"something else", 10_000, &mut to).is_err());
        }
        assert!(Packing::named("lzma").unwrap_err().to_string().contains("lzma"));
    }
}
