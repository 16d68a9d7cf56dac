//! Bytes in a memory file that nobody can change any more, seen as `&[u8]` by every process that has mapped it.
//!
//! `&[u8]` promises that the bytes stay as they are. For memory that other processes have, only the kernel can promise
//! that: the file is sealed against writing, shrinking and growing, and against losing these seals, before its descriptor
//! leaves the process that has filled it; and whoever receives one looks for all of these seals before it maps anything.
//! (`FUTURE_WRITE` would not do: mappings that were there before could still be written to.)

use std::fs::File;
use std::io::{self, Write};
use std::ops::Deref;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;

use rustix::fs::{FallocateFlags, FileType, SealFlags};
use rustix::io::{Errno, retry_on_intr};
use rustix::mm::{Advice, MapFlags, ProtFlags};

use super::memory::memfd;

/// What makes a file's bytes what they are for ever.
const SEALS: SealFlags = SealFlags::WRITE.union(SealFlags::SHRINK).union(SealFlags::GROW).union(SealFlags::SEAL);

/// How much memory is asked for at once: a signal makes the kernel begin a step anew.
const STEP: usize = 16 << 20;

/// A mapping of such a file, from its first byte to its last; there is at least one. Unmapped when dropped.
#[derive(Debug)]
pub(crate) struct SealedBytes {
    mapping: Mapping,
    /// To be passed on, where they were made; who has received them has closed it.
    file: Option<OwnedFd>,
}

/// Memory that is mapped, and that nobody else here knows of.
#[derive(Debug)]
struct Mapping {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: the mapping belongs to this value alone, and is valid until it is dropped, in whichever thread.
#[expect(unsafe_code, reason = "a raw pointer hides that the memory behind it is owned")]
unsafe impl Send for Mapping {}
// SAFETY: a shared reference gives nothing but `&[u8]`, which any thread may use.
#[expect(unsafe_code, reason = "a raw pointer hides that the memory behind it is owned")]
unsafe impl Sync for Mapping {}

impl SealedBytes {
    /// A copy of these bytes. None at all are refused, as the kernel would.
    pub(crate) fn copy_of(bytes: &[u8]) -> io::Result<SealedBytes> {
        let mut file = File::from(memfd(c"procpool-blob")?);
        // Written rather than mapped: the kernel takes fresh pages for a write without clearing them.
        file.write_all(bytes)?;
        SealedBytes::seal(file.into(), bytes.len())
    }

    /// So many bytes as `fill` leaves them in the memory that it is given, which is zero at first.
    pub(crate) fn filled_by(len: usize, fill: impl FnOnce(&mut [u8]) -> io::Result<()>) -> io::Result<SealedBytes> {
        // What is obviously more than there is, the kernel refuses at once, before it has taken all that there is.
        drop(Mapping::anonymous(len)?);
        let file = memfd(c"procpool-blob")?;
        // Memory that cannot be had is an error here, and not a SIGBUS at the first touch of its pages.
        for start in (0..len).step_by(STEP) {
            let count = STEP.min(len - start);
            retry_on_intr(|| rustix::fs::fallocate(&file, FallocateFlags::empty(), start as u64, count as u64))?;
        }
        let mut mapping = Mapping::writable(file.as_fd(), len)?;
        fill(mapping.as_mut_slice())?;
        // The kernel seals no file against writing that somebody can still write to by a mapping.
        drop(mapping);
        SealedBytes::seal_or_copy(file, len)
    }

    /// Seals a file that was mapped, or a copy of it where somebody still has a writable mapping: a child that was forked
    /// before the mapping could be kept out of it, and may live for long.
    fn seal_or_copy(file: OwnedFd, len: usize) -> io::Result<SealedBytes> {
        match rustix::fs::fcntl_add_seals(&file, SEALS) {
            Err(Errno::BUSY) => {
                let mut copy = File::from(memfd(c"procpool-blob")?);
                // At the file's start: nothing has been read from it or written to it but by its mapping.
                if io::copy(&mut File::from(file), &mut copy)? != len as u64 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                SealedBytes::seal(copy.into(), len)
            }
            sealed => {
                sealed?;
                SealedBytes::sealed(file, len)
            }
        }
    }

    fn seal(file: OwnedFd, len: usize) -> io::Result<SealedBytes> {
        rustix::fs::fcntl_add_seals(&file, SEALS)?;
        SealedBytes::sealed(file, len)
    }

    /// Maps a file that has its seals.
    fn sealed(file: OwnedFd, len: usize) -> io::Result<SealedBytes> {
        Ok(SealedBytes { mapping: Mapping::read_only(file.as_fd(), len)?, file: Some(file) })
    }

