//! Decompression of captures: gzip, zstd, xz and bzip2, detected by their magic numbers.

use std::{
    error::Error,
    io::{self, BufRead, BufReader, Cursor, Read},
};

use bzip2::read::MultiBzDecoder;
use flate2::read::MultiGzDecoder;
use lzma_rust2::XzReader;
use ruzstd::decoding::{
    BlockDecodingStrategy, FrameDecoder,
    errors::{FrameDecoderError, ReadFrameHeaderError},
};

/// Length of the longest magic number.
const MAGIC: usize = 6;

/// Maximum memory for a file's window; `zstd --long` and `xz -9` need less.
const MAX_WINDOW: u32 = 128 << 20;

/// A reader of a file's decompressed bytes; of its bytes if it is not compressed. Reads the magic number at
/// once.
pub(super) fn reader(mut file: impl Read + Send + 'static) -> io::Result<Box<dyn Read + Send>> {
    let mut first = Vec::with_capacity(MAGIC);
    file.by_ref().take(MAGIC as u64).read_to_end(&mut first)?;
    let begin: [u8; MAGIC] = std::array::from_fn(|at| first.get(at).copied().unwrap_or_default());
    let whole = Cursor::new(first).chain(file);
    Ok(match begin {
        // RFC 1952.
        [0x1f, 0x8b, ..] => Box::new(MultiGzDecoder::new(whole)),
        // RFC 8878: a frame, or a frame to be skipped.
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => {
            Box::new(Zstd::new(BufReader::new(whole)))
        }
        // https://tukaani.org/xz/xz-file-format.txt
        [0xfd, b'7', b'z', b'X', b'Z', 0] => {
            Box::new(Xz(XzReader::new_mem_limit(BufReader::new(whole), true, MAX_WINDOW / 1024)))
        }
        [b'B', b'Z', b'h', b'1'..=b'9', ..] => Box::new(MultiBzDecoder::new(whole)),
        _ => Box::new(whole),
    })
}

/// An xz file; its error for a large window names the fix.
struct Xz<R: Read>(XzReader<R>);

impl<R: Read> Read for Xz<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer).map_err(|error| match error.kind() {
            io::ErrorKind::OutOfMemory => too_large("xz -dc"),
            _ => error,
        })
    }
}

/// The error for a file that needs more than [`MAX_WINDOW`].
fn too_large(command: &str) -> io::Error {
    io::Error::other(format!(
        "decompressing it needs more than {} MiB of memory; decompress it with another program: \
         `{command} FILE | nflog_exporter replay -`",
        MAX_WINDOW >> 20
    ))
}

/// All frames of a zstd file, in order.
struct Zstd<R> {
    source: R,
    decoder: FrameDecoder,
    in_frame: bool,
}

impl<R: BufRead> Zstd<R> {
    fn new(source: R) -> Self {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(MAX_WINDOW.into());
        Self { source, decoder, in_frame: false }
    }

    /// Begins the next frame; false at the end of the file.
    fn begin_frame(&mut self) -> io::Result<bool> {
        while !self.source.fill_buf()?.is_empty() {
            match self.decoder.init(&mut self.source) {
                Ok(()) => return Ok(true),
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    let mut skipped = self.source.by_ref().take(length.into());
                    if io::copy(&mut skipped, &mut io::sink())? < u64::from(length) {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
                Err(error) => return Err(failure(error)),
            }
        }
        Ok(false)
    }
}

impl<R: BufRead> Read for Zstd<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            if !self.in_frame {
                self.in_frame = self.begin_frame()?;
                if !self.in_frame {
                    return Ok(0);
                }
            }
            if self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
                self.decoder
                    .decode_blocks(&mut self.source, BlockDecodingStrategy::UptoBlocks(1))
                    .map_err(failure)?;
            }
            let count = self.decoder.read(buffer)?;
            if count > 0 {
                return Ok(count);
            }
            self.in_frame = !self.decoder.is_finished();
        }
    }
}

/// The error as [`io::Error`], with the kind of its cause.
fn failure(error: FrameDecoderError) -> io::Error {
    if matches!(error, FrameDecoderError::WindowSizeTooBig { .. }) {
        return too_large("zstd -dc --long=31");
    }
    let mut cause: Option<&(dyn Error + 'static)> = Some(&error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return io::Error::new(error.kind(), error.to_string());
        }
        cause = error.source();
    }
    io::Error::new(io::ErrorKind::InvalidData, error)
}
