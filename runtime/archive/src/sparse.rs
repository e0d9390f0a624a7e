//! Files with holes: where what an archive has of a file goes in it.
//!
//! GNU tar has two ways to say it: in the header and blocks behind it (type `S`), and at the start of the content (version 1.0 in a PAX archive).

use std::io::Read;

use tar::{GnuExtSparseHeader, GnuSparseHeader, Header};

use super::{BLOCK, Problem, fill};

/// Most pieces of one file; a map of them takes 4 MiB.
pub(crate) const PIECES: usize = 1 << 18;
/// Most blocks of a map behind a header: a block without a piece in it counts too.
const BLOCKS: usize = 1 << 14;
/// Longest number in a map, digits.
const DIGITS: usize = 20;

/// A piece of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Where it begins, bytes.
    pub offset: u64,
    /// How long it is, bytes.
    pub length: u64,
}

/// The map of a header of type `S`, with the blocks behind it.
pub(super) fn of_header(header: &Header, reader: &mut impl Read) -> Result<(Vec<Piece>, u64), Problem> {
    let broken = |_| Problem::archive("has a map of a sparse file with a wrong number in it");
    let gnu = header.as_gnu().ok_or_else(|| Problem::archive("has a sparse file in a header that is not GNU tar's"))?;
    let mut pieces = Vec::new();
    add(&mut pieces, &gnu.sparse)?;
    let mut more = gnu.is_extended();
    let mut blocks = 0;
    while more {
        blocks += 1;
        if blocks > BLOCKS {
            return Err(Problem::archive("has a map of a sparse file in more than 16384 blocks"));
        }
        let mut block = GnuExtSparseHeader::new();
        fill(reader, block.as_mut_bytes())?;
        add(&mut pieces, block.sparse())?;
        more = block.is_extended();
    }
    Ok((pieces, gnu.real_size().map_err(broken)?))
}

fn add(pieces: &mut Vec<Piece>, found: &[GnuSparseHeader]) -> Result<(), Problem> {
    let broken = |_| Problem::archive("has a map of a sparse file with a wrong number in it");
    for piece in found.iter().filter(|piece| !piece.is_empty()) {
        push(pieces, piece.offset().map_err(broken)?, piece.length().map_err(broken)?)?;
    }
    Ok(())
}

fn push(pieces: &mut Vec<Piece>, offset: u64, length: u64) -> Result<(), Problem> {
    if pieces.len() >= PIECES {
        return Err(Problem::archive("has a sparse file of more than 262144 pieces"));
    }
    pieces.push(Piece { offset, length });
    Ok(())
}

/// The map at the start of a file's content: lines with the number of pieces, then offset and length of each, filled up to whole blocks. Gives how many bytes
/// of the content it takes.
pub(super) fn of_content(reader: &mut impl Read, content: u64) -> Result<(Vec<Piece>, u64), Problem> {
    let broken = || Problem::archive("has a map of a sparse file that is none");
    let mut taken = 0_u64;
    let mut block = [0_u8; BLOCK];
    let mut at = BLOCK;
    let mut line = || -> Result<u64, Problem> {
        let mut digits = String::new();
        loop {
            if at == BLOCK {
                taken = taken.saturating_add(BLOCK as u64);
                if taken > content {
                    return Err(broken());
                }
                fill(reader, &mut block)?;
                at = 0;
            }
            let byte = block.get(at).copied().unwrap_or_default();
            at += 1;
            match byte {
                b'\n' => return digits.parse().map_err(|_| broken()),
                b'0'..=b'9' if digits.len() < DIGITS => digits.push(char::from(byte)),
                _ => return Err(broken()),
            }
        }
    };
    let count = line()?;
    let mut pieces = Vec::new();
    for _ in 0..count {
        let (offset, length) = (line()?, line()?);
        push(&mut pieces, offset, length)?;
    }
    Ok((pieces, taken))
}

/// Refuses a map whose pieces are not in order, lie outside of the file, or are not what is stored of it.
pub(super) fn check(pieces: &[Piece], size: u64, stored: u64) -> Result<(), &'static str> {
    let (mut end, mut sum) = (0_u64, 0_u64);
    for piece in pieces {
        if piece.offset < end {
            return Err("has pieces that overlap, or are not in order");
        }
        end = piece.offset.checked_add(piece.length).filter(|end| *end <= size).ok_or("has a piece behind its end")?;
        // No overflow: pieces do not overlap, so their sum is at most `size`.
        sum = sum.saturating_add(piece.length);
    }
    if sum == stored { Ok(()) } else { Err("has a map that is not that of its content") }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    /// Blocks without a piece in them, each of which says that there is another.
    struct Endless;

    impl Read for Endless {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            buffer.fill(0);
            buffer[504] = 1;
            Ok(buffer.len())
        }
    }

    #[test]
    fn a_map_without_an_end_is_refused() {
        let mut header = Header::new_gnu();
        header.as_gnu_mut().unwrap().isextended = [1];
        let refused = of_header(&header, &mut Endless).unwrap_err().to_string();
        assert_eq!(refused, "the archive has a map of a sparse file in more than 16384 blocks");
    }
}
