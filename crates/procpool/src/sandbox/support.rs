//! What this kernel can do.

use super::files::{self, Need};
use super::policy::Sandbox;
use crate::sys::confine;

/// What it cannot of this sandbox, in words.
pub(super) fn missing(sandbox: &Sandbox) -> Vec<String> {
    let mut missing = Vec::new();
    if let Err(error) = files::ruleset(sandbox, Need::Files) {
        let what = if sandbox.files.is_some() { "files cannot be kept from it" } else { "others could be traced" };
        missing.push(format!("{what}, which needs Landlock of Linux 6.2 ({error})"));
    } else if let Err(error) = files::ruleset(sandbox, Need::All) {
        missing.push(format!(
            "processes outside could be signalled: that needs Landlock of Linux 6.12, or no_new_processes() ({error})"
        ));
    }
    if let Err(error) = confine::has_filters() {
        missing.push(format!("system calls cannot be forbidden, which needs seccomp filters ({error})"));
    }
    missing
}
