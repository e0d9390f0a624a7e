//! Anonymous memory that clones do not get (mmap(2), madvise(2)).

use std::io;
use std::ptr::NonNull;

/// Zeroed memory of a process' own: what was never written takes none, and a clone has none of it (`MADV_DONTFORK`), neither its contents nor the time to copy its page
/// tables.
#[derive(Debug)]
pub(crate) struct Memory {
    start: NonNull<u8>,
    length: usize,
}

impl Memory {
    /// So many bytes, at least 1.
    ///
    /// # Errors
    /// `ENOMEM` when there are not that many.
    pub(crate) fn new(length: usize) -> io::Result<Self> {
        let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: the kernel chooses the place; no file is mapped.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), length, protection, flags, -1, 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        let memory = Self { start, length };
        // SAFETY: this is the mapping that was just made, whole.
        let result = unsafe { libc::madvise(start.as_ptr().cast(), length, libc::MADV_DONTFORK) };
        if result == 0 { Ok(memory) } else { Err(io::Error::last_os_error()) }
    }

    /// All of it.
    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: the mapping has this length, is readable, zeroed at first, and lives as long as this; nobody writes while it is borrowed.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.length) }
    }

    /// All of it, to be written.
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and nobody else has it while it is borrowed.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.length) }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: the mapping is this value's own, and nobody has borrowed it any more. In a clone, which does not have it, there is nothing there to unmap.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.length) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_zeroed_and_keeps_what_is_written() {
        let mut memory = Memory::new(10_000).unwrap();
        assert!(memory.bytes().iter().all(|byte| *byte == 0) && memory.bytes().len() == 10_000);
        memory.bytes_mut().fill(7);
        assert_eq!(memory.bytes().last(), Some(&7));
    }
}
