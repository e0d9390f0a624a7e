//! Packets of an exec connection: a letter, numbers of fixed size (little-endian), then bytes to the packet's end. One packet of the socket each.

use super::CHUNK_MAX;

/// What is before the bytes, at most.
const HEAD: usize = 18;
/// Largest packet, bytes.
pub const PACKET_MAX: usize = HEAD + CHUNK_MAX;

/// A stream of output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output, or the terminal.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Stream {
    /// Both, in the order of everything that has one of each.
    pub const ALL: [Self; 2] = [Self::Stdout, Self::Stderr];

    /// Its place in such an order.
    #[must_use]
    pub fn index(self) -> usize {
        match self {
            Self::Stdout => 0,
            Self::Stderr => 1,
        }
    }
}

/// From a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToSupervisor<'a> {
    /// A part of a request as JSON.
    Request {
        /// Its bytes.
        bytes: &'a [u8],
        /// More of it follow.
        more: bool,
    },
    /// Input.
    Stdin {
        /// Where it begins.
        offset: u64,
        /// At most [`CHUNK_MAX`] bytes.
        data: &'a [u8],
    },
    /// There is no more input than this.
    CloseStdin {
        /// All bytes of input.
        offset: u64,
    },
    /// Another size of the terminal.
    Resize {
        /// Rows, from 1.
        rows: u16,
        /// Columns, from 1.
        columns: u16,
    },
    /// A signal for the session's command.
    Signal {
        /// Its number, 1 to 64.
        signal: u8,
    },
    /// Output that the client has dealt with.
    Ack {
        /// Behind the last byte, of each stream.
        offsets: [u64; 2],
    },
    /// The client goes, and the session is to go on.
    Detach,
    /// The client is gone. Whoever only closes the connection (an agent that died) may come back for it.
    Lost,
}

