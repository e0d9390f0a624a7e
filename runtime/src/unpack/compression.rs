//! What an archive is packed with, told by its first bytes.

use std::io::{self, BufRead, Read};

use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

/// A tar archive's bytes, whatever it is packed with.
///
/// # Errors
/// For a packing that is not taken, or an error of the reader's.
pub fn unpacked<'a, R: BufRead + 'a>(mut packed: R) -> io::Result<Box<dyn Read + 'a>> {
    let start = packed.fill_buf()?;
    if start.starts_with(&[0x1F, 0x8B]) {
        return Ok(Box::new(MultiGzDecoder::new(packed)));
    }
    if is_zstd(start) {
        return Ok(Box::new(Zstd { packed, decoder: FrameDecoder::new(), in_frame: false, failed: false }));
    }
    for (magic, name) in
        [(&b"\xFD7zXZ\0"[..], "xz"), (b"BZh", "bzip2"), (b"\x04\x22\x4D\x18", "lz4"), (b"PK\x03\x04", "zip")]
    {
        if start.starts_with(magic) {
            let text = format!("is packed with {name}; a tar archive is taken plain, or packed with gzip or zstd");
            return Err(io::Error::new(io::ErrorKind::Unsupported, text));
        }
    }
    Ok(Box::new(packed))
}

/// A frame of content, or one to be skipped (RFC 8878, 3.1).
fn is_zstd(start: &[u8]) -> bool {
    match *start {
        [0x28, 0xB5, 0x2F, 0xFD, ..] => true,
        [first, 0x2A, 0x4D, 0x18, ..] => first & 0xF0 == 0x50,
        _ => false,
    }
}

/// Frames one after the other; `ruzstd` reads one. It takes windows of up to 100 MiB, and does not bound what one block becomes:
/// that is for the limit on the process that reads (`process/unpack.rs`). A decoder that has failed is in no state to go on, and is not asked to.
struct Zstd<R> {
    packed: R,
    decoder: FrameDecoder,
    in_frame: bool,
    failed: bool,
}

impl<R: BufRead> Zstd<R> {
    /// Begins the next frame; `false` at the end.
    fn begin(&mut self) -> io::Result<bool> {
        if self.packed.fill_buf()?.is_empty() {
            return Ok(false);
        }
        match self.decoder.init(&mut self.packed) {
            Ok(()) => self.in_frame = true,
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame { length, .. })) => {
                let skipped = io::copy(&mut (&mut self.packed).take(length.into()), &mut io::sink())?;
                if skipped < u64::from(length) {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
            Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, error)),
        }
        Ok(true)
    }

    /// Ends a frame whose content has been read.
    fn end(&mut self) -> io::Result<()> {
        self.in_frame = false;
        let said = self.decoder.get_checksum_from_data();
        if said.is_some() && said != self.decoder.get_calculated_checksum() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a frame's checksum is wrong"));
        }
        Ok(())
    }

    fn decoded(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if !self.in_frame {
                if !self.begin()? {
                    return Ok(0);
                }
            } else if self.decoder.can_collect() > 0 {
                return self.decoder.read(buffer);
            } else if self.decoder.is_finished() {
                self.end()?;
            } else {
                let decoded = self.decoder.decode_blocks(&mut self.packed, BlockDecodingStrategy::UptoBlocks(1));
                decoded.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            }
        }
    }
}

impl<R: BufRead> Read for Zstd<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.failed {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it cannot be unpacked beyond an error"));
        }
        let read = self.decoded(buffer);
        self.failed = read.is_err();
        read
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    use super::*;

    /// What a program makes of some bytes.
    fn through(program: &str, content: &[u8]) -> Vec<u8> {
        let mut child = Command::new(program).arg("-c").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        let content = content.to_vec();
        let writer = std::thread::spawn(move || input.write_all(&content));
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap().unwrap();
        output.stdout
    }

    fn read(packed: &[u8]) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        unpacked(packed)?.read_to_end(&mut content)?;
        Ok(content)
    }

    #[test]
    fn what_gzip_and_zstd_have_packed_is_read_in_several_parts_and_its_damage_is_found() {
        let content: Vec<u8> = (0..300_000_u32).flat_map(|number| (number / 7).to_le_bytes()).collect();
        for program in ["gzip", "zstd"] {
            let packed = through(program, &content);
            assert!(packed.len() < content.len() / 2, "{program}");
            let mut twice = packed.clone();
            if program == "zstd" {
                twice.extend([0x5A, 0x2A, 0x4D, 0x18, 3, 0, 0, 0, 1, 2, 3]);
            }
            twice.extend(&packed);
            assert!(read(&packed).unwrap() == content, "{program}");
            assert!(read(&twice).unwrap() == content.repeat(2), "{program}");
            assert!(read(&packed[..packed.len() - 1]).is_err(), "{program}");
            let mut damaged = packed;
            let middle = damaged.len() / 2;
            damaged[middle] ^= 0x55;
            assert!(read(&damaged).is_err(), "{program}");
        }
    }

    #[test]
    fn nothing_is_read_beyond_an_error() {
        // Found by the fuzzer: the decoder keeps half of a table that it has refused, and uses it if it is asked again.
        let packed = include_bytes!("../../../fuzz/corpus/archive/zstd-table-of-nothing");
        let mut reader = unpacked(&packed[..]).unwrap();
        let read = std::iter::repeat_with(|| reader.read(&mut [0; 64])).find(Result::is_err);
        assert!(read.is_some());
        for _ in 0..3 {
            assert!(reader.read(&mut [0; 64]).is_err());
        }
    }

    #[test]
    fn other_packings_are_refused_by_name() {
        for (start, name) in [(&b"\xFD7zXZ\0..."[..], "xz"), (b"BZh91AY", "bzip2")] {
            let refused = read(start).unwrap_err().to_string();
            assert!(refused.contains(name), "{refused}");
        }
        assert_eq!(read(b"plain").unwrap(), b"plain");
    }
}
