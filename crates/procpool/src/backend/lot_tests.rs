//! The account of the items of a lot, whatever becomes of those who have it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Context;

use bytes::{Bytes, BytesMut};
use futures::task::noop_waker_ref;
use proptest::prelude::*;

use super::lot::*;
use crate::backend::Ending;
use crate::backend::completion::Observer;
use crate::error::{ErrorKind, Facts, RunError, Started};
use crate::wire::frame::{Fragments, Kind};
use crate::wire::lot::{Values, push_arguments, split_arguments};
use crate::wire::message::ReplyBody;
use crate::wire::progress::LotState;

#[derive(Default)]
struct Counts(AtomicU64);

impl Observer for Counts {
    fn ended(&self, _: Ending) {}

    fn ended_many(&self, values: u64, failures: u64) {
        self.0.fetch_add(values + failures, Ordering::Relaxed);
    }
}

fn values(of: &[Vec<u8>]) -> Values {
    let mut buffer = BytesMut::new();
    for value in of {
        for (prefix, range) in Fragments::new(Kind::Item, 1, value.len() + 1, 0) {
            buffer.extend_from_slice(&prefix);
            buffer.extend_from_slice(&[&[ReplyBody::VALUE_TAG], &value[..]].concat()[range]);
        }
    }
    Values::take(&mut buffer).unwrap()
}

/// The arguments of an item, which are its number.
fn item(number: u8) -> Vec<u8> {
    let mut out = Vec::new();
    push_arguments(&mut out, |out| out.push(number));
    out
}

fn arguments(bytes: &Bytes) -> Vec<Vec<u8>> {
    let items = std::iter::successors(split_arguments(bytes), |(_, rest)| split_arguments(rest));
    items.map(|(item, _)| item.to_vec()).collect()
}

/// What becomes of one piece in a worker's hand.
#[derive(Clone, Copy, Debug)]
enum Fate {
    /// It answers so many, and then all others.
    Done(u32),
    /// It answers so many, and dies with the next one claimed, or not.
    Dies(u32, bool),
    /// It answers so many, is stopped with the next one claimed, or not, and answers that.
    Relieved(u32, bool),
    Cancelled(u32, bool),
    /// It leaves a word that cannot be.
    Lies(u32),
}

fn fates() -> impl Strategy<Value = Fate> {
    prop_oneof![
        (0..40u32).prop_map(Fate::Done),
        (0..40u32, any::<bool>()).prop_map(|(count, claimed)| Fate::Dies(count, claimed)),
        (0..40u32, any::<bool>()).prop_map(|(count, claimed)| Fate::Relieved(count, claimed)),
        (0..40u32, any::<bool>()).prop_map(|(count, claimed)| Fate::Cancelled(count, claimed)),
        (0..40u32).prop_map(Fate::Lies),
    ]
}

