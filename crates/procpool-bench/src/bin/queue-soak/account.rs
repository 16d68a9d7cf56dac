//! The ledgers compared: what was sent, what arrived, and what became of the rest.

use crate::ledger::{BEGUN, CONFIRMED, Entry};

/// What producers did: for each lane, the state of its messages.
pub(crate) type Sent = Vec<Vec<u8>>;

/// What consumers did.
#[derive(Debug, Default)]
pub(crate) struct Received {
    pub(crate) consumers: Vec<Consumer>,
    /// Of each killed consumer that did not acknowledge, in the order of their deaths: how many messages of each lane
    /// might have been sent by then. What it had in its hand is one of these.
    pub(crate) horizons: Vec<Vec<u64>>,
}

/// One consumer process.
#[derive(Debug)]
pub(crate) struct Consumer {
    pub(crate) acknowledges: bool,
    pub(crate) killed: bool,
    pub(crate) entries: Vec<Entry>,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) confirmed: u64,
    /// `send` was called and did not return.
    pub(crate) unconfirmed: u64,
    pub(crate) arrived_unconfirmed: u64,
    /// Different messages that a consumer wrote down.
    pub(crate) received: u64,
    /// Entries about a message that another had written down before: it had not acknowledged it when it was killed.
    pub(crate) redelivered: u64,
    /// Of these, those that its holder had acknowledged: it was killed before the broker knew.
    pub(crate) although_acknowledged: u64,
    /// Entries that say that the message had been delivered before, to one who may not have got to writing it down.
    pub(crate) marked: u64,
    /// Confirmed, written down by nobody, and in the hand of a consumer that was killed.
    pub(crate) in_hand: u64,
    /// Confirmed, and gone without that excuse.
    pub(crate) lost: u64,
    /// Written down again without an excuse.
    pub(crate) duplicated: u64,
    /// Redelivered to one who acknowledges, without being marked.
    pub(crate) unmarked: u64,
    /// Written down, but never sent.
    pub(crate) invented: u64,
    pub(crate) damaged: u64,
    /// Behind a later message of the same producer at the same consumer. Not wrong: they had been returned.
    pub(crate) out_of_order: u64,
}

/// What is known about a message besides its producer's byte.
#[derive(Clone, Copy, Default)]
struct Notes {
    /// Entries of consumers that lived, or did not acknowledge: more than one is a duplicate.
    kept: u8,
    /// Entries of consumers that acknowledge and were killed, which they had acknowledged before …
    settled: u8,
    /// … and perhaps not.
    open: u8,
    /// Entries without a mark, of consumers that acknowledge.
    unmarked: u8,
}

impl Account {
    pub(crate) fn of(sent: &Sent, received: &Received) -> Self {
        let mut account = Account::default();
        let mut notes: Vec<Vec<Notes>> = sent.iter().map(|lane| vec![Notes::default(); lane.len()]).collect();
        for consumer in &received.consumers {
            account.read(consumer, &mut notes);
        }
        // For each kill in the order of their times, how many missing messages it is the first to explain.
        let mut missing = vec![0u64; received.horizons.len() + 1];
        for (lane, (states, notes)) in sent.iter().zip(&notes).enumerate() {
            for (seq, (state, notes)) in states.iter().zip(notes).enumerate() {
                let settled = notes.kept.min(1) + notes.settled;
                let entries = settled + notes.open;
                let arrived = entries > 0;
                match *state {
                    CONFIRMED => account.confirmed += 1,
                    BEGUN => account.unconfirmed += 1,
                    _ => account.invented += u64::from(arrived),
                }
                account.received += u64::from(arrived);
                account.arrived_unconfirmed += u64::from(arrived && *state == BEGUN);
                account.redelivered += u64::from(entries.saturating_sub(1));
                account.although_acknowledged += u64::from(settled.saturating_sub(1));
                account.duplicated += u64::from(notes.kept.saturating_sub(1));
                account.unmarked += u64::from(notes.unmarked.saturating_sub(1));
                if *state == CONFIRMED && !arrived {
                    let first = received.horizons.partition_point(|horizon| horizon[lane] <= seq as u64);
                    missing[first] += 1;
                }
            }
        }
        let all: u64 = missing.iter().sum();
        account.lost = unexplained(&missing);
        account.in_hand = all - account.lost;
        account
    }

