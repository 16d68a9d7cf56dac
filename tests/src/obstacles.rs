//! What keeps workers from starting.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Stops a worker before its first instruction: put its path into the worker's `LD_PRELOAD`, and the dynamic loader waits
/// for somebody to write into this pipe.
#[derive(Debug)]
pub struct Swamp(PathBuf);

impl Swamp {
    /// A new pipe.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "it makes a file")]
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("procpool-{}-swamp-{number}", std::process::id()));
        // A process that was killed had the same number once.
        drop(std::fs::remove_file(&path));
        mknodat(CWD, &path, FileType::Fifo, Mode::RWXU, 0).expect("a pipe in the temporary directory");
        Swamp(path)
    }

    /// Waits for a worker to get stuck. While the result lives it stays so, and afterwards it goes on.
    #[must_use]
    pub fn catch(&self) -> File {
        File::options().write(true).open(&self.0).expect("the other end of the pipe")
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Swamp {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.0));
    }
}

/// While it lives, this process can open no descriptor.
#[derive(Debug)]
pub struct Famine {
    before: Rlimit,
    hoard: Vec<File>,
}

impl Famine {
    /// Begins.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "it changes a limit of the process")]
    pub fn new() -> Self {
        let before = getrlimit(Resource::Nofile);
        let highest = File::open("/dev/null").expect("a descriptor, still").as_raw_fd();
        let current = u64::try_from(highest).ok().map(|highest| highest + 1);
        setrlimit(Resource::Nofile, Rlimit { current, ..before }).expect("a limit may be lowered");
        // Below the limit there may be gaps.
        let mut hoard = Vec::new();
        while let Ok(file) = File::open("/dev/null") {
            hoard.push(file);
        }
        Famine { before, hoard }
    }
}

impl Drop for Famine {
    fn drop(&mut self) {
        self.hoard.clear();
        setrlimit(Resource::Nofile, self.before).expect("a limit may be raised to where it was");
    }
}