proptest! {
    /// Whatever happens to those who have it, each item begins at most once and ends exactly once, and only who had
    /// claimed one is blamed for it.
    #[test]
    fn each_item_ends_once(count in 1..60u32, mut fates in prop::collection::vec(fates(), 0..40)) {
        let counts = Arc::new(Counts::default());
        let home = Arc::new(Home::new(Arc::clone(&counts) as _));
        let lot = Lot::new(&home, 1, &item(0));
        for number in 1..count {
            prop_assert!(lot.add(1, &item(number as u8), 1000).is_ok());
        }
        let mut pieces = vec![Piece::of(&lot)];
        let (mut begun, mut blamed) = (vec![0; count as usize], Vec::new());
        let fail = || Err(RunError::new(ErrorKind::WorkerDied, Started::Yes, Facts::default()));
        while let Some(mut piece) = pieces.pop() {
            let given = arguments(&piece.hand_over());
            prop_assert!(lot.add(1, &item(0), 1000).is_err(), "it is closed");
            let (first, all) = (piece.next(), given.len() as u32);
            prop_assert_eq!(all, piece.open_items());
            let answer = |piece: &mut Piece, to: u32| {
                let from = piece.next() - first;
                if to > from {
                    let some = &given[from as usize..to as usize];
                    let first = piece.answer(to - from).unwrap();
                    piece.delivery(vec![Arrived { first, what: Ends::Values(values(some)) }], None).deliver();
                }
            };
            let state = |answered: u32, claimed: bool| match claimed && answered < all {
                true => LotState::Runs { item: answered },
                false if answered > 0 && answered.is_multiple_of(2) => LotState::Runs { item: answered - 1 },
                false => LotState::Rests { before: answered, stopped: true },
            };
            let mut begin = |to: u32| (0..to).for_each(|item| begun[given[item as usize][0] as usize] += 1);
            match fates.pop().unwrap_or(Fate::Done(0)) {
                Fate::Done(count) => {
                    begin(all);
                    answer(&mut piece, count.min(all));
                    prop_assert!(count >= all || !piece.may_end());
                    answer(&mut piece, all);
                    prop_assert!(piece.may_end() && piece.answer(1).is_none());
                }
                Fate::Dies(count, claimed) => {
                    let answered = count.min(all);
                    let claimed = claimed && answered < all;
                    begin(answered + u32::from(claimed));
                    answer(&mut piece, answered);
                    prop_assert!(piece.left_in(state(answered, claimed)));
                    prop_assert_eq!((piece.has_lost(), piece.has_moved()), (claimed, answered > 0));
                    pieces.extend(piece.unbegun());
                    prop_assert_eq!(piece.open_items(), u32::from(claimed));
                    let next = piece.next();
                    prop_assert_eq!(piece.has_begun(next), claimed);
                    let lost = piece.end_all(|item| {
                        blamed.push(item);
                        fail()
                    });
                    piece.delivery(lost, None).deliver();
                }
                Fate::Relieved(count, claimed) => {
                    let answered = count.min(all);
                    let claimed = claimed && answered < all;
                    let at = state(answered, claimed);
                    prop_assert_eq!(piece.has_more(at), answered + u32::from(claimed) < all);
                    // Some answers are read later.
                    answer(&mut piece, answered / 2);
                    let rest = piece.give_back(at);
                    prop_assert!(rest.len() <= PIECES as usize);
                    pieces.extend(rest);
                    begin(answered + u32::from(claimed));
                    prop_assert!(claimed || answered > answered / 2 || piece.may_end());
                    answer(&mut piece, answered + u32::from(claimed));
                    prop_assert!(piece.may_end() && piece.answer(1).is_none());
                }
                Fate::Cancelled(count, claimed) => {
                    let answered = count.min(all);
                    let claimed = claimed && answered < all;
                    begin(answered + u32::from(claimed));
                    piece.cancel();
                    answer(&mut piece, answered + u32::from(claimed));
                    prop_assert!(piece.may_end());
                    let ended = piece.end_all(|_| fail());
                    piece.delivery(ended, None).deliver();
                }
                Fate::Lies(count) => {
                    let answered = count.min(all);
                    begin(answered);
                    answer(&mut piece, answered);
                    for lie in [LotState::Nonsense, LotState::Runs { item: answered + 1 }, LotState::Rests { before: answered + 1, stopped: false }] {
                        prop_assert!(!piece.left_in(lie) && piece.has_lost() && piece.unbegun().is_none());
                    }
                    prop_assert!((piece.next()..count).all(|item| piece.has_begun(item)));
                    let ended = piece.end_all(|_| fail());
                    piece.delivery(ended, None).deliver();
                }
            }
        }
        prop_assert!(begun.iter().all(|&times| times <= 1));
        prop_assert!(blamed.iter().all(|&item| begun[item as usize] == 1));
        let mut ended = vec![0; count as usize];
        let arrived = lot.take(&Context::from_waker(noop_waker_ref()));
        for Arrived { first, what } in arrived {
            match what {
                Ends::One(_) => ended[first as usize] += 1,
                Ends::Values(mut values) => {
                    for item in first.. {
                        let Some(value) = values.next(<[u8]>::to_vec) else { break };
                        prop_assert_eq!(value, [item as u8]);
                        prop_assert_eq!(begun[item as usize], 1);
                        ended[item as usize] += 1;
                    }
                }
            }
        }
        prop_assert!(ended.iter().all(|&times| times == 1), "{:?}", ended);
        prop_assert_eq!(counts.0.load(Ordering::Relaxed), u64::from(count));
    }

    #[test]
    fn what_was_lost_on_the_way_ends_as_well(count in 1..20u32) {
        let home = Arc::new(Home::new(Arc::new(Counts::default())));
        let lot = Lot::new(&home, 1, &item(0));
        (1..count).for_each(|_| lot.add(1, &item(0), 1000).unwrap());
        drop(Piece::of(&lot));
        prop_assert_eq!(lot.take(&Context::from_waker(noop_waker_ref())).len(), count as usize);
    }
}
