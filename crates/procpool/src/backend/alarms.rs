//! Alarms: the pool's clock for those of the front who have no task that would end in time.

use std::collections::BTreeMap;

use tokio::sync::oneshot;

use super::scheduler::Now;

/// Who wants to be told that a moment has come. One that is dropped unrung tells that the pool is closed.
#[derive(Debug, Default)]
pub(super) struct Alarms {
    /// By time, and in the order in which they were set.
    set: BTreeMap<(Now, u64), oneshot::Sender<()>>,
    count: u64,
    /// Whose owners have lost interest. Kept until they can be dropped without a lock: they hold a waker.
    gone: Vec<oneshot::Sender<()>>,
}

impl Alarms {
    /// Sets one. Those whose owner has lost interest are cleared away when there are twice as many as there could be
    /// owners, so that short work with long deadlines leaves nothing behind.
    pub(super) fn set(&mut self, at: Now) -> oneshot::Receiver<()> {
        let (sender, receiver) = oneshot::channel();
        if self.set.len() >= 16 && self.set.len().is_power_of_two() {
            self.gone.extend(self.set.extract_if(.., |_, sender| sender.is_closed()).map(|(_, sender)| sender));
        }
        if at < Now::NEVER {
            self.count += 1;
            self.set.insert((at, self.count), sender);
        }
        receiver
    }

    /// When the next one rings.
    pub(super) fn next(&self) -> Option<Now> {
        self.set.first_key_value().map(|(&(at, _), _)| at)
    }

    /// Those to ring now. To be rung, or dropped, without a lock: a waker is foreign code.
    pub(super) fn due(&mut self, now: Now, rung: &mut Vec<oneshot::Sender<()>>) {
        rung.append(&mut self.gone);
        while let Some(entry) = self.set.first_entry()
            && entry.key().0 <= now
        {
            rung.push(entry.remove());
        }
    }

    /// All that are left.
    pub(super) fn clear(&mut self, rung: &mut Vec<oneshot::Sender<()>>) {
        rung.append(&mut self.gone);
        rung.extend(std::mem::take(&mut self.set).into_values());
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(ms: u64) -> Now {
        Now(Duration::from_millis(ms))
    }

    #[test]
    fn they_ring_in_their_order_and_not_before() {
        let mut alarms = Alarms::default();
        let (late, soon) = (alarms.set(at(20)), alarms.set(at(10)));
        assert_eq!(alarms.next(), Some(at(10)));
        let mut rung = Vec::new();
        alarms.due(at(9), &mut rung);
        assert!(rung.is_empty());
        alarms.due(at(10), &mut rung);
        assert_eq!((rung.len(), soon.is_empty(), alarms.next()), (1, true, Some(at(20))));
        drop((late, rung));
    }

    #[test]
    fn who_has_gone_is_forgotten() {
        let mut alarms = Alarms::default();
        for n in 0..1000 {
            drop(alarms.set(at(1000 + n)));
        }
        assert!(alarms.set.len() <= 16, "{}", alarms.set.len());
        let kept: Vec<_> = (0..100).map(|n| alarms.set(at(n))).collect();
        assert!(alarms.set.len() >= kept.len());
    }

    #[test]
    fn one_for_a_moment_that_never_comes_is_not_kept() {
        let mut alarms = Alarms::default();
        drop(alarms.set(Now::NEVER));
        assert_eq!(alarms.next(), None);
    }
}
