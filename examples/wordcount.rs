//! Counts the words of every file below a directory: map in worker processes, reduce here.
//!
//! ```text
//! cargo run --release --example wordcount -- [--check] [--top N] [--piece BYTES] [PATH]
//! ```
//!
//! Big files are cut into pieces, so that one file keeps all workers busy; a word that lies across a cut belongs to the
//! piece in which it begins. `--check` counts everything again in this process, without a pool, and says whether the two
//! answers are equal. A word is a run of ASCII letters, digits and underscores, and of bytes beyond ASCII; capitals are
//! made small.

use std::collections::HashMap;
use std::error::Error;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek, SeekFrom};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use futures::StreamExt;
use indicatif::{ProgressBar, ProgressStyle};
use procpool::{AnyError, Pool};
use serde::{Deserialize, Serialize};

/// Long enough that its counts, which travel back, are small beside it.
const PIECE: u64 = 8 << 20;

/// A piece takes milliseconds; one that hangs (on a dead network mount, say) must not hold up the others.
const LIMIT: Duration = Duration::from_secs(300);

const USAGE: &str = "usage: wordcount [--check] [--top N] [--piece BYTES] [PATH]";

/// How often each word was seen.
type Counts = HashMap<Vec<u8>, u64>;

/// A part of a file.
#[derive(Clone, Serialize, Deserialize)]
struct Piece {
    /// As bytes, for a Unix path need not be UTF-8.
    path: Vec<u8>,
    start: u64,
    len: u64,
}

/// What a worker makes of a piece.
#[derive(Serialize, Deserialize)]
struct Counted {
    len: u64,
    words: Vec<(Vec<u8>, u64)>,
}

/// The map step; runs in a worker.
fn count(piece: Piece) -> Result<Counted, AnyError> {
    let mut words = Counts::new();
    count_into(&piece, &mut words)?;
    Ok(Counted { len: piece.len, words: words.into_iter().collect() })
}

fn count_into(piece: &Piece, words: &mut Counts) -> io::Result<()> {
    let mut file = File::open(OsString::from_vec(piece.path.clone()))?;
    // From the byte before the piece: it tells whether the piece begins in the middle of a word.
    let mut at = piece.start.saturating_sub(1);
    file.seek(SeekFrom::Start(at))?;
    let end = piece.start + piece.len;
    let mut reader = BufReader::with_capacity(256 << 10, file);
    let mut word = Vec::new();
    // A word that began before the piece is another's.
    let mut ours = piece.start == 0;
    loop {
        let bytes = reader.fill_buf()?;
        if bytes.is_empty() {
            break;
        }
        let len = bytes.len();
        for &byte in bytes {
            if is_word(byte) {
                if ours && (at < end || !word.is_empty()) {
                    word.push(byte.to_ascii_lowercase());
                }
            } else {
                ours = true;
                if !word.is_empty() {
                    note(&mut word, words);
                }
            }
            at += 1;
            // Past the end only the word that has begun is wanted.
            if at >= end && word.is_empty() {
                return Ok(());
            }
        }
        reader.consume(len);
    }
    if !word.is_empty() {
        note(&mut word, words);
    }
    Ok(())
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || !byte.is_ascii()
}

fn note(word: &mut Vec<u8>, words: &mut Counts) {
    match words.get_mut(word) {
        Some(count) => *count += 1,
        None => {
            words.insert(word.clone(), 1);
        }
    }
    word.clear();
}

