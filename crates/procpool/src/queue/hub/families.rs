//! Who introduced whom, and who says that somebody is buried. Sans-IO.
//!
//! A participant is over when it is gone (nothing more comes from it) *and* buried (its last answer has been handled, so
//! that what it left for somebody has been taken over). The keeper that started it says the second; where that keeper's
//! own process is gone, nobody takes anything over any more.

use std::collections::HashMap;

use crate::queue::broker::api::{Breach, ParticipantId};

/// How many participants one worker of the root, with its workers and theirs, may have introduced that are not over yet.
const DESCENDANTS: u32 = 1024;

#[derive(Debug, Default)]
pub(super) struct Families {
    members: HashMap<ParticipantId, Member>,
    /// Of those that the root's keepers introduced: how many descend from each.
    descendants: HashMap<ParticipantId, u32>,
}

#[derive(Debug)]
struct Member {
    guardian: Guardian,
    /// The one of the root's own workers that it descends from; itself, if it is one.
    ancestor: ParticipantId,
    /// Whom it introduced, by its own numbers.
    wards: HashMap<u32, ParticipantId>,
    is_gone: bool,
}

/// Who will say that a participant is buried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Guardian {
    /// A keeper of the root process.
    Keeper,
    Participant {
        id: ParticipantId,
        number: u32,
    },
    /// That one is gone, or has said it.
    Nobody,
}

impl Families {
    /// A worker of the root process itself.
    pub(super) fn introduce(&mut self, id: ParticipantId) {
        self.members.insert(id, Member::new(Guardian::Keeper, id));
    }

    /// A worker that another participant has, and calls by a number.
    pub(super) fn introduce_by(
        &mut self,
        guardian: ParticipantId,
        number: u32,
        id: ParticipantId,
    ) -> Result<(), Breach> {
        let Some(member) = self.members.get_mut(&guardian) else {
            return Err(Breach("it has workers, and is none itself".to_owned()));
        };
        let ancestor = member.ancestor;
        let count = self.descendants.entry(ancestor).or_default();
        if *count >= DESCENDANTS {
            return Err(Breach(format!("it introduced more than {DESCENDANTS} workers")));
        }
        if member.wards.contains_key(&number) {
            return Err(Breach(format!("it introduced two workers as number {number}")));
        }
        *count += 1;
        member.wards.insert(number, id);
        self.members.insert(id, Member::new(Guardian::Participant { id: guardian, number }, ancestor));
        Ok(())
    }

    /// Nothing more comes from a participant. Gives those that count as buried by this.
    pub(super) fn gone(&mut self, id: ParticipantId) -> Vec<ParticipantId> {
        let Some(member) = self.members.get_mut(&id) else { return Vec::new() };
        member.is_gone = true;
        let mut buried = Vec::new();
        let alone = std::mem::take(&mut member.wards);
        if member.guardian == Guardian::Nobody {
            self.forget(id);
            buried.push(id);
        }
        for ward in alone.into_values() {
            let Some(member) = self.members.get_mut(&ward) else { continue };
            member.guardian = Guardian::Nobody;
            if member.is_gone {
                self.forget(ward);
                buried.push(ward);
            }
        }
        buried
    }

    /// A keeper of the root says that one of its workers is buried.
    pub(super) fn buried(&mut self, id: ParticipantId) -> Burial {
        match self.members.get_mut(&id) {
            Some(member) if member.guardian == Guardian::Keeper => member.guardian = Guardian::Nobody,
            _ => return Burial::Known,
        }
        self.bury(id)
    }

    /// A participant says so of one of its own.
    pub(super) fn buried_by(
        &mut self,
        guardian: ParticipantId,
        number: u32,
    ) -> Result<(ParticipantId, Burial), Breach> {
        let ward = self.members.get_mut(&guardian).and_then(|member| member.wards.remove(&number));
        let Some(id) = ward else {
            return Err(Breach(format!("it says that number {number} is buried, which it never introduced")));
        };
        if let Some(member) = self.members.get_mut(&id) {
            member.guardian = Guardian::Nobody;
        }
        Ok((id, self.bury(id)))
    }