    /// Maps a file that came from outside, after checking that its bytes can never change and that there are so many of
    /// them. The descriptor is closed: the mapping needs none.
    ///
    /// # Errors
    /// It is no such file; the words say in which respect.
    pub(crate) fn receive(file: OwnedFd, len: u64) -> io::Result<SealedBytes> {
        let refuse = |what: String| Err(io::Error::new(io::ErrorKind::InvalidData, what));
        let stat = rustix::fs::fstat(&file)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return refuse("its descriptor is not one of a memory file".into());
        }
        // Seals first: only a size that can no longer change is worth looking at.
        match rustix::fs::fcntl_get_seals(&file) {
            Ok(seals) if seals.contains(SEALS) => {}
            Ok(seals) => return refuse(format!("its memory is not sealed: {:?} is missing", SEALS.difference(seals))),
            Err(Errno::INVAL) => return refuse("its descriptor is not one of a memory file".into()),
            Err(error) => return Err(error.into()),
        }
        let size = rustix::fs::fstat(&file)?.st_size;
        let Ok(length) = usize::try_from(len) else { return refuse(format!("{len} bytes fit no memory")) };
        if u64::try_from(size) != Ok(len) {
            return refuse(format!("its memory has {size} bytes, and not {len}"));
        }
        Ok(SealedBytes { mapping: Mapping::read_only(file.as_fd(), length)?, file: None })
    }

    /// The file, where these bytes were made.
    pub(crate) fn file(&self) -> Option<BorrowedFd<'_>> {
        self.file.as_ref().map(AsFd::as_fd)
    }
}

impl Deref for SealedBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the mapping is `len` bytes long, readable, and lives as long as `self`. Nobody changes a byte of it: the
        // file has been sealed against that, and was before it was mapped (`seal`, `receive`), and this private mapping of
        // it is read-only. Nor can the file shrink, so every byte stays accessible.
        #[expect(unsafe_code, reason = "the mapping is known to the type system as a pointer only")]
        unsafe {
            std::slice::from_raw_parts(self.mapping.start.as_ptr(), self.mapping.len)
        }
    }
}

impl Mapping {
    /// Private, as kernels before 6.7 let nobody map a sealed file as a shared one. No page of it is ever copied.
    fn read_only(file: BorrowedFd<'_>, len: usize) -> io::Result<Mapping> {
        Mapping::new(file, len, ProtFlags::READ, MapFlags::PRIVATE)
    }

    fn writable(file: BorrowedFd<'_>, len: usize) -> io::Result<Mapping> {
        let mapping = Mapping::new(file, len, ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED)?;
        let start = mapping.start.as_ptr().cast();
        // A child that somebody forks meanwhile would keep a mapping of its own, and the file could not be sealed. So this
        // comes first, before the pages, which take their time.
        // SAFETY: the advice is about the pages of this mapping, which nobody else knows, and changes nothing here.
        #[expect(unsafe_code, reason = "advice about memory that is known by its address")]
        unsafe {
            rustix::mm::madvise(start, len, Advice::LinuxDontFork)?;
        }
        // All pages at once: each by its own fault would take three times as long; as it does before Linux 5.14, which
        // does not know this advice.
        // SAFETY: as above; pages that are there already stay as they are.
        #[expect(unsafe_code, reason = "advice about memory that is known by its address")]
        let _ = unsafe { rustix::mm::madvise(start, len, Advice::LinuxPopulateWrite) };
        Ok(mapping)
    }

    /// Of no file, and untouched.
    fn anonymous(len: usize) -> io::Result<Mapping> {
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a fresh mapping at an address of the kernel's choice touches no memory of ours.
        #[expect(unsafe_code, reason = "mapping memory")]
        let start = unsafe { rustix::mm::mmap_anonymous(std::ptr::null_mut(), len, access, MapFlags::PRIVATE)? };
        Mapping::at(start, len)
    }

    fn new(file: BorrowedFd<'_>, len: usize, access: ProtFlags, flags: MapFlags) -> io::Result<Mapping> {
        // SAFETY: a fresh mapping at an address of the kernel's choice touches no memory of ours.
        #[expect(unsafe_code, reason = "mapping memory")]
        let start = unsafe { rustix::mm::mmap(std::ptr::null_mut(), len, access, flags, file, 0)? };
        Mapping::at(start, len)
    }

    fn at(start: *mut std::ffi::c_void, len: usize) -> io::Result<Mapping> {
        match NonNull::new(start.cast()) {
            Some(start) => Ok(Mapping { start, len }),
            None => Err(io::Error::other("the kernel mapped memory at address 0")),
        }
    }

    /// Of a writable one.
    fn as_mut_slice(&mut self) -> &mut [u8] {
        // SAFETY: the mapping is `len` bytes long, of allocated pages, readable and writable, and lives as long as `self`,
        // which is borrowed for as long as the slice. Nobody else has it, nor the file, whose descriptor has not left the
        // function that has made it.
        #[expect(unsafe_code, reason = "the mapping is known to the type system as a pointer only")]
        unsafe {
            std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len)
        }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: this value owns the mapping, and no reference into it outlives this value.
        #[expect(unsafe_code, reason = "unmapping memory")]
        let result = unsafe { rustix::mm::munmap(self.start.as_ptr().cast(), self.len) };
        debug_assert!(result.is_ok(), "unmapping our own mapping cannot fail");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: usize = 4096;

