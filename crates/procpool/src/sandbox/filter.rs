//! Programs for seccomp, made of the lists in [`calls`](super::calls).
//!
//! There are two sets. The **base** is put up before anything of the program's runs, the **task** set before the first task.
//! Each is several programs, of which the kernel heeds the strictest (and of two refusals the one installed last), so that
//! what is forbidden by name is `EPERM` also where it is not on the allow-list, which is `ENOSYS`.

use std::collections::BTreeMap;
use std::ffi::c_long;

use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, sock_filter,
};

use super::calls;
use super::policy::{Forbidden, Sandbox, Violation};

#[cfg(target_arch = "x86_64")]
const ARCH: TargetArch = TargetArch::x86_64;
#[cfg(target_arch = "aarch64")]
const ARCH: TargetArch = TargetArch::aarch64;
#[cfg(target_arch = "riscv64")]
const ARCH: TargetArch = TargetArch::riscv64;

/// Beyond this there are no system calls, but those of another binary interface on x86-64 (x32), which would be a way around
/// every list.
const CALLS_END: i64 = 0x4000_0000;

/// Whether this can be the number of a system call.
pub(super) fn is_call(number: i64) -> bool {
    (0..CALLS_END).contains(&number)
}

/// What is forbidden in every sandbox.
pub(super) fn base(sandbox: &Sandbox, me: u32) -> Result<Vec<BpfProgram>, BackendError> {
    let mut rules = Rules::default();
    rules.never(calls::MEDDLING);
    // Limits, priorities and places of others. Of one's own threads, too, where a thread's number stands for one.
    for (call, whom) in [
        (libc::SYS_prlimit64, 0),
        (libc::SYS_sched_setaffinity, 0),
        (libc::SYS_sched_setattr, 0),
        (libc::SYS_sched_setparam, 0),
        (libc::SYS_sched_setscheduler, 0),
        (libc::SYS_setpriority, 1),
        (libc::SYS_ioprio_set, 1),
    ] {
        rules.unless_one_of(call, whom, &[0, me])?;
    }
    // 2: all of a user's processes; IOPRIO_WHO_USER is 3.
    rules.when(libc::SYS_setpriority, 0, SeccompCmpOp::Eq, 2)?;
    rules.when(libc::SYS_ioprio_set, 0, SeccompCmpOp::Eq, 3)?;
    // Signals by way of a descriptor's owner.
    for command in [libc::F_SETOWN, F_SETOWN_EX] {
        rules.when(libc::SYS_fcntl, 1, SeccompCmpOp::Eq, bits(command))?;
    }
    for request in REQUESTS {
        rules.when(libc::SYS_ioctl, 1, SeccompCmpOp::Eq, request)?;
    }
    // Namespaces of its own would give it all capabilities in there, and a child of its parent's would be ours to reap.
    for flag in [
        libc::CLONE_NEWCGROUP,
        libc::CLONE_NEWIPC,
        libc::CLONE_NEWNET,
        libc::CLONE_NEWNS,
        libc::CLONE_NEWPID,
        libc::CLONE_NEWUSER,
        libc::CLONE_NEWUTS,
        libc::CLONE_PARENT,
    ] {
        rules.when(libc::SYS_clone, 0, SeccompCmpOp::MaskedEq(bits(flag).into()), bits(flag))?;
    }
    // Asking (all ones) is what `uname` tools do.
    rules.when(libc::SYS_personality, 0, SeccompCmpOp::Ne, u32::MAX)?;
    // Its flags lie in memory, where no program can look: libc then takes `clone`.
    let mut newer = Rules::default();
    newer.never(&[libc::SYS_clone3]);
    let programs =
        [rules.program(SeccompAction::Allow, violation(sandbox))?, newer.program(SeccompAction::Allow, ENOSYS)?];
    Ok(other_interfaces().into_iter().chain(programs).collect())
}

