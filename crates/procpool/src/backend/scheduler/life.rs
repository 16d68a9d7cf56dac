//! The life of a worker, and of the offers in its hand.

use std::time::Duration;

use super::api::{Batch, Began, CancelReason, Evidence, Now, OfferId, TaskId};
use super::pace::AHEAD;
use super::queue::Rank;

/// What a worker is doing. Transitions consume the old state, so that an offer can neither be forgotten nor be held
/// twice: whoever takes a worker out of `Busy` is handed its assignment.
///
/// ```text
/// Starting ─▶ Idle ◀─▶ Busy            every state but Retiring and Dying ─▶ Dying (killed) ─▶ gone
///               └─▶ Retiring ─▶ gone   Retiring ─▶ Dying, when its exit hook takes too long
/// ```
#[derive(Debug)]
pub(super) enum Life {
    /// Not ready. `bound`: the task it is made for, if it is a dedicated one.
    Starting {
        booted: bool,
        bound: Option<TaskId>,
    },
    Idle,
    Busy(Assignment),
    /// Asked to end. It takes no part in the pool's size any more.
    Retiring,
    /// Killed; its exit has not been seen.
    Dying {
        hold: Hold,
        was: Before,
    },
}

/// What a dying worker still has in hand.
#[derive(Debug)]
pub(super) enum Hold {
    Nothing,
    /// A dedicated worker, killed before it was ready: for a reason of the task's, or because it failed to start.
    Bound(TaskId, Option<Halt>),
    Offer(Assignment),
}

/// What a dying worker was when it was killed: decides what its end means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Before {
    /// It failed to start, by taking too long or by breaking the protocol: a failed start.
    FailingStart,
    /// A member of the pool (or one that was starting, and was not to blame).
    Member,
    /// On its way out.
    Retiring,
}

/// One task in one worker's hand.
#[derive(Debug)]
pub(super) struct Assignment {
    pub(super) task: TaskId,
    pub(super) offer: OfferId,
    pub(super) rank: Rank,
    /// How far ahead it may be given.
    pub(super) batch: Batch,
    /// When it was offered, or came to be the first in its worker's hand, or when its bytes last moved.
    pub(super) since: Now,
    /// What is known of its claim.
    pub(super) claim: Claim,
    /// `Revoke` was asked for and has not been answered.
    pub(super) revoking: bool,
    /// An `Inspect` for the claim watch is under way: no second one is needed.
    pub(super) watched: bool,
    /// An `Inspect` is under way that is to tell whether it holds up what lies behind it.
    pub(super) suspected: bool,
    /// It was not claimed in time: once the offer is withdrawn, the worker goes.
    pub(super) silent: bool,
    /// Ends the task if it turns out that it is not claimed; forgotten if it is.
    pub(super) withdraw: Option<Withdraw>,
    /// The task is to end, claimed or not.
    pub(super) stop: Option<Stop>,
}

/// What evidence has told about an offer. It only ever goes forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    Unknown,
    /// Since when; the first value seen counts, so that a worker cannot push its time limit away.
    At(Now),
    /// Taken back before it was claimed. Only a worker that is being killed for its silence keeps such an offer.
    Revoked,
    /// The worker says that it has answered.
    Done,
    /// The worker broke the protocol; nothing is known.
    Nonsense,
}

/// Why an unclaimed offer is taken back for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Withdraw {
    QueueLimit(Duration),
    ShutDown,
}

/// A task that is being stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stop {
    pub(super) halt: Halt,
    pub(super) stage: Stage,
}

/// Why a task is being stopped; the first reason counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Halt {
    Cancel(CancelReason),
    RunLimit(Duration),
    /// Only for what has no worker that is ready yet; with one it is a [`Withdraw`].
    QueueLimit(Duration),
    ShutDown,
}

/// How far stopping has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// It may not have begun: try to take it back.
    Revoking,
    /// Its cancel flag is set; its grace runs.
    Grace,
    /// Its grace is over: one last look whether it is done.
    Confirming,
}