    fn pattern(len: usize) -> Vec<u8> {
        (0..len).map(|n| (n % 251) as u8).collect()
    }

    fn copy_of(file: BorrowedFd<'_>) -> OwnedFd {
        rustix::io::fcntl_dupfd_cloexec(file, 3).unwrap()
    }

    /// A file of two pages that has no seals yet.
    fn loose() -> OwnedFd {
        let file = memfd(c"loose").unwrap();
        rustix::fs::ftruncate(&file, 2 * PAGE as u64).unwrap();
        file
    }

    #[test]
    fn bytes_of_any_length_are_copied_or_filled_in_and_received() {
        for len in [1, PAGE - 1, PAGE, PAGE + 1, STEP + PAGE - 1] {
            let bytes = pattern(len);
            let copied = SealedBytes::copy_of(&bytes).unwrap();
            let filled = SealedBytes::filled_by(len, |room| {
                assert!(room.iter().all(|byte| *byte == 0));
                room.copy_from_slice(&bytes);
                Ok(())
            });
            for made in [copied, filled.unwrap()] {
                assert!(*made == bytes);
                let received = SealedBytes::receive(copy_of(made.file().unwrap()), len as u64).unwrap();
                drop(made);
                assert!(*received == bytes);
                assert!(received.file().is_none());
            }
        }
        assert!(SealedBytes::filled_by(0, |_| Ok(())).is_err());
        assert!(SealedBytes::copy_of(&[]).is_err());
    }

    #[test]
    fn whoever_has_the_file_can_neither_write_nor_cut_nor_unseal_it() {
        let bytes = SealedBytes::copy_of(&pattern(3 * PAGE)).unwrap();
        let file = copy_of(bytes.file().unwrap());
        assert_eq!(rustix::io::pwrite(&file, b"x", 0), Err(Errno::PERM));
        assert_eq!(rustix::fs::ftruncate(&file, 0), Err(Errno::PERM));
        assert_eq!(rustix::fs::ftruncate(&file, 1 << 20), Err(Errno::PERM));
        let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        assert_eq!(rustix::fs::fallocate(&file, hole, 0, PAGE as u64), Err(Errno::PERM));
        assert_eq!(rustix::fs::fcntl_add_seals(&file, SealFlags::FUTURE_WRITE), Err(Errno::PERM));
        assert!(Mapping::writable(file.as_fd(), 3 * PAGE).is_err());
        assert!(*bytes == pattern(3 * PAGE));
    }

    #[test]
    fn what_could_still_change_is_not_mapped_and_the_words_say_why() {
        let refused = |file: OwnedFd, len: u64| SealedBytes::receive(file, len).unwrap_err().to_string();
        assert!(refused(loose(), 2 * PAGE as u64).contains("not sealed"));
        for missing in [SealFlags::WRITE, SealFlags::SHRINK, SealFlags::GROW, SealFlags::SEAL] {
            let file = loose();
            let some = SEALS.difference(missing) | SealFlags::FUTURE_WRITE;
            rustix::fs::fcntl_add_seals(&file, some).unwrap();
            let why = refused(file, 2 * PAGE as u64);
            assert!(why.contains(&format!("{missing:?}")), "{why}");
        }
        let file = loose();
        rustix::fs::fcntl_add_seals(&file, SEALS).unwrap();
        for len in [0, 1, PAGE as u64, 3 * PAGE as u64, u64::MAX] {
            assert!(refused(copy_of(file.as_fd()), len).contains("8192 bytes, and not"));
        }
        let nothing = File::open("/dev/null").unwrap();
        assert!(refused(nothing.into(), 1).contains("not one of a memory file"));
        let disk = File::open("/proc/self/exe").unwrap();
        let len = disk.metadata().unwrap().len();
        assert!(refused(disk.into(), len).contains("not one of a memory file"));
    }

    #[test]
    fn a_file_that_somebody_else_can_still_write_to_is_copied_before_it_is_sealed() {
        let bytes = pattern(3 * PAGE + 5);
        let file = memfd(c"loose").unwrap();
        rustix::fs::ftruncate(&file, bytes.len() as u64).unwrap();
        // As a child has it that was forked too early.
        let mut other =
            Mapping::new(file.as_fd(), bytes.len(), ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED).unwrap();
        other.as_mut_slice().copy_from_slice(&bytes);
        let made = SealedBytes::seal_or_copy(file, bytes.len()).unwrap();
        other.as_mut_slice().fill(0);
        assert!(*made == bytes);
        let received = SealedBytes::receive(copy_of(made.file().unwrap()), bytes.len() as u64).unwrap();
        assert!(*received == bytes);
    }

    #[test]
    fn what_fails_while_it_is_filled_is_no_blob() {
        let failed = SealedBytes::filled_by(PAGE, |_| Err(io::ErrorKind::UnexpectedEof.into()));
        assert_eq!(failed.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        let too_much = SealedBytes::filled_by(usize::MAX / 2, |_| Ok(()));
        assert!(too_much.is_err());
    }
}
