//! What a process has: children, descriptors, threads, temporary files.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long what is on its way out may take.
const SETTLE: Duration = Duration::from_secs(5);

/// Everything that a test could leave behind.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Inventory {
    descriptors: usize,
    threads: usize,
    children: Vec<u32>,
    files: BTreeSet<PathBuf>,
}

impl Inventory {
    pub(crate) fn take() -> Self {
        let count = |path| std::fs::read_dir(path).map_or(0, Iterator::count);
        Inventory {
            descriptors: count("/proc/self/fd"),
            threads: count("/proc/self/task"),
            children: children_of(std::process::id()),
            files: files(),
        }
    }

    /// Fails unless the process is as it was. What ends, ends a moment after it says so, hence the wait.
    pub(crate) fn assert_nothing_is_left(&self) {
        let started = Instant::now();
        let mut now = Inventory::take();
        while !self.covers(&now) {
            assert!(started.elapsed() < SETTLE, "something is left:\nbefore {self:?}\nafter  {now:?}\n{}", details());
            pause();
            now = Inventory::take();
        }
    }

    fn covers(&self, later: &Inventory) -> bool {
        later.descriptors <= self.descriptors
            && later.threads <= self.threads
            && later.children.iter().all(|child| self.children.contains(child))
            && later.files.is_subset(&self.files)
    }
}

/// Waits until something that cannot be waited for otherwise (another process's state) holds; fails if it never does.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < Duration::from_secs(20), "this never came: {what}");
        pause();
    }
}

fn pause() {
    std::thread::park_timeout(Duration::from_millis(1));
}

/// Every child of a process, zombies included. (`/proc/…/children` may miss some while they come and go.)
#[must_use]
pub fn children_of(parent: u32) -> Vec<u32> {
    let Ok(processes) = std::fs::read_dir("/proc") else { return Vec::new() };
    processes
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| parent_of(*pid) == Some(parent))
        .collect()
}

fn stat_of(pid: u32) -> Option<(char, u32)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((state, fields.next()?.parse().ok()?))
}

/// The parent of a process.
#[must_use]
pub fn parent_of(pid: u32) -> Option<u32> {
    stat_of(pid).map(|(_, parent)| parent)
}

/// What a process (its main thread) is doing, as a letter of proc(5): `S` waits, `T` is stopped, `Z` is a zombie.
pub(crate) fn state_of(pid: u32) -> Option<char> {
    stat_of(pid).map(|(state, _)| state)
}

/// Whether a process exists and is not a zombie.
#[must_use]
pub fn is_alive(pid: u32) -> bool {
    stat_of(pid).is_some_and(|(state, _)| state != 'Z' && state != 'X')
}

pub(crate) fn kill_children() {
    for child in children_of(std::process::id()) {
        drop(std::process::Command::new("kill").args(["-KILL", &child.to_string()]).status());
    }
}

fn files() -> BTreeSet<PathBuf> {
    // Other tests run at the same time: only what is named after this process is ours.
    let mine = format!("procpool-{}-", std::process::id());
    ["/dev/shm".into(), std::env::temp_dir()]
        .into_iter()
        .filter_map(|folder: PathBuf| std::fs::read_dir(folder).ok())
        .flat_map(Iterator::flatten)
        .map(|entry| entry.path())
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&mine)))
        .collect()
}

fn details() -> String {
    let mut text = String::new();
    for entry in std::fs::read_dir("/proc/self/fd").into_iter().flatten().flatten() {
        text.push_str(&format!("  fd {:?} -> {:?}\n", entry.file_name(), std::fs::read_link(entry.path())));
    }
    for entry in std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten() {
        let name = std::fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
        text.push_str(&format!("  thread {}\n", name.trim()));
    }
    text
}