/// From the supervisor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToClient<'a> {
    /// A [`super::Reply`] as JSON.
    Reply(&'a [u8]),
    /// Output.
    Output {
        /// Of which stream.
        stream: Stream,
        /// Where it begins.
        offset: u64,
        /// At most [`CHUNK_MAX`] bytes.
        data: &'a [u8],
    },
    /// Input that was given to the process.
    StdinAck {
        /// Behind the last byte.
        offset: u64,
    },
    /// Output that is lost.
    Truncated {
        /// Of which stream.
        stream: Stream,
        /// The first byte.
        from: u64,
        /// Behind the last one.
        to: u64,
    },
    /// Another client has taken the input.
    InputTaken,
    /// The session has ended and all its output was sent: an [`super::Exit`] as JSON; of a console nothing.
    Exited(&'a [u8]),
}

impl<'a> ToSupervisor<'a> {
    /// As a packet, instead of what `packet` was.
    pub fn encode(&self, packet: &mut Vec<u8>) {
        packet.clear();
        match self {
            Self::Request { bytes, more } => {
                packet.push(if *more { b'r' } else { b'R' });
                packet.extend_from_slice(bytes);
            }
            Self::Stdin { offset, data } => numbered(packet, b'i', &[*offset], data),
            Self::CloseStdin { offset } => numbered(packet, b'c', &[*offset], &[]),
            Self::Resize { rows, columns } => {
                numbered(packet, b'w', &[u64::from(*rows), u64::from(*columns)], &[]);
            }
            Self::Signal { signal } => packet.extend_from_slice(&[b'k', *signal]),
            Self::Ack { offsets } => numbered(packet, b'a', offsets, &[]),
            Self::Detach => packet.push(b'd'),
            Self::Lost => packet.push(b'l'),
        }
    }

    /// What a packet says; `None` for what is none.
    #[must_use]
    pub fn decode(packet: &'a [u8]) -> Option<Self> {
        let (letter, rest) = packet.split_first()?;
        let side = |number: u64| u16::try_from(number).ok().filter(|side| *side > 0);
        Some(match letter {
            b'r' => Self::Request { bytes: rest, more: true },
            b'R' => Self::Request { bytes: rest, more: false },
            b'i' => {
                let ([offset], data) = numbers(rest)?;
                Self::Stdin { offset, data: bounded(data)? }
            }
            b'c' => {
                let [offset] = only(rest)?;
                Self::CloseStdin { offset }
            }
            b'w' => {
                let [rows, columns] = only(rest)?;
                Self::Resize { rows: side(rows)?, columns: side(columns)? }
            }
            b'k' => match rest {
                [signal @ 1..=64] => Self::Signal { signal: *signal },
                _ => return None,
            },
            b'a' => Self::Ack { offsets: only(rest)? },
            b'd' if rest.is_empty() => Self::Detach,
            b'l' if rest.is_empty() => Self::Lost,
            _ => return None,
        })
    }
}

impl<'a> ToClient<'a> {
    /// As a packet, instead of what `packet` was.
    pub fn encode(&self, packet: &mut Vec<u8>) {
        packet.clear();
        match self {
            Self::Reply(json) => numbered(packet, b'j', &[], json),
            Self::Output { stream: Stream::Stdout, offset, data } => numbered(packet, b'o', &[*offset], data),
            Self::Output { stream: Stream::Stderr, offset, data } => numbered(packet, b'e', &[*offset], data),
            Self::StdinAck { offset } => numbered(packet, b's', &[*offset], &[]),
            Self::Truncated { stream, from, to } => {
                numbered(packet, if *stream == Stream::Stdout { b't' } else { b'u' }, &[*from, *to], &[]);
            }
            Self::InputTaken => packet.push(b'y'),
            Self::Exited(json) => numbered(packet, b'x', &[], json),
        }
    }

    /// What a packet says; `None` for what is none.
    #[must_use]
    pub fn decode(packet: &'a [u8]) -> Option<Self> {
        let (letter, rest) = packet.split_first()?;
        let output = |stream| {
            let ([offset], data) = numbers(rest)?;
            Some(Self::Output { stream, offset, data: bounded(data)? })
        };
        let truncated = |stream| {
            let [from, to] = only(rest)?;
            Some(Self::Truncated { stream, from, to })
        };
        match letter {
            b'j' => Some(Self::Reply(rest)),
            b'o' => output(Stream::Stdout),
            b'e' => output(Stream::Stderr),
            b's' => {
                let [offset] = only(rest)?;
                Some(Self::StdinAck { offset })
            }
            b't' => truncated(Stream::Stdout),
            b'u' => truncated(Stream::Stderr),
            b'y' if rest.is_empty() => Some(Self::InputTaken),
            b'x' => Some(Self::Exited(rest)),
            _ => None,
        }
    }
}

fn numbered(packet: &mut Vec<u8>, letter: u8, numbers: &[u64], data: &[u8]) {
    packet.push(letter);
    numbers.iter().for_each(|number| packet.extend_from_slice(&number.to_le_bytes()));
    packet.extend_from_slice(data);
}

/// The numbers a packet begins with, and the rest.
fn numbers<const COUNT: usize>(bytes: &[u8]) -> Option<([u64; COUNT], &[u8])> {
    let (mut found, mut rest) = ([0; COUNT], bytes);
    for number in &mut found {
        let (first, behind) = rest.split_first_chunk()?;
        (*number, rest) = (u64::from_le_bytes(*first), behind);
    }
    Some((found, rest))
}

fn only<const COUNT: usize>(bytes: &[u8]) -> Option<[u64; COUNT]> {
    let (numbers, rest) = numbers(bytes)?;
    rest.is_empty().then_some(numbers)
}

fn bounded(data: &[u8]) -> Option<&[u8]> {
    (data.len() <= CHUNK_MAX).then_some(data)
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn every_packet_round_trips(a: u64, b: u64, data: Vec<u8>, side in 1_u16.., signal in 1_u8..=64) {
            let mut packet = Vec::new();
            for said in [
                ToSupervisor::Request { bytes: &data, more: true },
                ToSupervisor::Request { bytes: &data, more: false },
                ToSupervisor::Stdin { offset: a, data: &data },
                ToSupervisor::CloseStdin { offset: a },
                ToSupervisor::Resize { rows: side, columns: 1 },
                ToSupervisor::Signal { signal },
                ToSupervisor::Ack { offsets: [a, b] },
                ToSupervisor::Detach,
                ToSupervisor::Lost,
            ] {
                said.encode(&mut packet);
                proptest::prop_assert_eq!(ToSupervisor::decode(&packet), Some(said));
            }
            for said in [
                ToClient::Reply(&data),
                ToClient::Output { stream: Stream::Stdout, offset: a, data: &data },
                ToClient::Output { stream: Stream::Stderr, offset: b, data: &data },
                ToClient::StdinAck { offset: a },
                ToClient::Truncated { stream: Stream::Stdout, from: a, to: b },
                ToClient::Truncated { stream: Stream::Stderr, from: a, to: b },
                ToClient::InputTaken,
                ToClient::Exited(&data),
            ] {
                said.encode(&mut packet);
                proptest::prop_assert_eq!(ToClient::decode(&packet), Some(said));
            }
        }

        #[test]
        fn no_bytes_make_it_panic_and_only_packets_are_taken(bytes: Vec<u8>) {
            let mut packet = Vec::new();
            if let Some(said) = ToSupervisor::decode(&bytes) {
                said.encode(&mut packet);
                proptest::prop_assert_eq!(&packet, &bytes);
            }
            if let Some(said) = ToClient::decode(&bytes) {
                said.encode(&mut packet);
                proptest::prop_assert_eq!(&packet, &bytes);
            }
        }
    }
}
