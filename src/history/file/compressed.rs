//! Compression with zstd, recognised by its first bytes.

use std::io::{self, BufRead, Read};

use ruzstd::decoding::StreamingDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
const ZSTD: &str = "zstd";
/// What gzip begins with.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// What bytes that begin so were compressed with.
pub fn compression(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        bytes if bytes.starts_with(&MAGIC) => Some(ZSTD),
        bytes if bytes.starts_with(&GZIP) => Some("gzip"),
        _ => None,
    }
}

/// The source itself, or what it decompresses to; fails for gzip, and says what to do.
pub fn decompressed(mut source: impl BufRead + Send + 'static) -> io::Result<Box<dyn Read + Send>> {
    match compression(source.fill_buf()?) {
        None => Ok(Box::new(source)),
        Some(ZSTD) => Ok(Box::new(Frames { source: Some(source), decoder: None })),
        Some(other) => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!(
                "it is compressed with {other}; expected plain text or zstd, so decompress it \
                 first, as in `zcat FILE | staleproof check -`"
            ),
        )),
    }
}

/// The bytes, compressed.
pub fn compressed(bytes: &[u8]) -> Vec<u8> {
    compress_to_vec(bytes, CompressionLevel::Fastest)
}

/// Frames one after the other, as `cat a.zst b.zst` gives them.
struct Frames<R: Read> {
    source: Option<R>,
    decoder: Option<StreamingDecoder<R, ruzstd::decoding::FrameDecoder>>,
}

impl<R: BufRead> Read for Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(decoder) = &mut self.decoder {
                match decoder.read(buffer)? {
                    0 => self.source = self.decoder.take().map(StreamingDecoder::into_inner),
                    count => return Ok(count),
                }
            }
            let Some(mut source) = self.source.take() else { return Ok(0) };
            if source.fill_buf()?.is_empty() {
                return Ok(0);
            }
            self.decoder = Some(StreamingDecoder::new(source).map_err(wrong)?);
        }
    }
}

fn wrong(error: FrameDecoderError) -> io::Error {
    let what = match error {
        FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame { .. }) => {
            "it has a frame that is no data; decompress it with `zstd -d` first".to_owned()
        }
        error => format!("it is not zstd as expected: {error}"),
    };
    io::Error::new(io::ErrorKind::InvalidData, what)
}
