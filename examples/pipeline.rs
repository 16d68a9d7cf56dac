//! A pipeline of processes: one reads the files below a path, several find the identifiers in them, one adds them up.
//!
//! ```text
//! cargo run --release --example pipeline -- [--check] [--top N] [--parsers N] [PATH]
//! ```
//!
//! The stages are connected by bounded queues: one that is quick waits for one that is slow, and no stage holds more
//! than a few files in memory, however large the corpus. A stage ends when the one before it has: it holds the only
//! senders of its output, so that the next one's input ends when it returns. `--check` does the same in this process,
//! without queues, and says whether the two answers are equal. An identifier is a letter or underscore and what follows
//! of these and of digits, outside of `//` comments and of text in quotes on one line.

use std::collections::HashMap;
use std::error::Error;
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use procpool::queue::{self, Receiver, Sender};
use procpool::{AnyError, Process, call};
use serde::{Deserialize, Serialize};

const USAGE: &str = "usage: pipeline [--check] [--top N] [--parsers N] [PATH]";

/// What may wait between two stages.
const FILES: usize = 16;

/// How often each identifier is there.
type Counts = HashMap<String, u64>;

/// How often an identifier was seen, and in how many files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Seen {
    times: u64,
    files: u64,
}

#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Answer {
    files: u64,
    identifiers: HashMap<String, Seen>,
}

impl Answer {
    fn add(&mut self, counts: Counts) {
        self.files += 1;
        for (identifier, times) in counts {
            let seen = self.identifiers.entry(identifier).or_default();
            seen.times += times;
            seen.files += 1;
        }
    }
}

/// The first stage. A path is given as bytes, for on Unix it need not be UTF-8; a text is sent as bytes for the same
/// reason, and because a `Vec<u8>` is copied as it is.
fn read(root: Vec<u8>, texts: Sender<Vec<u8>>) -> Result<(), AnyError> {
    for file in list(Path::new(&OsString::from_vec(root)))? {
        texts.send_blocking(std::fs::read(file)?)?; // waits while the parsers have enough
    }
    Ok(())
}

/// The second stage, of which there are several: each text goes to one of them.
fn parse(texts: Receiver<Vec<u8>>, parsed: Sender<Counts>) -> Result<(), AnyError> {
    for text in texts.iter() {
        parsed.send_blocking(identifiers(&text?))?;
    }
    Ok(())
}

/// The third stage: its result is the answer.
fn aggregate(parsed: Receiver<Counts>) -> Result<Answer, AnyError> {
    let mut answer = Answer::default();
    for counts in parsed.iter() {
        answer.add(counts?);
    }
    Ok(answer)
}

async fn pipeline(root: &Path, parsers: usize) -> Result<Answer, Box<dyn Error>> {
    let (texts, texts_out) = queue::bounded(FILES);
    let (parsed, parsed_out) = queue::bounded(FILES);
    let reader = Process::spawn(call!(read(root.as_os_str().as_bytes().to_vec(), texts)))?;
    let mut stage = Vec::new();
    for _ in 0..parsers {
        stage.push(Process::spawn(call!(parse(texts_out.clone(), parsed.clone())))?);
    }
    let aggregator = Process::spawn(call!(aggregate(parsed_out)))?;
    // Only the stages hold handles now, and so the end of one is known to the next.
    drop((texts_out, parsed));

    reader.join().await??; // the first ? is about the process, the second about what it did
    for parser in stage {
        parser.join().await??;
    }
    Ok(aggregator.join().await??)
}

/// The identifiers of one text.
fn identifiers(text: &[u8]) -> Counts {
    let mut counts = Counts::new();
    for line in text.split(|byte| *byte == b'\n') {
        let mut rest = line;
        while let Some(&first) = rest.first() {
            let len = match first {
                b'/' if rest.starts_with(b"//") => rest.len(),
                b'"' => quoted(rest),
                _ if first.is_ascii_alphanumeric() || first == b'_' => {
                    let word = rest.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count();
                    if !first.is_ascii_digit() {
                        note(&rest[..word], &mut counts);
                    }
                    word
                }
                _ => 1,
            };
            rest = &rest[len..];
        }
    }
    counts
}