/// What is forbidden to tasks.
pub(super) fn for_tasks(sandbox: &Sandbox, me: u32) -> Result<Vec<BpfProgram>, BackendError> {
    let mut programs = Vec::new();
    if let Some(only) = &sandbox.only {
        let mut rules = Rules::default();
        rules.never(calls::NEEDED);
        // The base has refused them already, and by the right name.
        rules.never(calls::MEDDLING);
        for request in [libc::TCGETS, libc::TIOCGWINSZ, libc::FIONREAD, libc::FIONBIO, libc::FIOCLEX, libc::FIONCLEX] {
            rules.when(libc::SYS_ioctl, 1, SeccompCmpOp::Eq, low(request))?;
        }
        for request in REQUESTS {
            rules.when(libc::SYS_ioctl, 1, SeccompCmpOp::Eq, request)?;
        }
        for (call, anything) in only.iter().map(|call| (*call, Vec::new())) {
            rules.0.insert(call, anything);
        }
        // The match is what is allowed here.
        programs.push(rules.program(ENOSYS, SeccompAction::Allow)?);
    }
    let mut rules = Rules::default();
    if sandbox.forbids(Forbidden::Network) {
        rules.never(calls::NETWORK);
        // A pair stays in the worker, but one of datagrams can be connected to a name, or sent to one.
        rules.when(libc::SYS_socketpair, 0, SeccompCmpOp::Ne, bits(libc::AF_UNIX))?;
        for kind in [libc::SOCK_DGRAM, libc::SOCK_RAW] {
            rules.when(libc::SYS_socketpair, 1, SeccompCmpOp::MaskedEq(SOCK_TYPE_MASK), bits(kind))?;
        }
        // To an address.
        rules.when_long(libc::SYS_sendto, 4, SeccompCmpOp::Ne, 0)?;
    }
    if sandbox.forbids(Forbidden::Exec) {
        rules.never(calls::EXEC);
    }
    if sandbox.forbids(Forbidden::NewProcesses) {
        rules.never(calls::NEW_PROCESSES);
        let thread = bits(libc::CLONE_THREAD);
        rules.when(libc::SYS_clone, 0, SeccompCmpOp::MaskedEq(thread.into()), 0)?;
        // With no process but this one, there is one to signal: as such, or as a group.
        rules.unless_one_of(libc::SYS_kill, 0, &[0, me, me.wrapping_neg()])?;
        for call in [libc::SYS_tgkill, libc::SYS_rt_sigqueueinfo, libc::SYS_rt_tgsigqueueinfo] {
            rules.unless_one_of(call, 0, &[me])?;
        }
    }
    if sandbox.files.is_some() {
        rules.never(calls::CHANGES_BY_PATH);
        // Without a path it is about a descriptor.
        rules.when_long(libc::SYS_utimensat, 1, SeccompCmpOp::Ne, 0)?;
    }
    if !rules.0.is_empty() {
        programs.push(rules.program(SeccompAction::Allow, violation(sandbox))?);
    }
    Ok(programs)
}

const EPERM: SeccompAction = SeccompAction::Errno(libc::EPERM.unsigned_abs());
const ENOSYS: SeccompAction = SeccompAction::Errno(libc::ENOSYS.unsigned_abs());

// The same everywhere, and not in the libc crate, or not for all machines.
const F_SETOWN_EX: i32 = 15;
/// What nobody is to ask of a descriptor: FIOSETOWN and SIOCSPGRP let it send signals, TIOCSTI and TIOCLINUX type into the
/// terminal.
const REQUESTS: [u32; 4] = [0x8901, 0x8902, 0x5412, 0x541c];
/// What a kind of socket is without its flags.
const SOCK_TYPE_MASK: u64 = 0xf;

fn violation(sandbox: &Sandbox) -> SeccompAction {
    match sandbox.violation {
        Violation::Refuse => EPERM,
        Violation::Kill => SeccompAction::KillProcess,
    }
}

