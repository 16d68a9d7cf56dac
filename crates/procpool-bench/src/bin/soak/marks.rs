//! Marks of what has begun, kept where the death of who made them cannot reach: in a file in memory that belongs to the
//! parent. Each is 8 bytes, put at the file's end by one write.

use std::cell::RefCell;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsFd, AsRawFd};

use rustix::fs::{MemfdFlags, memfd_create};
use serde::{Deserialize, Serialize};

/// The parent's side.
pub(crate) struct Marks(File);

/// Where a task finds it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Place(String);

impl Marks {
    pub(crate) fn new() -> io::Result<Marks> {
        Ok(Marks(File::from(memfd_create("soak", MemfdFlags::CLOEXEC)?)))
    }

    pub(crate) fn place(&self) -> Place {
        Place(format!("/proc/{}/fd/{}", std::process::id(), self.0.as_fd().as_raw_fd()))
    }

    /// All that there are, which are then forgotten. Not to be called while anybody makes some.
    pub(crate) fn take(&mut self) -> io::Result<Vec<u64>> {
        let mut bytes = Vec::new();
        self.0.rewind()?;
        self.0.read_to_end(&mut bytes)?;
        self.0.set_len(0)?;
        let (marks, rest) = bytes.as_chunks();
        if !rest.is_empty() {
            return Err(io::Error::other("half a mark: a write of 8 bytes was cut"));
        }
        Ok(marks.iter().map(|mark| u64::from_le_bytes(*mark)).collect())
    }
}

impl Place {
    /// Makes a mark.
    pub(crate) fn mark(&self, number: u64) -> io::Result<()> {
        thread_local! {
            /// The file that this process has open.
            static OPEN: RefCell<Option<(String, File)>> = const { RefCell::new(None) };
        }
        OPEN.with_borrow_mut(|open| {
            let (_, file) = match open {
                Some(known) if known.0 == self.0 => known,
                _ => open.insert((self.0.clone(), OpenOptions::new().append(true).open(&self.0)?)),
            };
            file.write_all(&number.to_le_bytes())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_there_until_they_are_taken() {
        let mut marks = Marks::new().unwrap();
        let place = marks.place();
        for round in 0..2 {
            (0..100).for_each(|number| place.mark(number + round).unwrap());
            assert!(marks.take().unwrap().into_iter().eq(round..100 + round));
        }
        assert!(marks.take().unwrap().is_empty());
    }
}
