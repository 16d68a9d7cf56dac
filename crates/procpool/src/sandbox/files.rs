//! Landlock: which files may be opened, and no process outside traced or signalled.

use std::io;

use landlock::{
    ABI, Access, AccessFs, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreated, RulesetCreatedAttr, RulesetError, Scope,
};

use super::policy::{Forbidden, GrantedPath, Missing, Sandbox};

/// What must be had for files: with truncation, which came third.
const LEAST: ABI = ABI::V3;

/// What is used where it is there.
const MOST: ABI = ABI::V6;

/// Making devices takes privileges that no sandbox leaves, so that it can be forbidden in any: whoever is under Landlock at
/// all traces nobody outside, nor looks into their memory.
fn devices() -> BitFlags<AccessFs> {
    AccessFs::MakeChar | AccessFs::MakeBlock
}

/// The ruleset, which forbids nothing yet. Making it needs no privilege, and asks the kernel whether it could.
pub(super) fn ruleset(sandbox: &Sandbox, need: Need) -> Result<RulesetCreated, RulesetError> {
    let (least, most) = match sandbox.files {
        Some(_) => (AccessFs::from_all(LEAST), AccessFs::from_all(MOST)),
        None => (devices(), devices()),
    };
    let strictly = match need {
        Need::All | Need::Files => CompatLevel::HardRequirement,
        Need::Nothing => CompatLevel::BestEffort,
    };
    let ruleset = Ruleset::default().set_compatibility(strictly).handle_access(least)?;
    let ruleset = ruleset.set_compatibility(CompatLevel::BestEffort).handle_access(most)?;
    let signals = match need {
        Need::All if scope_is_needed(sandbox) => CompatLevel::HardRequirement,
        Need::All | Need::Files | Need::Nothing => CompatLevel::BestEffort,
    };
    ruleset.set_compatibility(signals).scope(Scope::Signal | Scope::AbstractUnixSocket)?.create()
}

/// What making it must not do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    All,
    /// And whatever there is of the rest.
    Files,
    Nothing,
}

/// Signals can be kept within the worker by other means where there are no processes but the worker itself.
pub(super) fn scope_is_needed(sandbox: &Sandbox) -> bool {
    !sandbox.forbids(Forbidden::NewProcesses)
}

/// What the sandbox grants, opened: what cannot be had is an error, also where Landlock cannot be had.
pub(super) fn open_grants(sandbox: &Sandbox) -> io::Result<Vec<PathBeneath<PathFd>>> {
    let Some(files) = &sandbox.files else { return Ok(Vec::new()) };
    let read = files.read.iter().map(|path| (path, AccessFs::from_read(MOST)));
    let write = files.write.iter().map(|path| (path, AccessFs::from_all(MOST) & !devices()));
    let open = |(GrantedPath(path), access): (&GrantedPath, BitFlags<AccessFs>)| {
        let file = PathFd::new(path).map_err(io::Error::other)?;
        // What only directories have is left out for a file.
        let access = if path.is_dir() { access } else { access & AccessFs::from_file(MOST) };
        Ok(PathBeneath::new(file, access))
    };
    read.chain(write).map(open).collect()
}

/// Puts the calling thread, and those that it starts, under it.
pub(super) fn restrict(sandbox: &Sandbox, grants: Vec<PathBeneath<PathFd>>) -> Result<(), RulesetError> {
    let need = match sandbox.missing {
        Missing::Refuse => Need::All,
        Missing::GoWithout => Need::Nothing,
    };
    let mut ruleset = ruleset(sandbox, need)?.set_compatibility(CompatLevel::BestEffort);
    for grant in grants {
        ruleset = ruleset.add_rule(grant)?;
    }
    ruleset.restrict_self().map(drop)
}