    fn read(&mut self, consumer: &Consumer, notes: &mut [Vec<Notes>]) {
        let forsaken = consumer.acknowledges && consumer.killed;
        let mut newest = vec![None; notes.len()];
        for (number, entry) in consumer.entries.iter().enumerate() {
            if entry.damaged {
                self.damaged += 1;
                continue;
            }
            let lane = entry.id.lane as usize;
            let Some(notes) = notes.get_mut(lane).and_then(|lane| lane.get_mut(entry.id.seq as usize)) else {
                self.invented += 1;
                continue;
            };
            self.out_of_order += u64::from(newest[lane] > Some(entry.id.seq));
            newest[lane] = newest[lane].max(Some(entry.id.seq));
            self.marked += u64::from(entry.redelivered > 0);
            notes.unmarked = notes.unmarked.saturating_add(u8::from(consumer.acknowledges && entry.redelivered == 0));
            // What it wrote down before its last entry it has acknowledged as well.
            let last = number + 1 == consumer.entries.len();
            let count = match (forsaken, last) {
                (false, _) => &mut notes.kept,
                (true, false) => &mut notes.settled,
                (true, true) => &mut notes.open,
            };
            *count = count.saturating_add(1);
        }
    }

    /// What is not as it was promised, in words.
    pub(crate) fn complaints(&self, wanted: u64, producers_killed: u64, plain_killed: u64) -> Vec<String> {
        let Account { confirmed, unconfirmed, arrived_unconfirmed, received, in_hand, lost, .. } = *self;
        let mut complaints = Vec::new();
        let mut must = |holds: bool, what: String| {
            if !holds {
                complaints.push(what);
            }
        };
        for (count, what) in [
            (lost, "lost"),
            (self.duplicated, "duplicated"),
            (self.unmarked, "redelivered without a mark"),
            (self.invented, "received that nobody sent"),
            (self.damaged, "received damaged"),
        ] {
            must(count == 0, format!("{count} {what}"));
        }
        must(confirmed == wanted, format!("{confirmed} confirmed instead of {wanted}"));
        must(
            unconfirmed <= producers_killed,
            format!("{unconfirmed} unconfirmed, of {producers_killed} producers that were killed"),
        );
        must(in_hand <= plain_killed, format!("{in_hand} in the hands of {plain_killed} consumers"));
        must(
            confirmed + arrived_unconfirmed == received + in_hand + lost,
            format!("{confirmed} + {arrived_unconfirmed} is not {received} + {in_hand} + {lost}"),
        );
        complaints
    }
}