impl Assignment {
    pub(super) fn new(id: TaskId, offer: OfferId, rank: Rank, batch: Batch, since: Now) -> Self {
        Assignment {
            task: id,
            offer,
            rank,
            batch,
            since,
            claim: Claim::Unknown,
            revoking: false,
            watched: false,
            suspected: false,
            silent: false,
            withdraw: None,
            stop: None,
        }
    }

    /// Whether the task has begun, now that its worker is gone and has left this evidence. What was known before
    /// weighs more: a page that says "unclaimed" of a claimed task is not believed.
    pub(super) fn began(&self, evidence: Option<Evidence>) -> Began {
        match (self.claim, evidence) {
            (Claim::Revoked, _) => Began::No,
            (Claim::Nonsense, _) | (_, Some(Evidence::Nonsense)) => Began::Unknown,
            (Claim::At(_) | Claim::Done, _) => Began::Yes,
            (Claim::Unknown, Some(Evidence::Claimed { .. } | Evidence::Done)) => Began::Yes,
            (Claim::Unknown, Some(Evidence::Offered { .. } | Evidence::Revoked)) => Began::No,
            (Claim::Unknown, None) => Began::Unknown,
        }
    }

    /// Whether it may be taken back for the pool's own reasons: nobody has asked about it yet.
    pub(super) fn is_free(&self) -> bool {
        self.claim == Claim::Unknown && !self.revoking
    }

    /// Whether its turn came so long ago that others had better not wait behind it.
    pub(super) fn is_slow(&self, now: Now) -> bool {
        now > self.since.after(AHEAD)
    }

    /// Whether the claim watch has to look at it by itself.
    pub(super) fn unverified(&self) -> bool {
        self.claim == Claim::Unknown && !self.revoking && !self.watched
    }
}

impl Life {
    /// The offer in hand, also of a worker that is dying with it.
    pub(super) fn assignment(&self) -> Option<&Assignment> {
        match self {
            Life::Busy(assignment) | Life::Dying { hold: Hold::Offer(assignment), .. } => Some(assignment),
            _ => None,
        }
    }

    /// The task that a dedicated worker was started for, and has not been handed yet.
    pub(super) fn bound(&self) -> Option<TaskId> {
        match self {
            Life::Starting { bound, .. } => *bound,
            Life::Dying { hold: Hold::Bound(task, _), .. } => Some(*task),
            _ => None,
        }
    }

    pub(super) fn assignment_mut(&mut self) -> Option<&mut Assignment> {
        match self {
            Life::Busy(assignment) | Life::Dying { hold: Hold::Offer(assignment), .. } => Some(assignment),
            _ => None,
        }
    }

    /// The answer to its offer has come, or the offer was taken back; `next` is what it has in hand behind that.
    pub(super) fn release(self, next: Option<Assignment>) -> (Life, Option<Assignment>) {
        match self {
            Life::Busy(assignment) => (next.map_or(Life::Idle, Life::Busy), Some(assignment)),
            Life::Dying { hold: Hold::Offer(assignment), was } => {
                (Life::Dying { hold: next.map_or(Hold::Nothing, Hold::Offer), was }, Some(assignment))
            }
            other => (other, None),
        }
    }

    /// It is being killed. `halt`: why, if a task that it was only to get dies with it; `to_blame`: a start that ends
    /// like this counts as failed.
    pub(super) fn kill(self, halt: Option<Halt>, to_blame: bool) -> Life {
        match self {
            Life::Starting { bound, .. } => Life::Dying {
                hold: bound.map_or(Hold::Nothing, |task| Hold::Bound(task, halt)),
                was: if to_blame { Before::FailingStart } else { Before::Member },
            },
            Life::Idle => Life::Dying { hold: Hold::Nothing, was: Before::Member },
            Life::Busy(assignment) => Life::Dying { hold: Hold::Offer(assignment), was: Before::Member },
            Life::Retiring => Life::Dying { hold: Hold::Nothing, was: Before::Retiring },
            dying @ Life::Dying { .. } => dying,
        }
    }
}
