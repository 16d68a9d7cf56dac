//! Code that runs before `main`.

/// Makes `$function` (a `fn()`) run in every process that links this crate, before `main`.
///
/// `#[used]` makes rustc name the entry to the linker even where the crate is an rlib that nothing else of the object
/// file is used from; the crate itself must be referred to somewhere, as every crate must that is to be linked.
/// glibc runs plain `.init_array` entries after the prioritised ones, one of which is std's own (it keeps the arguments).
#[cfg(any(test, feature = "test-harness"))]
macro_rules! before_main {
    ($function:path) => {
        const _: () = {
            extern "C" fn constructor() {
                $function();
            }

            #[used]
            // SAFETY: `.init_array` holds pointers to functions of the C convention; glibc calls each with arguments
            // that this one ignores, which the convention permits. A panic ends the process (`extern "C"`).
            #[expect(unsafe_code, reason = "placing a static in a section of the linker's")]
            #[unsafe(link_section = ".init_array")]
            static CONSTRUCTOR: extern "C" fn() = constructor;
        };
    };
}

#[cfg(any(test, feature = "test-harness"))]
pub(crate) use before_main;
