//! Items that travel together: see [`Lot`].

use std::collections::BTreeMap;
use std::panic::Location;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::group::Group;
use super::running::{Numbered, Running};
use super::tracker::Tracker;
use crate::backend::scheduler::{Admission, LOTS_IN_HAND, Placement, TaskId};
use crate::backend::{Arrived, Backend, Ends, Home, Lot, Submission};
use crate::error::{ErrorKind, RunError, Started};
use crate::pool::{Code, Run, RunOptions, Terms, encode, for_scheduler, hand_over, read, undecodable, unencodable};
use crate::task::attachment::Attachment;
use crate::task::codec::CodecError;
use crate::task::{CodeName, TaskName, Uniform};
use crate::wire::lot::{Values, push_arguments, without_length};

/// An item whose arguments take more than this goes by itself.
const BIG: usize = 16 * 1024;

/// What makes lots of the items of one map.
pub(super) struct Packer<A, R> {
    uniform: Uniform<A, R>,
    name: TaskName,
    /// Its name for other processes, once it has been asked for.
    code: Option<CodeName>,
    home: Option<Arc<Home>>,
    /// Those of the item that is being handed over.
    arguments: Vec<u8>,
}

/// Where a map stands when it hands items over.
pub(super) struct Counter<'a> {
    /// The index of the next item.
    pub(super) index: usize,
    /// How many items a lot may have.
    pub(super) most: u32,
    /// The most bytes of arguments that an item may have.
    pub(super) max_message: u64,
    pub(super) backend: &'a Arc<dyn Backend>,
    pub(super) options: &'a RunOptions,
    pub(super) tracker: &'a Arc<Tracker>,
    pub(super) group: Option<&'a Arc<Group>>,
}

impl<A, R> Packer<A, R> {
    pub(super) fn new(uniform: Uniform<A, R>, location: &'static Location<'static>) -> Self {
        let name = uniform.name.clone().at(location);
        Packer { uniform, name, code: None, home: None, arguments: Vec::new() }
    }

    /// Whether the code of the items has a name for other processes. Where it has none, each item says so.
    pub(super) fn is_named(&mut self, backend: &dyn Backend) -> bool {
        if self.code.is_none() {
            self.code = self.uniform.entry.name(backend.naming()).ok();
        }
        self.code.is_some()
    }

    /// Hands an item over: with others in a lot if it is like them, else by itself.
    pub(super) fn hand_over(&mut self, item: A, at: &Counter<'_>, running: &mut Running<R>) {
        let Some(entry) = self.code else { return };
        self.arguments.clear();
        // If this unwinds, the item was never there.
        let encode_item = |out: &mut Vec<u8>| (self.uniform.encode)(item, out);
        let (encoded, length) = push_arguments(&mut self.arguments, |out| match self.uniform.is_plain {
            true => encode_item(out).map(|()| None),
            false => encode(out, encode_item),
        });
        let beside = match encoded {
            Ok(beside) => beside,
            Err(error) => return self.alone(Err(unencodable(&self.name, error)), at, running),
        };
        let is_big = length > BIG || length as u64 > at.max_message;
        // Handles are let go when their item has ended, and not with its companions.
        let is_bulky = beside.as_ref().is_some_and(|beside| !beside.apart.is_empty() || !beside.handles.is_empty());
        if is_big || is_bulky {
            let arguments = without_length(std::mem::take(&mut self.arguments));
            let code = Code { entry, name: self.name.clone(), decode: self.uniform.decode };
            let terms = Terms { placement: Placement::Shared, admission: at.options.admission, watch: None };
            let options = RunOptions { observer: Some(Arc::clone(at.tracker) as _), ..at.options.clone() };
            return self.alone(hand_over(at.backend, code, (arguments, beside), &options, terms), at, running);
        }
        let shared = beside.map(|beside| beside.shared).unwrap_or_default();
        let last = running.last_lot();
        if !last.is_some_and(|lot| lot.add(at.index, &self.arguments, &shared, at.most)) {
            self.begin(entry, shared, at, running);
        }
        running.joined();
    }

    fn alone(&self, ticket: Result<crate::pool::Ticket<R>, RunError>, at: &Counter<'_>, running: &mut Running<R>) {
        let run = Run::handed_over(ticket, &**at.tracker);
        running.push(Numbered::new(at.index, run, Arc::clone(at.tracker), at.group, &**at.backend));
    }