/// The bits of an argument that is an `int`.
const fn bits(value: i32) -> u32 {
    value.cast_unsigned()
}

/// Those that a kernel looks at of a request.
const fn low(value: u64) -> u32 {
    (value & u32::MAX as u64) as u32
}

/// Kills who calls by x32, whose numbers are not on any list. (Calls of 32-bit programs are another architecture's, which
/// ends in all programs made here.)
fn other_interfaces() -> Option<BpfProgram> {
    const LOAD_NUMBER: u16 = 0x20;
    const JUMP_IF_AT_LEAST: u16 = 0x35;
    const RETURN: u16 = 0x06;
    let instruction = |code, jt, jf, k| sock_filter { code, jt, jf, k };
    cfg!(target_arch = "x86_64").then(|| {
        vec![
            instruction(LOAD_NUMBER, 0, 0, 0),
            instruction(JUMP_IF_AT_LEAST, 0, 1, low(CALLS_END.cast_unsigned())),
            instruction(RETURN, 0, 0, SeccompAction::KillProcess.into()),
            instruction(RETURN, 0, 0, SeccompAction::Allow.into()),
        ]
    })
}

/// Calls, and when: with no condition, always.
#[derive(Default)]
struct Rules(BTreeMap<i64, Vec<SeccompRule>>);

impl Rules {
    /// These calls, whatever their arguments.
    fn never(&mut self, calls: &[c_long]) {
        for call in calls {
            self.0.insert(*call, Vec::new());
        }
    }

    fn when(&mut self, call: c_long, argument: u8, is: SeccompCmpOp, value: u32) -> Result<(), BackendError> {
        self.add(call, vec![SeccompCondition::new(argument, SeccompCmpArgLen::Dword, is, value.into())?])
    }

    /// The same of an argument as wide as a pointer.
    fn when_long(&mut self, call: c_long, argument: u8, is: SeccompCmpOp, value: u64) -> Result<(), BackendError> {
        self.add(call, vec![SeccompCondition::new(argument, SeccompCmpArgLen::Qword, is, value)?])
    }

    fn unless_one_of(&mut self, call: c_long, argument: u8, values: &[u32]) -> Result<(), BackendError> {
        let differs =
            |value: &u32| SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, u64::from(*value));
        self.add(call, values.iter().map(differs).collect::<Result<_, _>>()?)
    }

    fn add(&mut self, call: c_long, all: Vec<SeccompCondition>) -> Result<(), BackendError> {
        self.0.entry(call).or_default().push(SeccompRule::new(all)?);
        Ok(())
    }

    fn program(self, otherwise: SeccompAction, matching: SeccompAction) -> Result<BpfProgram, BackendError> {
        SeccompFilter::new(self.0, otherwise, matching, ARCH)?.try_into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sandbox_can_be_made_into_programs() {
        for sandbox in [Sandbox::new(), Sandbox::compute_only(), Sandbox::read_only().kill_on_violation()] {
            assert!(base(&sandbox, 1000).unwrap().len() >= 2);
            for program in for_tasks(&sandbox, 1000).unwrap() {
                // The kernel's limit.
                assert!((1..4096).contains(&program.len()), "{}", program.len());
            }
        }
        assert!(for_tasks(&Sandbox::new(), 1000).unwrap().is_empty());
    }

    #[test]
    fn what_is_forbidden_is_not_needed() {
        for forbidden in [calls::MEDDLING, calls::NETWORK, calls::EXEC, calls::CHANGES_BY_PATH] {
            assert!(forbidden.iter().all(|call| !calls::NEEDED.contains(call)));
        }
    }

    #[test]
    fn numbers_of_calls_are_told_from_others() {
        assert!(is_call(0) && is_call(libc::SYS_openat) && !is_call(-1) && !is_call(CALLS_END | libc::SYS_openat));
    }
}
