//! Memory that two processes share: a sealed memfd, seen through atomics only.
//!
//! The seals are the parent's protection. A worker that could shrink the file would make the parent take SIGBUS at its
//! next look at the page; `SHRINK | GROW | SEAL` makes that impossible before the descriptor leaves the parent, and the
//! worker checks them in turn before it maps. The memory itself stays writable on both sides, so it is never seen as
//! `&[u8]`: only as words that are read and written atomically, each of which may hold anything at any time.

use std::ffi::CStr;
use std::io;
use std::mem::MaybeUninit;
use std::ops::Deref;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64};

use rustix::fs::{FileType, MemfdFlags, SealFlags};
use rustix::io::Errno;
use rustix::mm::{Advice, MapFlags, ProtFlags};

/// What every shared memfd carries before it is passed on.
const SEALS: SealFlags = SealFlags::SHRINK.union(SealFlags::GROW).union(SealFlags::SEAL);

/// A mapping, as words; shared unless it is private to this process. Unmapped when dropped.
#[derive(Debug)]
pub(crate) struct SharedWords {
    start: NonNull<AtomicU64>,
    count: usize,
}

// SAFETY: the mapping belongs to this value alone, is valid until it is dropped, and is reached only as `&[AtomicU64]`,
// which may be used from any thread.
#[expect(unsafe_code, reason = "a raw pointer hides that the memory behind it consists of atomics")]
unsafe impl Send for SharedWords {}
// SAFETY: as for `Send`.
#[expect(unsafe_code, reason = "a raw pointer hides that the memory behind it consists of atomics")]
unsafe impl Sync for SharedWords {}

impl SharedWords {
    /// Makes a sealed memfd of `count` zero words and maps it. The descriptor is close-on-exec, to be passed on. Page
    /// faults come when a page is touched.
    pub(crate) fn create(count: usize) -> io::Result<(SharedWords, OwnedFd)> {
        let fd = memfd(c"procpool-page")?;
        rustix::fs::ftruncate(&fd, byte_length(count)? as u64)?;
        rustix::fs::fcntl_add_seals(&fd, SEALS)?;
        Ok((Self::map(fd.as_fd(), count)?, fd))
    }

    /// Maps a memfd that came from outside, after checking that it has exactly this size and can never have another.
    pub(crate) fn map_received(fd: BorrowedFd<'_>, count: usize) -> io::Result<SharedWords> {
        let refuse = |what: &str| Err(io::Error::new(io::ErrorKind::InvalidData, what.to_owned()));
        let stat = rustix::fs::fstat(fd)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return refuse("the shared page is not a memory file");
        }
        // Seals first: only a size that can no longer change is worth looking at.
        match rustix::fs::fcntl_get_seals(fd) {
            Ok(seals) if seals.contains(SEALS) => {}
            Ok(_) => return refuse("the shared page is not sealed"),
            Err(Errno::INVAL) => return refuse("the shared page is not a memory file"),
            Err(error) => return Err(error.into()),
        }
        if u64::try_from(rustix::fs::fstat(fd)?.st_size) != Ok(byte_length(count)? as u64) {
            return refuse("the shared page has another size");
        }
        Self::map(fd, count)
    }

    /// `count` zero words that only this process sees, and no child of it. Their page faults come later.
    pub(crate) fn private(count: usize) -> io::Result<SharedWords> {
        let length = byte_length(count)?;
        // SAFETY: a fresh mapping at an address of the kernel's choice touches no memory of ours.
        #[expect(unsafe_code, reason = "mapping memory")]
        let start = unsafe {
            rustix::mm::mmap_anonymous(
                std::ptr::null_mut(),
                length,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::PRIVATE,
            )?
        };
        Self::mapped(start, count)
    }

    fn map(fd: BorrowedFd<'_>, count: usize) -> io::Result<SharedWords> {
        let length = byte_length(count)?;
        // SAFETY: a fresh mapping at an address of the kernel's choice touches no memory of ours. The file cannot
        // shrink (sealed by `create`, checked by `map_received`), so every byte of it stays accessible.
        #[expect(unsafe_code, reason = "mapping memory")]
        let start = unsafe {
            rustix::mm::mmap(std::ptr::null_mut(), length, ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED, fd, 0)?
        };
        Self::mapped(start, count)
    }

    fn mapped(start: *mut std::ffi::c_void, count: usize) -> io::Result<SharedWords> {
        match NonNull::new(start.cast()) {
            Some(start) => Ok(SharedWords { start, count }),
            None => Err(io::Error::other("the kernel mapped the shared page at address 0")),
        }
    }
}

/// The low half of a word, for what only takes words of four bytes (futexes). A word that is used this way is never used
/// as a whole.
pub(crate) fn low_half(word: &AtomicU64) -> &AtomicU32 {
    // SAFETY: the pointer comes from a reference that lives as long as the result; a word of eight bytes has room for one
    // of four and more than its alignment; and both are atomics, so other references do not contradict it.
    #[expect(unsafe_code, reason = "no safe cast between atomics of different sizes")]
    unsafe {
        AtomicU32::from_ptr(word.as_ptr().cast())
    }
}

