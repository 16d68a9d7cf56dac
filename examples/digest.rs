//! SHA-256 of every file below a directory, hashed in worker processes: prints what
//! `find DIR -type f | LC_ALL=C sort | xargs sha256sum` prints, byte for byte.
//!
//! ```text
//! cargo run --release --example digest -- [--timeout SECS] [DIR]
//! ```
//!
//! Each file has a time limit: one on a dead network mount, or a named pipe put in a file's place, costs its own line
//! and nothing else. Files that fail are named at the end, and the exit code is then 1. However many and however big the
//! files are, memory stays flat: a worker reads in pieces, and only so many files are on their way at a time.

use std::error::Error;
use std::ffi::{OsStr, OsString};
use std::fmt::Display;
use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use futures::StreamExt;
use indicatif::{ProgressBar, ProgressStyle};
use procpool::{AnyError, Pool};
use sha2::{Digest, Sha256};

/// Meant for what will never end, not for what is slow.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(600);

/// How much of a file a worker holds in memory.
const PIECE: usize = 256 * 1024;

/// How many files may be on their way. A result is 32 bytes, so that a wide window costs next to nothing; it lets the
/// other workers go on while one of them is busy with a big file whose line is due next.
const WINDOW: usize = 1024;

const USAGE: &str = "usage: digest [--timeout SECS] [DIR]";

