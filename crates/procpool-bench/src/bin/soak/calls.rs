//! Lanes that make calls, one after the other, and look at what comes of each.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use futures::future::join_all;
use procpool::{ErrorKind, RunError, call};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::chance::Chance;
use crate::run::{STUCK, World};
use crate::work::{self, Death, Ticket, mix};

/// What is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Quick,
    Burst,
    Busy,
    Big,
    Panics,
    Dies,
    TimesOut,
    Token,
    Drop,
    Abort,
    Graceful,
    Retried,
    Nested,
}

const KINDS: [(u64, Kind); 13] = [
    (300, Kind::Quick),
    (20, Kind::Burst),
    (100, Kind::Busy),
    (30, Kind::Big),
    (30, Kind::Panics),
    (10, Kind::Dies),
    (10, Kind::TimesOut),
    (10, Kind::Token),
    (20, Kind::Drop),
    (20, Kind::Abort),
    (10, Kind::Graceful),
    (20, Kind::Retried),
    (2, Kind::Nested),
];

/// What may come of a task, beside its death by a signal from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expect {
    Value,
    Panic,
    Death(Death),
    TimedOut,
    /// Its value, or that it was stopped first.
    Perhaps,
}

pub(crate) async fn calls(world: Arc<World>, lane: u64, round: u64, until: Instant) {
    let mut chance = Chance::new(world.options.seed, lane, round);
    while Instant::now() < until {
        let kind = chance.one_of(&KINDS);
        if timeout(STUCK, one(&world, kind, &mut chance)).await.is_err() {
            world.tally.wrong(format!("{kind:?} is stuck\n{}", world.pool.snapshot()));
            return;
        }
    }
}

async fn one(world: &World, kind: Kind, chance: &mut Chance) {
    let pool = &world.pool;
    let ticket = world.ticket();
    let number = ticket.number;
    world.tally.submit();
    let soon = Duration::from_millis(3);
    match kind {
        Kind::Quick => {
            let result = pool.run(call!(work::quick(ticket))).await;
            world.check("quick", number, result, Expect::Value, |value| *value == mix(number));
        }
        Kind::Burst => {
            let others: Vec<Ticket> = (0..chance.below(300)).map(|_| world.ticket()).collect();
            others.iter().for_each(|_| world.tally.submit());
            let all = others.into_iter().chain([ticket]).map(|ticket| async move {
                let number = ticket.number;
                let result = pool.run(call!(work::quick(ticket))).await;
                world.check("burst", number, result, Expect::Value, |value| *value == mix(number));
            });
            join_all(all).await;
        }
        Kind::Busy => {
            let micros = chance.below(3000);
            let result = pool.run(call!(work::busy(ticket, micros))).await;
            world.check("busy", number, result, Expect::Value, |value| *value == mix(number));
        }
        Kind::Big => {
            let len = 1 << (10 + chance.below(13));
            let bytes: Vec<u8> = (0..len).map(|at: u32| (at as u8) ^ (number as u8)).collect();
            let result = pool.run(call!(work::big(ticket, bytes))).await;
            let right = |bytes: &Vec<u8>| {
                bytes.len() == len as usize
                    && bytes.iter().enumerate().all(|(at, byte)| *byte == !(at as u8 ^ number as u8))
            };
            world.check("big", number, result, Expect::Value, right);
        }
        Kind::Panics => {
            let result = pool.run(call!(work::panics(ticket))).await;
            world.check("panics", number, result, Expect::Panic, |_| false);
        }
        Kind::Dies => {
            let how = chance.one_of(&[
                (1, Death::Segfault),
                (1, Death::Abort),
                (1, Death::ExitZero),
                (1, Death::StackOverflow),
                (1, Death::Kill),
            ]);
            let result = pool.run(call!(work::dies(ticket, how))).await;
            world.check("dies", number, result, Expect::Death(how), |_| false);
        }
        Kind::TimesOut => {
            let limit = Duration::from_millis(1 + chance.below(20));
            let result = pool.run(call!(work::endless(ticket))).timeout(limit).await;
            world.check("endless", number, result, Expect::TimedOut, |_| false);
        }
        Kind::Token => {
            let (token, after, micros) = (CancellationToken::new(), chance.time(soon), chance.below(3000));
            let run = pool.run(call!(work::busy(ticket, micros))).cancel_on(&token);
            let (result, ()) = futures::join!(run, async {
                sleep(after).await;
                token.cancel();
            });
            world.check("token", number, result, Expect::Perhaps, |value| *value == mix(number));
        }
        Kind::Drop => {
            let (after, micros) = (chance.time(soon), chance.below(3000));
            match timeout(after, pool.run(call!(work::busy(ticket, micros)))).await {
                Ok(result) => world.check("drop", number, result, Expect::Value, |value| *value == mix(number)),
                Err(_) => world.tally.drop_it("drop", number),
            }
        }
        Kind::Abort => {
            let (after, micros) = (chance.time(soon), chance.below(3000));
            let handle = pool.spawn(call!(work::busy(ticket, micros)));
            sleep(after).await;
            handle.abort();
            world.check("abort", number, handle.await, Expect::Perhaps, |value| *value == mix(number));
        }
        Kind::Graceful => {
            let handle = pool
                .run(call!(work::willing(ticket)))
                .timeout(Duration::from_secs(20))
                .grace(Duration::from_secs(5))
                .spawn();
            sleep(chance.time(soon)).await;
            handle.abort();
            world.check("graceful", number, handle.await, Expect::Perhaps, |value| *value == mix(number));
        }
        Kind::Retried => {
            let result = pool.run(call!(work::inner(number))).retries(5).await;
            // Without a mark: it may begin several times.
            world.check("retried", u64::MAX, result, Expect::Value, |value| *value == mix(number));
        }
        Kind::Nested => {
            let result = pool.run(call!(work::nested(ticket))).await;
            world.check("nested", number, result, Expect::Value, |value| *value == mix(number));
        }
    }
}