#[procpool::main]
async fn main() -> ExitCode {
    let options = match Options::parse(std::env::args_os().skip(1)) {
        Ok(options) => options,
        Err(why) => {
            eprintln!("wordcount: {why}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(&options).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("wordcount: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: &Options) -> Result<ExitCode, Box<dyn Error>> {
    let files = list(&options.root)?;
    let bytes: u64 = files.iter().map(|(_, len)| len).sum();

    let started = Instant::now();
    let words = count_in_workers(&files, bytes, options.piece).await?;
    let took = started.elapsed();
    report(&words, options.top);
    eprintln!("{} files, {} in {took:.2?} in workers", files.len(), size(bytes));

    if options.check {
        let started = Instant::now();
        let mut alone = Counts::new();
        for (path, len) in &files {
            count_into(&Piece { path: path.as_os_str().as_bytes().to_vec(), start: 0, len: *len }, &mut alone)?;
        }
        let ratio = started.elapsed().as_secs_f64() / took.as_secs_f64();
        eprintln!("{:.2?} in one process, which is {ratio:.2} times as long", started.elapsed());
        if words != alone {
            println!("check: NOT equal");
            return Ok(ExitCode::FAILURE);
        }
        println!("check: equal");
    }
    Ok(ExitCode::SUCCESS)
}

/// Map and reduce: pieces are counted over there, as they come the counts are added up here.
async fn count_in_workers(files: &[(PathBuf, u64)], bytes: u64, piece: u64) -> Result<Counts, Box<dyn Error>> {
    let style = ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes}, {bytes_per_sec}, {eta} left")?;
    let bar = ProgressBar::new(bytes).with_style(style);

    let pool = Pool::new()?;
    // Made as they are needed: a corpus of any size costs no memory here. Reading a file twice does no harm, so that a
    // worker that was killed from outside is made up for.
    let pieces = files.iter().flat_map(|(path, len)| {
        (0..*len).step_by(piece as usize).map(move |start| Piece {
            path: path.as_os_str().as_bytes().to_vec(),
            start,
            len: piece.min(len - start),
        })
    });
    let mut counted = pool.map(count, pieces).unordered().timeout(LIMIT).retries(2);
    let mut words = Counts::new();
    while let Some(result) = counted.next().await {
        // The first ? is about the process, the second about the file.
        let Counted { len, words: more } = result??;
        for (word, count) in more {
            *words.entry(word).or_default() += count;
        }
        bar.inc(len);
    }
    bar.finish_and_clear();
    pool.shutdown().await?;
    Ok(words)
}

/// The regular files at and below `root`, with their lengths. Links are not followed, apart from `root` itself, and what
/// version control and builds keep for themselves is left out.
fn list(root: &Path) -> Result<Vec<(PathBuf, u64)>, String> {
    let about = |path: &Path, error: io::Error| format!("{}: {error}", path.display());
    let metadata = root.metadata().map_err(|error| about(root, error))?;
    if metadata.is_file() {
        return Ok(vec![(root.to_owned(), metadata.len())]);
    }
    let (mut files, mut directories) = (Vec::new(), vec![root.to_owned()]);
    while let Some(directory) = directories.pop() {
        for entry in directory.read_dir().map_err(|error| about(&directory, error))? {
            let entry = entry.map_err(|error| about(&directory, error))?;
            let path = entry.path();
            let metadata = entry.metadata().map_err(|error| about(&path, error))?;
            if metadata.is_dir() && entry.file_name() != ".git" && entry.file_name() != "target" {
                directories.push(path);
            } else if metadata.is_file() {
                files.push((path, metadata.len()));
            }
        }
    }
    files.sort_unstable();
    Ok(files)
}

fn report(words: &Counts, top: usize) {
    let mut sorted: Vec<_> = words.iter().collect();
    sorted.sort_unstable_by(|(a, n), (b, m)| m.cmp(n).then(a.cmp(b)));
    for (word, count) in sorted.into_iter().take(top) {
        println!("{count:>12} {}", String::from_utf8_lossy(word));
    }
    println!("{:>12} words, {} different ones", words.values().sum::<u64>(), words.len());
}

fn size(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

struct Options {
    root: PathBuf,
    check: bool,
    top: usize,
    piece: u64,
}

impl Options {
    fn parse(mut args: impl Iterator<Item = OsString>) -> Result<Self, String> {
        let mut root = None;
        let mut options = Options { root: sources(), check: false, top: 10, piece: PIECE };
        while let Some(arg) = args.next() {
            let mut number = |least: u64| {
                let value = args.next().unwrap_or_default();
                let number = value.to_str().and_then(|value| value.parse().ok()).filter(|number| *number >= least);
                number.ok_or_else(|| format!("{}: {} is not a number from {least} up", arg.display(), value.display()))
            };
            match arg.to_str() {
                Some("--check") => options.check = true,
                Some("--top") => options.top = number(0)? as usize,
                Some("--piece") => options.piece = number(1)?,
                Some(option) if option.starts_with("--") => return Err(format!("unknown option {option}")),
                _ if root.is_some() => return Err("more than one path".to_owned()),
                _ => root = Some(PathBuf::from(arg)),
            }
        }
        options.root = root.unwrap_or(options.root);
        Ok(options)
    }
}

/// This repository, as it lay when this program was built.
fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("crates")
}
