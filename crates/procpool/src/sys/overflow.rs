//! Telling a stack overflow from other faults.
//!
//! std does this for programs, but only prints, and has not been set up yet where a worker starts in a constructor. A
//! worker's handler also leaves a note for the parent, so that the error says more than "SIGABRT".
//!
//! The handler runs on a stack of its own, in a thread that may have been interrupted anywhere. So nothing on its way
//! allocates, locks, unwinds, or calls anything but `write`, `sigaction`, `raise` and `abort`.

use std::cell::UnsafeCell;
use std::io;
use std::mem::MaybeUninit;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::mm::{MapFlags, MprotectFlags, ProtFlags};

/// What the handler needs, put in place once, before the handler is.
struct Guard {
    low: usize,
    top: usize,
    /// Called on an overflow; safe in a signal handler.
    note: fn(),
    /// What is printed, whole.
    words: Box<[u8]>,
}

static GUARD: OnceLock<Guard> = OnceLock::new();

/// The dispositions that were there before, for SIGSEGV and SIGBUS.
static FORMER: [Former; 2] = [Former::new(), Former::new()];

/// A disposition that is written once, before the handler that reads it is installed.
struct Former {
    action: UnsafeCell<MaybeUninit<libc::sigaction>>,
    set: AtomicBool,
}

// SAFETY: `action` is written by `install` alone, at most once (guarded by `GUARD`), before `set` becomes true with
// Release; it is read only after `set` was read as true with Acquire.
#[expect(unsafe_code, reason = "a signal handler can use neither a lock nor a cell that blocks")]
unsafe impl Sync for Former {}

impl Former {
    const fn new() -> Self {
        Former { action: UnsafeCell::new(MaybeUninit::uninit()), set: AtomicBool::new(false) }
    }
}

/// The kernel keeps this much free below the stack.
const KERNEL_GAP: usize = 1 << 20;

/// How far from the stack pointer a frame's first touch may lie. (rustc's probes touch every page on the way.)
const NEAR: usize = 64 << 10;

/// Least size of the handler's stack.
const HANDLER_STACK: usize = 64 << 10;