impl World {
    /// Counts what came of a task, and says so if it cannot be.
    pub(crate) fn check<T>(
        &self,
        what: &'static str,
        number: u64,
        result: Result<T, RunError>,
        expect: Expect,
        is_right: impl FnOnce(&T) -> bool,
    ) {
        let refuse = |why: String| self.tally.wrong(format!("{what} {number:x}: {why}"));
        match &result {
            Ok(value) => {
                if !matches!(expect, Expect::Value | Expect::Perhaps) {
                    refuse("it gave a value".to_owned());
                } else if !is_right(value) {
                    refuse("it gave a wrong value".to_owned());
                }
            }
            Err(error) => {
                if !self.may_be(error, expect, number) {
                    refuse(format!("{error} (started: {:?})", error.started()));
                }
            }
        }
        self.tally.resolve(what, number, result.as_ref().map(drop));
    }

    fn may_be(&self, error: &RunError, expect: Expect, number: u64) -> bool {
        let signal = error.exit().and_then(procpool::Exit::signal);
        if error.kind() == ErrorKind::WorkerDied {
            if let (Expect::Death(how), Some(exit)) = (expect, error.exit())
                && match how.signal() {
                    Ok(signal) => exit.signal() == Some(signal),
                    Err(code) => exit.code() == Some(code),
                }
            {
                return true;
            }
            if signal == Some(KILL) && self.options.kill_every.is_some() {
                self.tally.lost_to_kills.fetch_add(1, Ordering::Relaxed);
                return true;
            }
            return false;
        }
        match error.kind() {
            ErrorKind::Panicked => {
                expect == Expect::Panic
                    && error.panic().is_some_and(|panic| panic.message() == format!("on purpose: {number}"))
            }
            ErrorKind::TimedOut => expect == Expect::TimedOut,
            ErrorKind::Cancelled => expect == Expect::Perhaps,
            _ => false,
        }
    }
}

const KILL: i32 = 9;