/// Runs in a worker. The path travels as bytes, for a Unix path need not be UTF-8 (and serde refuses such a `PathBuf`).
fn digest(path: Vec<u8>) -> Result<[u8; 32], AnyError> {
    let mut file = File::open(OsString::from_vec(path))?;
    let mut hasher = Sha256::new();
    let mut piece = vec![0; PIECE];
    loop {
        match file.read(&mut piece) {
            Ok(0) => return Ok(hasher.finalize().into()),
            Ok(n) => hasher.update(&piece[..n]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
}

#[procpool::main]
async fn main() -> ExitCode {
    let options = match Options::parse(std::env::args_os().skip(1)) {
        Ok(options) => options,
        Err(why) => {
            eprintln!("digest: {why}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(&options).await {
        Ok(failures) if failures.is_empty() => ExitCode::SUCCESS,
        Ok(failures) => {
            eprintln!(
                "digest: {} failed:",
                if failures.len() == 1 { "one".into() } else { failures.len().to_string() }
            );
            for Failure { path, why } in failures {
                eprintln!("  {}: {why}", path.display());
            }
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("digest: {error}");
            ExitCode::FAILURE
        }
    }
}

/// A file without a digest, or a directory that could not be listed.
struct Failure {
    path: PathBuf,
    why: String,
}

impl Failure {
    fn new(path: &Path, why: impl Display) -> Self {
        Failure { path: path.to_owned(), why: why.to_string() }
    }
}

async fn run(options: &Options) -> Result<Vec<Failure>, Box<dyn Error>> {
    let mut failures = Vec::new();
    let files = list(&options.root, &mut failures);
    let mut screen = Screen::new(files.len() as u64)?;

    let pool = Pool::new()?;
    let paths = files.iter().map(|path| path.as_os_str().as_bytes().to_vec());
    // Results come in the order of the files, and `map` takes a path only when there is room in the window.
    let mut digests = pool.map(digest, paths).window(WINDOW).timeout(options.timeout);
    for path in &files {
        match digests.next().await {
            Some(Ok(Ok(digest))) => screen.print(&digest, path.as_os_str())?,
            // The task said what is wrong: the file has vanished, or may not be read.
            Some(Ok(Err(error))) => failures.push(Failure::new(path, error)),
            Some(Err(error)) if error.is_timeout() => {
                failures.push(Failure::new(path, format!("not done after {:?}, given up", options.timeout)));
            }
            // There was no answer for another reason: somebody killed the worker, say.
            Some(Err(error)) => failures.push(Failure::new(path, error)),
            None => failures.push(Failure::new(path, "was not hashed")),
        }
        screen.bar.inc(1);
    }
    screen.finish()?;
    pool.shutdown().await?;
    Ok(failures)
}

/// The regular files at and below `root`, sorted by the bytes of their whole path as `LC_ALL=C sort` does (which is not
/// the order of `Path`: there `a/b` comes before `a-b`). Links are not followed, apart from `root` itself.
fn list(root: &Path, failures: &mut Vec<Failure>) -> Vec<PathBuf> {
    let mut files = Vec::new();
    // A list of what is to do, not recursion: directories may be nested deeper than the stack is.
    let mut directories = Vec::new();
    match root.metadata() {
        Ok(facts) if facts.is_file() => files.push(root.to_owned()),
        Ok(_) => directories.push(root.to_owned()),
        Err(error) => failures.push(Failure::new(root, error)),
    }
    while let Some(directory) = directories.pop() {
        let entries = match directory.read_dir() {
            Ok(entries) => entries,
            Err(error) => {
                failures.push(Failure::new(&directory, error));
                continue;
            }
        };
        for entry in entries {
            match entry.and_then(|entry| Ok((entry.file_type()?, entry.path()))) {
                Ok((kind, path)) if kind.is_dir() => directories.push(path),
                Ok((kind, path)) if kind.is_file() => files.push(path),
                Ok(_) => {}
                Err(error) => failures.push(Failure::new(&directory, error)),
            }
        }
    }
    files.sort_unstable_by(|a, b| a.as_os_str().as_bytes().cmp(b.as_os_str().as_bytes()));
    files
}

/// One line as `sha256sum` writes it: a name with a backslash or a line break is escaped, and the line then starts with
/// a backslash.
fn write_line(out: &mut impl Write, digest: &[u8; 32], path: &OsStr) -> io::Result<()> {
    let name = path.as_bytes();
    let mut escaped = Vec::with_capacity(name.len());
    for byte in name {
        match byte {
            b'\\' => escaped.extend(b"\\\\"),
            b'\n' => escaped.extend(b"\\n"),
            b'\r' => escaped.extend(b"\\r"),
            other => escaped.push(*other),
        }
    }
    if escaped.len() > name.len() {
        out.write_all(b"\\")?;
    }
    for byte in digest {
        write!(out, "{byte:02x}")?;
    }
    out.write_all(b"  ")?;
    out.write_all(&escaped)?;
    out.write_all(b"\n")
}

/// The lines on stdout, and a progress bar on stderr, which is invisible when that is not a terminal.
struct Screen {
    out: BufWriter<io::Stdout>,
    bar: ProgressBar,
    /// Whether the lines go to a terminal too, where the bar has to make room for each of them.
    shared: bool,
}

impl Screen {
    fn new(files: u64) -> Result<Self, Box<dyn Error>> {
        let style = ProgressStyle::with_template("{bar:40} {pos}/{len} files, {eta} left")?;
        let bar = ProgressBar::new(files).with_style(style);
        bar.tick(); // seen from the start, not from the first result
        let out = io::stdout();
        let shared = out.is_terminal();
        Ok(Screen { out: BufWriter::new(out), bar, shared })
    }

    fn print(&mut self, digest: &[u8; 32], path: &OsStr) -> io::Result<()> {
        write_line(&mut self.out, digest, path)?;
        if self.shared { self.bar.suspend(|| self.out.flush()) } else { Ok(()) }
    }

    fn finish(mut self) -> io::Result<()> {
        self.bar.finish_and_clear();
        self.out.flush()
    }
}

struct Options {
    root: PathBuf,
    timeout: Duration,
}

impl Options {
    fn parse(mut args: impl Iterator<Item = OsString>) -> Result<Self, String> {
        let mut root = None;
        let mut timeout = DEFAULT_TIMEOUT;
        let mut only_names = false;
        while let Some(arg) = args.next() {
            match arg.to_str() {
                Some("--timeout") if !only_names => {
                    let value = args.next().ok_or("--timeout needs a number of seconds")?;
                    timeout = value
                        .to_str()
                        .and_then(|value| value.parse().ok())
                        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
                        .filter(|timeout| !timeout.is_zero())
                        .ok_or_else(|| format!("--timeout: {} is not a number of seconds above 0", value.display()))?;
                }
                Some("--") if !only_names => only_names = true,
                Some(option) if option.starts_with('-') && option.len() > 1 && !only_names => {
                    return Err(format!("unknown option {option}"));
                }
                _ if root.is_some() => return Err("more than one directory".to_owned()),
                _ => root = Some(PathBuf::from(arg)),
            }
        }
        Ok(Options { root: root.unwrap_or_else(sources), timeout })
    }
}

/// This repository's sources, as they lay when this program was built.
fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("crates")
}