/// The length of what is in quotes here, with them; of the one quote if there is no other.
fn quoted(text: &[u8]) -> usize {
    let mut escaped = false;
    for (at, byte) in text.iter().enumerate().skip(1) {
        match byte {
            b'"' if !escaped => return at + 1,
            _ => escaped = *byte == b'\\' && !escaped,
        }
    }
    1
}

fn note(identifier: &[u8], counts: &mut Counts) {
    // ASCII by its making.
    let identifier = String::from_utf8_lossy(identifier);
    match counts.get_mut(&*identifier) {
        Some(count) => *count += 1,
        None => {
            counts.insert(identifier.into_owned(), 1);
        }
    }
}

/// The same answer by one process.
fn alone(root: &Path) -> io::Result<Answer> {
    let mut answer = Answer::default();
    for file in list(root)? {
        answer.add(identifiers(&std::fs::read(file)?));
    }
    Ok(answer)
}

/// The regular files at and below `root`. Links are not followed, apart from `root` itself, and what version control and
/// builds keep for themselves is left out.
fn list(root: &Path) -> io::Result<Vec<PathBuf>> {
    if root.metadata()?.is_file() {
        return Ok(vec![root.to_owned()]);
    }
    let (mut files, mut directories) = (Vec::new(), vec![root.to_owned()]);
    while let Some(directory) = directories.pop() {
        for entry in directory.read_dir()? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() && entry.file_name() != ".git" && entry.file_name() != "target" {
                directories.push(entry.path());
            } else if kind.is_file() {
                files.push(entry.path());
            }
        }
    }
    files.sort_unstable();
    Ok(files)
}

fn report(answer: &Answer, top: usize) {
    let mut sorted: Vec<_> = answer.identifiers.iter().collect();
    sorted.sort_unstable_by(|(a, x), (b, y)| y.times.cmp(&x.times).then(a.cmp(b)));
    for (identifier, seen) in sorted.into_iter().take(top) {
        println!("{:>10} in {:>6} files  {identifier}", seen.times, seen.files);
    }
    let times: u64 = answer.identifiers.values().map(|seen| seen.times).sum();
    println!("{times:>10} in {:>6} files, {} different ones", answer.files, answer.identifiers.len());
}

async fn run(options: &Options) -> Result<ExitCode, Box<dyn Error>> {
    let started = Instant::now();
    let answer = pipeline(&options.root, options.parsers).await?;
    report(&answer, options.top);
    eprintln!("{:.2?} with {} parsers", started.elapsed(), options.parsers);

    if options.check {
        let started = Instant::now();
        let expected = alone(&options.root)?;
        eprintln!("{:.2?} in one process", started.elapsed());
        if answer != expected {
            println!("check: NOT equal");
            return Ok(ExitCode::FAILURE);
        }
        println!("check: both answers are equal");
    }
    Ok(ExitCode::SUCCESS)
}

#[procpool::main]
async fn main() -> ExitCode {
    let options = match Options::parse(std::env::args_os().skip(1)) {
        Ok(options) => options,
        Err(why) => {
            eprintln!("pipeline: {why}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    run(&options).await.unwrap_or_else(|error| {
        eprintln!("pipeline: {error}");
        ExitCode::FAILURE
    })
}

struct Options {
    root: PathBuf,
    check: bool,
    top: usize,
    parsers: usize,
}

impl Options {
    fn parse(mut args: impl Iterator<Item = OsString>) -> Result<Self, String> {
        let mut root = None;
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        let mut options = Options { root: sources(), check: false, top: 20, parsers: cores };
        while let Some(arg) = args.next() {
            let mut number = |least: usize| {
                let value = args.next().unwrap_or_default();
                let number = value.to_str().and_then(|value| value.parse().ok()).filter(|number| *number >= least);
                number.ok_or_else(|| format!("{}: {} is not a number from {least} up", arg.display(), value.display()))
            };
            match arg.to_str() {
                Some("--check") => options.check = true,
                Some("--top") => options.top = number(0)?,
                Some("--parsers") => options.parsers = number(1)?,
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
