//! What a worker does to itself: its name, its core dumps, its place in the kernel's list of what to kill first.

use std::ffi::CString;
use std::io;

pub(crate) use rustix::process::Resource;
use rustix::process::Rlimit;
use rustix::thread::CpuSet;

/// The score that workers get: well above that of an ordinary process, so that a machine short of memory loses a
/// task and not the service, and well below the maximum, so that somebody can still ask to be killed before them.
const OOM_SCORE: i32 = 500;

const OOM_FILE: &str = "/proc/self/oom_score_adj";

/// Sets the name of the calling thread (of the process, when it is the main thread), as `ps` and `top` show it. The
/// kernel keeps 15 bytes.
pub(crate) fn set_thread_name(name: &str) -> io::Result<()> {
    let bytes: Vec<u8> = name.bytes().filter(|&byte| byte != 0).take(15).collect();
    Ok(rustix::thread::set_name(&CString::new(bytes)?)?)
}

/// Makes this process a likelier victim of the out-of-memory killer, unless it already is one. Raising needs no
/// privilege.
pub(crate) fn raise_oom_score() -> io::Result<()> {
    let current: i32 = std::fs::read_to_string(OOM_FILE)?.trim().parse().unwrap_or(0);
    if current < OOM_SCORE { std::fs::write(OOM_FILE, OOM_SCORE.to_string()) } else { Ok(()) }
}

/// Turns core dumps off for this process and what it starts. The hard limit stays, so that a task can turn them on.
pub(crate) fn disable_core_dumps() -> io::Result<()> {
    let limit = rustix::process::getrlimit(Resource::Core);
    Ok(rustix::process::setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: limit.maximum })?)
}

/// Allows this process, and what it starts, no more than this of a resource, for ever. What it may have by now is no more
/// afterwards.
pub(crate) fn allow(resource: Resource, most: u64) -> io::Result<()> {
    let former = rustix::process::getrlimit(resource);
    let most = former.maximum.map_or(most, |maximum| most.min(maximum));
    Ok(rustix::process::setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })?)
}

/// Makes this process as nice as this, unless it is nicer.
pub(crate) fn be_nice(niceness: i32) -> io::Result<()> {
    if rustix::process::getpriority_process(None)? < niceness {
        rustix::process::setpriority_process(None, niceness)?;
    }
    Ok(())
}

/// Lets the calling thread, and those that it starts, run on these cores only.
pub(crate) fn run_on(cpus: &[usize]) -> io::Result<()> {
    let mut set = CpuSet::new();
    for cpu in cpus {
        if *cpu >= CpuSet::MAX_CPU {
            return Err(io::Error::other(format!("there is no core {cpu}")));
        }
        set.set(*cpu);
    }
    Ok(rustix::thread::sched_setaffinity(None, &set)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cut_where_the_kernel_cuts_them() {
        let name = std::thread::spawn(|| {
            set_thread_name("a-name-longer-than-the-kernel-keeps").unwrap();
            rustix::thread::name().unwrap()
        });
        assert_eq!(name.join().unwrap().to_bytes(), b"a-name-longer-t");
    }
}
