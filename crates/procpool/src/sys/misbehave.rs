//! What tests let workers and parents do wrong, as C libraries do.

/// Reads a byte at any address.
pub(crate) fn wild_access(address: usize) -> u8 {
    // SAFETY: none: the access is meant to fail, in a process that is meant to die of it.
    #[expect(unsafe_code, reason = "crashing on purpose")]
    unsafe {
        std::ptr::with_exposed_provenance::<u8>(address).read_volatile()
    }
}

/// Closes a descriptor, whoever owns it.
pub(crate) fn close(descriptor: i32) {
    // SAFETY: none: others find their descriptors closed, in a process that is meant to end for it.
    #[expect(unsafe_code, reason = "closing what others own, on purpose")]
    unsafe {
        libc::close(descriptor);
    }
}

/// Forks without exec: a process that holds all that this one holds, and does nothing, until it is killed.
pub(crate) fn fork_a_holder() -> u32 {
    // SAFETY: the child of a process with several threads calls nothing but `pause`, which needs no lock.
    #[expect(unsafe_code, reason = "forking without exec, as some C libraries do")]
    unsafe {
        let pid = libc::fork();
        if pid == 0 {
            loop {
                libc::pause();
            }
        }
        u32::try_from(pid).unwrap_or(0)
    }
}

/// Whether `check` holds in a copy of this process, as `fork` makes it.
pub(crate) fn holds_in_a_copy(check: impl FnOnce() -> bool) -> bool {
    // SAFETY: the child runs `check`, which the test answers for (no lock that another thread may hold), and ends without
    // running any destructor or exit hook of this process. The parent only waits for it.
    #[expect(unsafe_code, reason = "forking without exec, as some C libraries do")]
    let status = unsafe {
        let pid = libc::fork();
        assert!(pid >= 0, "{}", std::io::Error::last_os_error());
        if pid == 0 {
            libc::_exit(i32::from(!check()));
        }
        let mut status = 0;
        assert_eq!(libc::waitpid(pid, &raw mut status, 0), pid);
        status
    };
    status == 0
}