    fn bury(&mut self, id: ParticipantId) -> Burial {
        if self.members.get(&id).is_some_and(|member| !member.is_gone) {
            return Burial::StillThere;
        }
        self.forget(id);
        Burial::Over
    }

    fn forget(&mut self, id: ParticipantId) {
        let Some(member) = self.members.remove(&id) else { return };
        if let Guardian::Participant { id: guardian, number } = member.guardian
            && let Some(guardian) = self.members.get_mut(&guardian)
        {
            guardian.wards.remove(&number);
        }
        if member.ancestor == id {
            return;
        }
        if let Some(count) = self.descendants.get_mut(&member.ancestor) {
            *count -= 1;
            if *count == 0 {
                self.descendants.remove(&member.ancestor);
            }
        }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty() && self.descendants.is_empty()
    }
}

/// What a burial finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Burial {
    /// The participant was gone already, and is over now.
    Over,
    /// It is not known to be gone: something may hold its socket. It is to be cut off, and [`Families::gone`] then says
    /// that it is buried, too.
    StillThere,
    /// It was said before.
    Known,
}

impl Member {
    fn new(guardian: Guardian, ancestor: ParticipantId) -> Member {
        Member { guardian, ancestor, wards: HashMap::new(), is_gone: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: ParticipantId = ParticipantId(1);
    const B: ParticipantId = ParticipantId(2);
    const C: ParticipantId = ParticipantId(3);

    #[test]
    fn a_participant_is_over_when_it_is_gone_and_buried() {
        let mut families = Families::default();
        families.introduce(A);
        assert_eq!(families.gone(A), []);
        assert_eq!(families.buried(A), Burial::Over);
        families.introduce(B);
        assert_eq!(families.buried(B), Burial::StillThere);
        assert_eq!(families.buried(B), Burial::Known);
        assert_eq!(families.gone(B), [B]);
        assert!(families.is_empty());
    }

    #[test]
    fn nobody_waits_for_the_word_of_a_guardian_that_is_gone() {
        let mut families = Families::default();
        families.introduce(A);
        families.introduce_by(A, 7, B).unwrap();
        families.introduce_by(A, 8, C).unwrap();
        assert_eq!(families.gone(B), []);
        // B was gone before; C goes later.
        assert_eq!(families.gone(A), [B]);
        assert_eq!(families.gone(C), [C]);
        assert_eq!(families.buried(A), Burial::Over);
        assert!(families.is_empty());
    }

    #[test]
    fn a_participant_buries_only_whom_it_introduced() {
        let mut families = Families::default();
        families.introduce(A);
        families.introduce_by(A, 7, B).unwrap();
        assert!(families.introduce_by(A, 7, C).is_err());
        assert!(families.buried_by(A, 6).is_err());
        assert!(families.buried_by(B, 7).is_err());
        assert_eq!(families.buried(B), Burial::Known);
        assert_eq!(families.buried_by(A, 7), Ok((B, Burial::StillThere)));
        assert!(families.buried_by(A, 7).is_err());
        assert_eq!(families.gone(B), [B]);
        families.introduce_by(A, 7, C).unwrap();
        assert_eq!(families.gone(C), []);
        assert_eq!(families.buried_by(A, 7), Ok((C, Burial::Over)));
    }

    #[test]
    fn a_family_has_a_limit_however_deep_it_is() {
        let mut families = Families::default();
        families.introduce(A);
        for n in 0..DESCENDANTS {
            families.introduce_by(ParticipantId(if n == 0 { 1 } else { 9 + n }), 0, ParticipantId(10 + n)).unwrap();
        }
        let (last, next) = (ParticipantId(9 + DESCENDANTS), ParticipantId(10 + DESCENDANTS));
        assert!(families.introduce_by(last, 0, next).is_err());
        assert_eq!(families.gone(last), []);
        let guardian = ParticipantId(8 + DESCENDANTS);
        assert_eq!(families.buried_by(guardian, 0), Ok((last, Burial::Over)));
        families.introduce_by(guardian, 0, next).unwrap();
        families.introduce(B);
        families.introduce_by(B, 0, C).unwrap();
    }
}