/// Watches over the stack of the calling thread, for the rest of the process: on an overflow `note` is called, a word
/// about `name` is printed to standard error, and the process aborts. Every other fault goes to whoever handled it
/// before. The second call does nothing.
///
/// `note` runs in a signal handler: it must not allocate, lock or panic.
pub(crate) fn install(name: &str, note: fn()) -> io::Result<()> {
    let (low, top) = own_stack()?;
    let words = format!("\nthread '{name}' has overflowed its stack\nfatal runtime error: stack overflow, aborting\n");
    if GUARD.set(Guard { low, top, note, words: words.into_bytes().into_boxed_slice() }).is_err() {
        return Ok(());
    }
    give_handler_stack()?;
    for (signal, former) in [libc::SIGSEGV, libc::SIGBUS].into_iter().zip(&FORMER) {
        let mut old = MaybeUninit::<libc::sigaction>::uninit();
        // SAFETY: `old` is written whole by a successful call. Reading the disposition before replacing it leaves no
        // moment in which our handler runs without knowing it. Nobody else writes `former` (see its `Sync`).
        #[expect(unsafe_code, reason = "rustix leaves signal handlers to libc")]
        unsafe {
            if libc::sigaction(signal, std::ptr::null(), old.as_mut_ptr()) != 0 {
                return Err(io::Error::last_os_error());
            }
            (*former.action.get()).write(old.assume_init());
        }
        former.set.store(true, Ordering::Release);
        let function: extern "C" fn(i32, *mut libc::siginfo_t, *mut libc::c_void) = on_fault;
        // SAFETY: an all-zero `sigaction` is a valid one (default disposition, empty mask); the handler has the shape
        // that SA_SIGINFO promises, and keeps to what a handler may do.
        #[expect(unsafe_code, reason = "rustix leaves signal handlers to libc")]
        let result = unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = function as *const () as libc::sighandler_t;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
            libc::sigaction(signal, &raw const action, std::ptr::null_mut())
        };
        if result != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// The bounds of the calling thread's stack: the lowest address that it may grow to, and its end.
fn own_stack() -> io::Result<(usize, usize)> {
    let mut start = std::ptr::null_mut();
    let mut size = 0;
    let mut attributes = MaybeUninit::<libc::pthread_attr_t>::uninit();
    // SAFETY: `pthread_getattr_np` initialises the attributes when it returns 0; they are read, then destroyed, once.
    #[expect(unsafe_code, reason = "only libc knows where a thread's stack lies")]
    let error = unsafe {
        match libc::pthread_getattr_np(libc::pthread_self(), attributes.as_mut_ptr()) {
            0 => {
                let error = libc::pthread_attr_getstack(attributes.as_ptr(), &raw mut start, &raw mut size);
                libc::pthread_attr_destroy(attributes.as_mut_ptr());
                error
            }
            error => error,
        }
    };
    if error != 0 {
        return Err(io::Error::from_raw_os_error(error));
    }
    Ok((start as usize, (start as usize).saturating_add(size)))
}

/// Gives the calling thread a stack for handlers, with a page below it that cannot be touched. It is never freed.
fn give_handler_stack() -> io::Result<()> {
    let page = rustix::param::page_size();
    // Newer processors save more registers than fit the old constants; the kernel says how much.
    let size = (HANDLER_STACK + rustix::param::linux_minsigstksz()).next_multiple_of(page);
    // SAFETY: a fresh private mapping, never unmapped, of which the lowest page is made inaccessible, and the rest
    // becomes the handler's stack of this thread.
    #[expect(unsafe_code, reason = "mapping memory; rustix leaves handler stacks to libc")]
    let result = unsafe {
        let start = rustix::mm::mmap_anonymous(
            std::ptr::null_mut(),
            size + page,
            ProtFlags::READ | ProtFlags::WRITE,
            MapFlags::PRIVATE,
        )?;
        rustix::mm::mprotect(start, page, MprotectFlags::empty())?;
        let stack = libc::stack_t { ss_sp: start.byte_add(page), ss_flags: 0, ss_size: size };
        libc::sigaltstack(&raw const stack, std::ptr::null_mut())
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Whether a fault at `address` with the stack pointer at `pointer` is the overflow of the stack `low..top`.
///
/// Either it hits the zone just below the stack, or (where the limit is "unlimited", or was changed since) the stack
/// pointer is in the stack and the fault next to it: the kernel makes every byte there accessible if it can.
fn is_overflow(address: usize, pointer: usize, low: usize, top: usize) -> bool {
    let zone = low.saturating_sub(KERNEL_GAP)..low.saturating_add(NEAR);
    let reach = low.saturating_sub(KERNEL_GAP)..top;
    zone.contains(&address)
        || (reach.contains(&pointer) && reach.contains(&address) && address.abs_diff(pointer) <= NEAR)
}

extern "C" fn on_fault(signal: i32, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: with SA_SIGINFO the kernel passes valid pointers to both; for these two signals, when sent by the kernel
    // (`si_code > 0`), the address is set.
    #[expect(unsafe_code, reason = "reading what the kernel passes to a handler")]
    let (by_kernel, address, pointer) =
        unsafe { ((*info).si_code > 0, (*info).si_addr() as usize, stack_pointer(context)) };
    if let Some(guard) = GUARD.get()
        && by_kernel
        && is_overflow(address, pointer, guard.low, guard.top)
    {
        (guard.note)();
        let mut words = &guard.words[..];
        while !words.is_empty() {
            // Straight to the descriptor: std's handle has a lock. What cannot be written is not worth a delay.
            match rustix::io::write(rustix::stdio::stderr(), words) {
                Ok(count) if count > 0 => words = &words[count.min(words.len())..],
                Err(rustix::io::Errno::INTR) => {}
                _ => break,
            }
        }
        std::process::abort();
    }
    pass_on(signal, info, context, by_kernel);
}

/// Leaves a fault to whoever handled it before us.
fn pass_on(signal: i32, info: *mut libc::siginfo_t, context: *mut libc::c_void, by_kernel: bool) {
    let former = &FORMER[usize::from(signal == libc::SIGBUS)];
    if !former.set.load(Ordering::Acquire) {
        std::process::abort();
    }
    // SAFETY: `set` was read as true, so `action` was written, and nobody writes it again. A handler found in it was
    // installed with these flags, so it has the shape that they say. Default and ignored are not functions: then the
    // default is restored, under which the faulting instruction, run again, ends the process as if we were not there;
    // a signal that was merely sent does not come again by itself, so it is raised (and delivered on return).
    #[expect(unsafe_code, reason = "calling a handler that is known as a number, restoring a disposition")]
    unsafe {
        let action = (*former.action.get()).assume_init_ref();
        match action.sa_sigaction {
            libc::SIG_DFL | libc::SIG_IGN => {
                let mut default: libc::sigaction = std::mem::zeroed();
                default.sa_sigaction = libc::SIG_DFL;
                libc::sigaction(signal, &raw const default, std::ptr::null_mut());
                if !by_kernel {
                    libc::raise(signal);
                }
            }
            address if action.sa_flags & libc::SA_SIGINFO != 0 => {
                let handler: extern "C" fn(i32, *mut libc::siginfo_t, *mut libc::c_void) = std::mem::transmute(address);
                handler(signal, info, context);
            }
            address => {
                let handler: extern "C" fn(i32) = std::mem::transmute(address);
                handler(signal);
            }
        }
    }
}

/// The interrupted code's stack pointer.
///
/// # Safety
/// `context` is what the kernel passed to a handler with SA_SIGINFO.
#[expect(unsafe_code, reason = "reading what the kernel passes to a handler")]
unsafe fn stack_pointer(context: *mut libc::c_void) -> usize {
    let context: *const libc::ucontext_t = context.cast();
    // SAFETY: by this function's contract the pointer is valid, and for this architecture.
    #[cfg(target_arch = "x86_64")]
    let pointer = unsafe { (*context).uc_mcontext.gregs[libc::REG_RSP as usize] as u64 };
    // SAFETY: as above.
    #[cfg(target_arch = "aarch64")]
    let pointer = unsafe { (*context).uc_mcontext.sp };
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let pointer = {
        let _ = context;
        0u64
    };
    usize::try_from(pointer).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_beside_the_stack_pointer_or_below_the_stack_are_overflows() {
        const LOW: usize = 0x7000_0000;
        const TOP: usize = LOW + (8 << 20);
        assert!(is_overflow(LOW - 8, LOW + 8, LOW, TOP));
        assert!(is_overflow(LOW - 4096, LOW - 4096, LOW, TOP));
        assert!(is_overflow(LOW + (1 << 20), LOW + (1 << 20) + 4096, LOW, TOP), "a limit that was lowered");
        assert!(!is_overflow(0, LOW + 4096, LOW, TOP), "a null pointer deep in the stack");
        assert!(!is_overflow(LOW + (4 << 20), TOP - 64, LOW, TOP), "a wild pointer into the stack");
        assert!(!is_overflow(TOP + 64, TOP - 64, LOW, TOP), "behind the stack");
    }

    #[test]
    fn the_stack_of_this_thread_holds_its_variables() {
        let variable = 0u8;
        let (low, top) = own_stack().unwrap();
        assert!((low..top).contains(&(&raw const variable as usize)));
    }
}
