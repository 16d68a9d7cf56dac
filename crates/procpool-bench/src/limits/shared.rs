//! The least that a word to another process and back can take: both spin on memory that they share.
#![expect(unsafe_code, reason = "maps memory that another process writes")]

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Command, Stdio};
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use rustix::process::getppid;

use crate::Error;
use crate::peers::micros;

/// The argument that makes this program the other side; the memory is its stdin.
pub(crate) const SPIN: &str = "--spin-for-the-raw-limit";

const PAGE: usize = 4096;

/// The question that ends the other side.
const END: u64 = u64::MAX;

/// How many looks there are between two at whether the other side still lives.
const LOOKS: u32 = 1 << 20;

/// So many words there and back: the microseconds of each. `None` where there is only one core to spin on.
pub(crate) fn shared(calls: usize) -> Result<Option<Vec<f64>>, Error> {
    if crate::peers::cores() < 2 {
        return Ok(None);
    }
    let memory = memfd_create("spin", MemfdFlags::CLOEXEC)?;
    ftruncate(&memory, PAGE as u64)?;
    let page = Page::map(&memory)?;
    let mut child = Command::new("/proc/self/exe").arg(SPIN).stdin(Stdio::from(memory)).spawn()?;
    let mut number = 0;
    let latencies = micros(calls, || {
        number += 1;
        page.question().store(number, Ordering::Release);
        wait(page.answer(), |answer| answer == number, || Ok(child.try_wait()?.is_none()))
    });
    page.question().store(END, Ordering::Release);
    // If it has ended already there is nothing to kill.
    drop(latencies.is_err().then(|| child.kill()));
    child.wait()?;
    latencies.map(Some)
}

/// The other side: answers with what it was asked.
pub(crate) fn spin() -> Result<(), Error> {
    let page = Page::map(&io::stdin().as_fd().try_clone_to_owned()?)?;
    let parent = getppid();
    let mut last = 0;
    while last != END {
        wait(page.question(), |question| question != last, || Ok(getppid() == parent))?;
        last = page.question().load(Ordering::Acquire);
        page.answer().store(last, Ordering::Release);
    }
    Ok(())
}

fn wait(
    word: &AtomicU64,
    done: impl Fn(u64) -> bool,
    mut alive: impl FnMut() -> Result<bool, Error>,
) -> Result<(), Error> {
    loop {
        for _ in 0..LOOKS {
            if done(word.load(Ordering::Acquire)) {
                return Ok(());
            }
            std::hint::spin_loop();
        }
        if !alive()? {
            return Err("the other side is gone".into());
        }
    }
}

/// A page of shared memory.
struct Page(*mut AtomicU64);

impl Page {
    fn map(memory: &OwnedFd) -> io::Result<Self> {
        // SAFETY: a new mapping, at a place that the kernel chooses, so no memory of ours changes.
        let page =
            unsafe { mmap(ptr::null_mut(), PAGE, ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED, memory, 0)? };
        Ok(Page(page.cast()))
    }

    fn question(&self) -> &AtomicU64 {
        // SAFETY: the mapping is page-aligned and lives as long as `self`; nobody shrinks the memory; both processes
        // reach it through atomics alone, for which every value is valid.
        unsafe { &*self.0 }
    }

    /// In a cache line of its own.
    fn answer(&self) -> &AtomicU64 {
        // SAFETY: as for the question; it is 128 bytes further in, within the page and aligned.
        unsafe { &*self.0.add(16) }
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // SAFETY: it was mapped with this length, and no reference into it outlives `self`. An error would leave the
        // page mapped, which does no harm.
        let _ = unsafe { munmap(self.0.cast(), PAGE) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_go_from_mapping_to_mapping() {
        let memory = memfd_create("test", MemfdFlags::CLOEXEC).unwrap();
        ftruncate(&memory, PAGE as u64).unwrap();
        let (ours, theirs) = (Page::map(&memory).unwrap(), Page::map(&memory).unwrap());
        ours.question().store(7, Ordering::Release);
        wait(theirs.question(), |question| question == 7, || Ok(true)).unwrap();
        assert_eq!(theirs.answer().load(Ordering::Acquire), 0);
        assert!(wait(theirs.answer(), |answer| answer == 1, || Ok(false)).is_err());
    }
}
