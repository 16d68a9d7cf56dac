//! A meeting point for a test and its tasks: the test sees a task arrive, and decides when it goes on.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream as BlockingStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

/// The test's side. Its path goes to tasks as an argument.
#[derive(Debug)]
pub struct Gate {
    listener: UnixListener,
    path: PathBuf,
}

/// A task that stands at the gate.
#[derive(Debug)]
pub struct Visitor {
    stream: UnixStream,
    /// The process that it runs in.
    pub pid: u32,
    /// What it said when it came.
    pub word: u64,
}

impl Gate {
    /// A new meeting point.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "it opens a socket")]
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("procpool-{}-gate-{number}", std::process::id()));
        // A process that was killed had the same number once.
        drop(std::fs::remove_file(&path));
        Self::at(path)
    }

    /// A meeting point where there was one before, or will be.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        let listener = UnixListener::bind(&path).expect("a socket in the temporary directory");
        Gate { listener, path }
    }

    /// What tasks give to [`visit`].
    #[must_use]
    pub fn path(&self) -> String {
        self.path.to_str().expect("a temporary directory in UTF-8").to_owned()
    }

    /// Items for a map of [`visit_item`](crate::tasks::visit_item).
    pub fn items(&self, words: std::ops::Range<u64>) -> impl Iterator<Item = (String, u64)> + use<> {
        let path = self.path();
        words.map(move |word| (path.clone(), word))
    }

    /// Waits for the next task to come.
    pub async fn arrival(&self) -> Visitor {
        let (mut stream, _) = self.listener.accept().await.expect("a task comes");
        let pid = stream.read_u32_le().await.expect("it says who it is");
        let word = stream.read_u64_le().await.expect("it says its word");
        Visitor { stream, pid, word }
    }

    /// Waits for so many tasks.
    pub async fn arrivals(&self, count: usize) -> Vec<Visitor> {
        let mut visitors = Vec::with_capacity(count);
        for _ in 0..count {
            visitors.push(self.arrival().await);
        }
        visitors
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.path));
    }
}

impl Visitor {
    /// Lets the task go on.
    pub async fn release(mut self) {
        // One that has been killed meanwhile does not mind.
        drop(self.stream.write_all(b"!").await);
    }

    /// Waits until the task (or its process) is gone.
    pub async fn gone(mut self) {
        let mut rest = Vec::new();
        drop(self.stream.read_to_end(&mut rest).await);
    }
}

/// The task's side: arrives, and stays until it is released (true) or the test has gone (false).
pub fn visit(gate: impl AsRef<Path>, word: u64) -> bool {
    let Ok(mut stream) = BlockingStream::connect(gate.as_ref()) else { return false };
    let mut hello = std::process::id().to_le_bytes().to_vec();
    hello.extend_from_slice(&word.to_le_bytes());
    stream.write_all(&hello).is_ok() && stream.read_exact(&mut [0]).is_ok()
}
