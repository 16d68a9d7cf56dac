//! Handles that are on their way outside of queues: in the results of tasks.

use crate::queue::key::Key;

use super::api::{Breach, Named, ParticipantId};
use super::core::Broker;
use super::limits::PARCELS;
use super::references::{Doubt, Parcel};

impl Broker {
    pub(super) fn park(&mut self, from: ParticipantId, key: Key, handles: &[Named]) -> Result<(), Breach> {
        if self.parcels.contains_key(&key) {
            return Err(Breach("it left a parcel under a key that is in use".to_owned()));
        }
        if self.participants.get(from).is_some_and(|parker| parker.parked >= PARCELS) {
            return Err(Breach("it left more parcels behind than it may".to_owned()));
        }
        let references = self.refer(handles)?;
        if let Some(parker) = self.participants.get_mut(from) {
            parker.parked += 1;
        }
        self.parcels.insert(key, Parcel { references, parker: from, adopter: None });
        Ok(())
    }

    /// Whose parker was buried before anybody took it over is gone: then this has no effect.
    pub(super) fn adopt(&mut self, from: ParticipantId, key: Key) {
        if let Some(parcel) = self.parcels.get_mut(&key)
            && parcel.adopter.is_none()
        {
            parcel.adopter = Some(from);
            if let Some(parker) = self.participants.get_mut(parcel.parker) {
                parker.parked -= 1;
            }
        }
    }

    /// By whoever took it over, or by its parker as long as nobody has.
    pub(super) fn unpark(&mut self, from: ParticipantId, key: Key) {
        if self.parcels.get(&key).is_some_and(|parcel| parcel.adopter.unwrap_or(parcel.parker) == from) {
            self.drop_parcel(key);
        }
    }

    fn drop_parcel(&mut self, key: Key) {
        let Some(parcel) = self.parcels.remove(&key) else { return };
        if parcel.adopter.is_none()
            && let Some(parker) = self.participants.get_mut(parcel.parker)
        {
            parker.parked -= 1;
        }
        self.released.extend(parcel.references);
    }

    fn drop_parcels(&mut self, is_lost: impl Fn(&Parcel) -> bool) {
        let lost: Vec<_> = self.parcels.iter().filter(|(_, parcel)| is_lost(parcel)).map(|(key, _)| *key).collect();
        for key in lost {
            self.drop_parcel(key);
        }
    }

    /// A participant is gone: nobody attaches what it took over.
    pub(super) fn forget_adopted(&mut self, id: ParticipantId) {
        self.drop_parcels(|parcel| parcel.adopter == Some(id));
    }

    /// The process of a participant is gone, and everything that it answered has been received: what it left behind and
    /// nobody took over, nobody will. Who took something over has written so by now, but that may be unread.
    pub(crate) fn buried(&mut self, id: ParticipantId) {
        if self.parcels.values().any(|parcel| parcel.parker == id && parcel.adopter.is_none()) {
            self.burials.push((id, Doubt::New));
        }
    }

    /// Everything has been read that was written before these burials.
    pub(super) fn bury(&mut self) {
        for (id, _) in self.burials.extract_if(.., |(_, doubt)| *doubt == Doubt::Asked).collect::<Vec<_>>() {
            self.drop_parcels(|parcel| parcel.parker == id && parcel.adopter.is_none());
        }
    }
}
