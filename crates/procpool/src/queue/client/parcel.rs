//! References that are left behind for another process.

use std::sync::Arc;

use crate::queue::key::Key;
use crate::queue::wire::{Cuts, Header, Kind, ToHub, encode_handles};

use super::core::Client;
use super::errors::Broken;
use super::outbox::{Long, Piece};
use super::sending::named;
use super::side::{Side, random};

/// Names references that were left behind, and proves that they were left for whoever has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ParcelKey(pub(crate) Key);

/// References that another process left behind, taken over: they live on although that process may die. Dropped, they are
/// gone: attach what is wanted before that.
#[derive(Debug)]
pub(crate) struct Parcel {
    client: Arc<Client>,
    key: ParcelKey,
}

impl Client {
    /// Leaves references behind: from now on they do not depend on the handles that this process has.
    pub(crate) fn park(&self, sides: &[Side]) -> Result<ParcelKey, Broken> {
        self.usable()?;
        let key = Key(random()?);
        let prefix = key.0.to_le_bytes().to_vec();
        let payload = encode_handles(&named(sides));
        let header = Header::whole(Kind::Park, 0, self.number());
        let cuts = Cuts::new(header, prefix.len(), payload.len());
        self.outbox().control(self.link(), Piece::Long(Box::new(Long { cuts, prefix, payload })));
        self.ring();
        Ok(ParcelKey(key))
    }

    /// Takes over what somebody parked.
    pub(crate) fn adopt(self: &Arc<Client>, key: ParcelKey) -> Parcel {
        if self.here().is_ok() {
            self.tell(&ToHub::Adopt { parcel: key.0 });
            self.ring();
        }
        Parcel { client: Arc::clone(self), key }
    }
}

impl Drop for Parcel {
    fn drop(&mut self) {
        if self.client.here().is_ok() {
            self.client.tell(&ToHub::Unpark { parcel: self.key.0 });
            self.client.ring();
        }
    }
}
