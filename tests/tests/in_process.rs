//! One suite over both backends: whatever a pool of processes does, a pool of threads does too. What threads cannot do is
//! said in one place, `conformance/backend.rs`.

mod conformance;

/// Makes tests of one subject of the suite, for one backend.
macro_rules! conformance_tests {
    ($module:ident, $backend:ident, $($subject:ident: $($name:ident)+;)+) => {
        mod $module {
            $(mod $subject {
                use procpool_tests::{Flavor, run};

                use crate::conformance::{Backend, $subject};

                $(#[test]
                fn $name() {
                    let name = concat!(stringify!($module), "::", stringify!($subject), "::", stringify!($name));
                    run(name, Flavor::MultiThread, || $subject::$name(Backend::$backend));
                })+
            })+
        }
    };
}

/// The list of all there is, once, for every backend.
macro_rules! over_every_backend {
    ($($suite:tt)+) => {
        conformance_tests!(processes, Processes, $($suite)+);
        conformance_tests!(threads, Threads, $($suite)+);
    };
}

over_every_backend! {
    values:
        values_go_there_and_back
        maps_are_ordered
        errors_are_values
        what_does_not_encode
        what_does_not_decode
        panics_are_errors
        too_large
        tasks_know_who_they_are;
    maps:
        any_input
        what_is_wrong_with_the_input
        deadline
        cancelled_half_way
        progress;
    queue:
        queue_limit
        waiting_limit
        reserved_places
        priority
        priority_in_a_full_queue
        ageing
        queue_timeout
        cancelled_in_the_queue
        token_cancelled_before
        options_after_the_first_poll
        detached_tasks_go_on
        snapshot;
    places:
        a_permit_is_one_place
        places_are_given_in_order
        a_dropped_reserve_passes_its_place_on
        limits_of_waiting_for_a_place
        a_full_line_refuses
        closing_ends_all_reservations
        a_permit_is_a_handle
        no_worker_to_wait_for
        many_producers;
    stopping:
        timeout
        abort
        grace
        retries
        drain
        drain_with_deadline
        drop_queued
        kill
        last_handle_dropped
        unused_pool_dropped;
    workers:
        nothing_starts_before_it_is_needed
        one_worker_for_serial_calls
        growth_and_idle_timeout
        resize
        max_tasks
        init_once_a_worker
        init_fails
        init_takes_too_long
        exit_hook;
    watching:
        stats_count_every_task
        stats_of_what_happened_since
        without_timings
        stats_tell_why_workers_ended
        events_of_a_workers_life
        events_of_tasks_that_fail
        events_of_workers_that_are_stopped
        events_of_workers_that_do_not_start
        events_of_sizes
        a_slow_reader_misses_some
        events_end_with_the_pool
        shutdown_on_a_token
        a_token_after_the_end;
}