/// How many missing messages no kill explains, when each kill explains one, that was sent before it. `missing[k]`: how
/// many can be explained by kill `k` and by later ones, and by none before.
fn unexplained(missing: &[u64]) -> u64 {
    let mut left = 0u64;
    // From the last kill back: what cannot be explained by the later ones must be lost.
    let mut free = 0u64;
    for (number, count) in missing.iter().enumerate().rev() {
        // The last place is behind all kills.
        free += u64::from(number + 1 < missing.len());
        left += count.saturating_sub(free);
        free = free.saturating_sub(*count);
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Id;

    fn entries(list: &[(u64, u64)]) -> Vec<Entry> {
        let entry = |(seq, redelivered): &(u64, u64)| Entry {
            id: Id { lane: 0, seq: *seq },
            redelivered: *redelivered as u32,
            damaged: false,
        };
        list.iter().map(entry).collect()
    }

    fn consumer(acknowledges: bool, killed: bool, list: &[(u64, u64)]) -> Consumer {
        Consumer { acknowledges, killed, entries: entries(list) }
    }

    fn account(states: &[u8], consumers: Vec<Consumer>, horizons: &[u64]) -> Account {
        let horizons = horizons.iter().map(|horizon| vec![*horizon]).collect();
        Account::of(&vec![states.to_vec()], &Received { consumers, horizons })
    }

    #[test]
    fn all_is_well() {
        let account = account(&[2, 2, 1, 2, 1], vec![consumer(false, false, &[(0, 0), (1, 0), (2, 0), (3, 0)])], &[]);
        let wanted =
            Account { confirmed: 3, unconfirmed: 2, arrived_unconfirmed: 1, received: 4, ..Account::default() };
        assert_eq!(account, wanted);
        assert_eq!(account.complaints(3, 2, 0), Vec::<String>::new());
        assert_eq!(account.complaints(4, 1, 0).len(), 2);
    }

    #[test]
    fn a_message_may_die_with_one_who_could_have_had_it() {
        let received = |list: &[(u64, u64)]| vec![consumer(false, true, list), consumer(false, false, &[])];
        let account = |list: &[(u64, u64)], horizons: &[u64]| account(&[2, 2, 2], received(list), horizons);
        assert_eq!((account(&[(0, 0), (2, 0)], &[2]).in_hand, account(&[(0, 0), (2, 0)], &[2]).lost), (1, 0));
        // It had not been sent when the consumer was killed.
        assert_eq!((account(&[(0, 0), (2, 0)], &[1]).in_hand, account(&[(0, 0), (2, 0)], &[1]).lost), (0, 1));
        // One hand holds one message.
        assert_eq!((account(&[(0, 0)], &[3]).in_hand, account(&[(0, 0)], &[3]).lost), (1, 1));
        assert_eq!((account(&[(0, 0)], &[1, 3]).in_hand, account(&[(0, 0)], &[1, 3]).lost), (1, 1));
        assert_eq!((account(&[(0, 0)], &[2, 3]).in_hand, account(&[(0, 0)], &[2, 3]).lost), (2, 0));
    }

    #[test]
    fn a_second_delivery_needs_a_dead_holder_and_a_mark() {
        let twice = |first, second| {
            let account = account(&[2], vec![first, second], &[]);
            (account.redelivered, account.duplicated, account.unmarked)
        };
        // Not acknowledged by the first, which was killed.
        assert_eq!(twice(consumer(true, true, &[(0, 0)]), consumer(true, false, &[(0, 1)])), (1, 0, 0));
        assert_eq!(twice(consumer(true, true, &[(0, 0)]), consumer(false, false, &[(0, 0)])), (1, 0, 0));
        assert_eq!(twice(consumer(true, true, &[(0, 0)]), consumer(true, false, &[(0, 0)])), (1, 0, 1));
        // The first lives, or did not acknowledge.
        assert_eq!(twice(consumer(true, false, &[(0, 0)]), consumer(true, false, &[(0, 1)])), (0, 1, 0));
        assert_eq!(twice(consumer(false, true, &[(0, 0)]), consumer(false, false, &[(0, 0)])), (0, 1, 0));
        // It had acknowledged it before it went on.
        let first = consumer(true, true, &[(0, 0), (1, 0)]);
        let account = account(&[2, 2], vec![first, consumer(true, false, &[(0, 1), (1, 1)])], &[]);
        assert_eq!((account.redelivered, account.although_acknowledged, account.duplicated), (2, 1, 0));
    }

    #[test]
    fn what_nobody_sent_is_seen() {
        let mut account = account(&[2, 0], vec![consumer(false, false, &[(0, 0), (1, 0), (9, 0)])], &[]);
        assert_eq!((account.invented, account.confirmed), (2, 1));
        account.invented = 0;
        assert_eq!(account.complaints(1, 0, 0).len(), 1, "the sum does not fit");
    }

    #[test]
    fn order_is_looked_at_for_each_consumer() {
        let lists = vec![consumer(false, false, &[(0, 0), (3, 0), (1, 0)]), consumer(false, false, &[(2, 0)])];
        assert_eq!(account(&[2, 2, 2, 2], lists, &[]).out_of_order, 1);
    }
}