    /// A lot of its own, which others may join.
    fn begin(&mut self, entry: CodeName, shared: Vec<Arc<Attachment>>, at: &Counter<'_>, running: &mut Running<R>) {
        let home = self.home.get_or_insert_with(|| Arc::new(Home::new(Arc::clone(at.tracker) as _)));
        let lot = Lot::new(home, &self.arguments);
        let span = tracing::debug_span!(target: "procpool::task", "task", name = self.name.as_str());
        let job = Submission::of_lot(self.name.clone(), entry, shared.clone(), &lot, span);
        let mut options = for_scheduler(at.options, Placement::Shared, Admission::Bounded);
        options.batch = LOTS_IN_HAND;
        let task = at.backend.submit(job, options);
        let group = at.group.map(|group| {
            group.enter(&**at.backend, task);
            Arc::clone(group)
        });
        running.push_lot(LotRun {
            lot,
            task,
            group,
            first_index: at.index,
            items: 1,
            taken: 0,
            shared,
            decode: self.uniform.decode,
            name: self.name.clone(),
            tracker: Arc::clone(at.tracker),
            current: None,
            arrived: BTreeMap::new(),
        });
    }
}

/// A lot on its way, or what has come of it.
pub(super) struct LotRun<R> {
    lot: Arc<Lot>,
    task: TaskId,
    group: Option<Arc<Group>>,
    first_index: usize,
    items: u32,
    /// How many results have been taken.
    taken: u32,
    shared: Vec<Arc<Attachment>>,
    decode: fn(&[u8]) -> Result<R, CodecError>,
    name: TaskName,
    tracker: Arc<Tracker>,
    /// Values that are being taken, and the number of the first.
    current: Option<(u32, Values)>,
    arrived: BTreeMap<u32, Ends>,
}

/// Which result is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// The next one.
    ByIndex,
    Any,
}

impl<R> LotRun<R> {
    /// Adds an item, if it is the next one, is like the others, and the lot still takes any.
    fn add(&mut self, index: usize, arguments: &[u8], shared: &[Arc<Attachment>], most: u32) -> bool {
        let is_next = self.first_index + self.items as usize == index;
        let is_known = |one: &Arc<Attachment>| self.shared.iter().any(|known| Arc::ptr_eq(known, one));
        if !is_next || shared.len() > 4 || !shared.iter().all(is_known) || self.lot.add(arguments, most).is_err() {
            return false;
        }
        self.items += 1;
        true
    }

    pub(super) fn first_index(&self) -> usize {
        self.first_index
    }

    pub(super) fn is_over(&self) -> bool {
        self.taken == self.items
    }

    /// The task of those items that have not ended.
    pub(super) fn task(&self) -> Option<TaskId> {
        (!self.is_over()).then_some(self.task)
    }

    /// Its last result has been taken.
    pub(super) fn leave(&self) {
        if let Some(group) = &self.group {
            group.leave(self.task);
        }
    }

    /// Takes results that have been read, but not the last one, and no more than so many: up to the first failure. Gives how
    /// many.
    pub(super) fn take_at_hand(&mut self, most: usize, into: &mut Vec<R>) -> (usize, Option<RunError>) {
        let most = most.min((self.items - self.taken).saturating_sub(1) as usize);
        let mut taken = 0;
        while taken < most
            && let Some(result) = self.next_value()
        {
            taken += 1;
            match result {
                Ok(value) => into.push(value),
                Err(error) => return (taken, Some(error)),
            }
        }
        (taken, None)
    }

    /// The next result, if it has been read and is not the last one.
    pub(super) fn next_at_hand(&mut self) -> Option<Result<R, RunError>> {
        if self.taken + 1 >= self.items { None } else { self.next_value() }
    }

    fn next_value(&mut self) -> Option<Result<R, RunError>> {
        let (first, values) = self.current.as_mut()?;
        let item = *first;
        let decoded = values.next(self.decode)?;
        *first += 1;
        self.taken += 1;
        Some(decoded.map_err(|error| self.undecodable(item, undecodable(&self.name, error, 1))))
    }

    /// The next result. Not to be asked once it is over.
    pub(super) fn poll(&mut self, order: Order, context: &Context<'_>) -> Poll<Result<R, RunError>> {
        loop {
            if let Some(result) = self.next_value() {
                return Poll::Ready(result);
            }
            self.current = None;
            let next = match order {
                Order::ByIndex => self.arrived.remove_entry(&self.taken),
                Order::Any => self.arrived.pop_first(),
            };
            match next {
                Some((first, Ends::Values(values))) => self.current = Some((first, values)),
                Some((item, Ends::One(outcome))) => {
                    self.taken += 1;
                    return Poll::Ready(match outcome {
                        Ok(answer) => {
                            read(answer, self.decode, &self.name).map_err(|error| self.undecodable(item, error))
                        }
                        Err(error) => Err(error.with_index(self.first_index + item as usize)),
                    });
                }
                None => {
                    let arrived = self.lot.take(context);
                    if arrived.is_empty() {
                        return Poll::Pending;
                    }
                    self.arrived.extend(arrived.into_iter().map(|Arrived { first, what }| (first, what)));
                }
            }
        }
    }

    fn undecodable(&self, item: u32, error: RunError) -> RunError {
        if (error.kind(), error.started()) == (ErrorKind::Decode, Started::Yes) {
            self.tracker.value_was_none();
        }
        error.with_index(self.first_index + item as usize)
    }
}
