//! How much processor there is for this process.

use rustix::thread::sched_getaffinity;

/// How many processors this process may use; `None` while a quota (of a container, say) gives it less than the time of
/// all of them, or nobody knows.
pub(crate) fn undivided() -> Option<usize> {
    let allowed = sched_getaffinity(None).ok()?.count() as usize;
    // This one looks at quotas, too.
    let available = std::thread::available_parallelism().ok()?.get();
    (available >= allowed).then_some(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_at_least_one_unless_a_quota_divides_it() {
        assert!(undivided().is_none_or(|cores| cores >= 1));
    }
}