/// The least memory for which huge pages are asked: two of them, as they come on most machines.
const HUGE: usize = 4 << 20;

/// Asks for huge pages in memory that is about to be filled, where that is much. Fresh pages of the usual size cost more
/// than copying into them does (0.7 to 2.5 GB/s against 3 to 18). Best effort: nothing depends on it.
pub(crate) fn prefer_huge_pages(room: &mut [MaybeUninit<u8>]) {
    if room.len() < HUGE {
        return;
    }
    let page = rustix::param::page_size();
    // Whole pages, so that an allocation that is a mapping stays one: a half-advised one could not be grown in place.
    let before = room.as_ptr().addr() % page;
    let length = (room.len() + before).next_multiple_of(page);
    let start = room.as_mut_ptr().wrapping_byte_sub(before);
    // SAFETY: this piece of advice changes neither contents nor accessibility, whatever lies in these pages; the ones at
    // the two ends may hold values of others.
    #[expect(unsafe_code, reason = "advice about memory that is known by its address")]
    let _ = unsafe { rustix::mm::madvise(start.cast(), length, Advice::LinuxHugepage) };
}

/// The length of `count` words in bytes. 0 is refused, as the kernel would.
fn byte_length(count: usize) -> io::Result<usize> {
    match count.checked_mul(size_of::<AtomicU64>()) {
        Some(length) if length > 0 => Ok(length),
        _ => Err(io::ErrorKind::InvalidInput.into()),
    }
}

/// A memory file that can be sealed and not executed. Kernels before 6.3 do not know the second part.
pub(super) fn memfd(name: &CStr) -> io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    match rustix::fs::memfd_create(name, flags | MemfdFlags::NOEXEC_SEAL) {
        Err(Errno::INVAL) => Ok(rustix::fs::memfd_create(name, flags)?),
        result => Ok(result?),
    }
}

impl Deref for SharedWords {
    type Target = [AtomicU64];

    fn deref(&self) -> &[AtomicU64] {
        // SAFETY: the mapping is `count` words long, aligned to a page, lives as long as `self`, and is only ever seen
        // as atomics in this process; what the other process does to it are changes of atomics, too.
        #[expect(unsafe_code, reason = "the mapping is known to the type system as a pointer only")]
        unsafe {
            std::slice::from_raw_parts(self.start.as_ptr(), self.count)
        }
    }
}

impl Drop for SharedWords {
    fn drop(&mut self) {
        // SAFETY: this value owns the mapping, and no reference into it outlives this value.
        #[expect(unsafe_code, reason = "unmapping memory")]
        let result = unsafe { rustix::mm::munmap(self.start.as_ptr().cast(), self.count * size_of::<AtomicU64>()) };
        debug_assert!(result.is_ok(), "unmapping our own mapping cannot fail");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering::Relaxed;

    use super::*;

    #[test]
    fn two_mappings_see_the_same_words() {
        let (ours, fd) = SharedWords::create(2048).unwrap();
        let theirs = SharedWords::map_received(fd.as_fd(), 2048).unwrap();
        assert_eq!((ours.len(), theirs.len()), (2048, 2048));
        ours[2047].store(77, Relaxed);
        assert_eq!(theirs[2047].load(Relaxed), 77);
    }

    #[test]
    fn private_words_are_zero() {
        let words = SharedWords::private(512).unwrap();
        assert!(words.iter().all(|word| word.load(Relaxed) == 0));
        low_half(&words[2]).store(7, Relaxed);
        assert_eq!(low_half(&words[2]).load(Relaxed), 7);
    }

    #[test]
    fn the_size_is_sealed() {
        let (_words, fd) = SharedWords::create(512).unwrap();
        assert_eq!(rustix::fs::ftruncate(&fd, 0), Err(Errno::PERM));
        assert_eq!(rustix::fs::ftruncate(&fd, 1 << 20), Err(Errno::PERM));
        assert!(rustix::fs::fcntl_add_seals(&fd, SealFlags::WRITE).is_err());
    }

    #[test]
    fn what_is_not_sealed_or_has_another_size_is_not_mapped() {
        let loose = memfd(c"loose").unwrap();
        rustix::fs::ftruncate(&loose, 4096).unwrap();
        assert!(SharedWords::map_received(loose.as_fd(), 512).unwrap_err().to_string().contains("not sealed"));
        let (_words, fd) = SharedWords::create(512).unwrap();
        assert!(SharedWords::map_received(fd.as_fd(), 1024).unwrap_err().to_string().contains("another size"));
        let file = std::fs::File::open("/proc/self/exe").unwrap();
        assert!(SharedWords::map_received(file.as_fd(), 512).is_err());
        let null = std::fs::File::open("/dev/null").unwrap();
        assert!(SharedWords::map_received(null.as_fd(), 512).unwrap_err().to_string().contains("not a memory file"));
    }
}
