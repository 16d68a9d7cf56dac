//! What the kernel tells about processes.

use std::fs;

use crate::Error;

/// The processes that this one started and that still run.
pub(crate) fn children(process: u32) -> Result<Vec<u32>, Error> {
    let mut children = Vec::new();
    for thread in fs::read_dir(format!("/proc/{process}/task"))? {
        let text = fs::read_to_string(thread?.path().join("children"))?;
        for id in text.split_whitespace() {
            children.push(id.parse()?);
        }
    }
    Ok(children)
}

/// How often its threads have left a core, by their own will or not.
pub(crate) fn switches(process: u32) -> Result<u64, Error> {
    let mut switches = 0;
    for thread in fs::read_dir(format!("/proc/{process}/task"))? {
        let status = fs::read_to_string(thread?.path().join("status"))?;
        switches += field(&status, "voluntary_ctxt_switches:")? + field(&status, "nonvoluntary_ctxt_switches:")?;
    }
    Ok(switches)
}

/// Its share of the memory that it has, in KiB: a page that three have counts a third.
pub(crate) fn pss_kib(process: u32) -> Result<u64, Error> {
    field(&fs::read_to_string(format!("/proc/{process}/smaps_rollup"))?, "Pss:")
}

fn field(text: &str, name: &str) -> Result<u64, Error> {
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok());
    value.ok_or_else(|| format!("no {name} where there was one").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_their_whole_name() {
        let text = "Pss_Dirty:  7 kB\nPss:      258 kB\nnonvoluntary_ctxt_switches:\t3\nvoluntary_ctxt_switches:\t12\n";
        assert_eq!(field(text, "Pss:").unwrap(), 258);
        assert_eq!(field(text, "voluntary_ctxt_switches:").unwrap(), 12);
        assert!(field(text, "Rss:").is_err());
    }

    #[test]
    fn this_process_can_be_looked_at() {
        let this = std::process::id();
        assert!(pss_kib(this).unwrap() > 0);
        assert!(switches(this).is_ok() && children(this).is_ok());
    }
}
