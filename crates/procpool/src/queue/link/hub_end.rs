//! The hub's end of a link.

use std::os::fd::BorrowedFd;

use crate::queue::wire::Header;

use super::board::Memory;
use super::end::{Drained, Intake, LinkError, Written};
use super::hub_board::HubBoard;
use super::layout::Transport;

/// Rouses a link's client, from any thread.
#[derive(Clone, Debug)]
pub(crate) struct Rouser {
    memory: Memory,
}

impl Rouser {
    /// [`HubEnd::rouse`].
    pub(crate) fn rouse(&self) {
        todo!()
    }
}

/// The hub's end of a link.
#[derive(Debug)]
pub(crate) struct HubEnd {
    board: HubBoard,
}

impl HubEnd {
    /// The board.
    pub(crate) fn board(&mut self) -> &mut HubBoard {
        &mut self.board
    }

    /// What carries the records.
    pub(crate) fn transport(&self) -> Transport {
        todo!()
    }

    /// Takes what the client wrote in its pipe, up to what was there when the call began; cheap when there is nothing.
    /// Messages that come in several records are given once they are whole. What was read makes room for the client,
    /// which is to be told so ([`room_is_wanted`](HubEnd::room_is_wanted)).
    ///
    /// With a ring this does not look at the socket ([`read_socket`](HubEnd::read_socket)).
    ///
    /// # Errors
    /// The client wrote what it may not write: cut it off. Everything before that has been taken.
    pub(crate) fn read(&mut self, _intake: &mut impl Intake) -> Result<Drained, LinkError> {
        todo!()
    }

    /// Takes what is on the socket: call it when the socket is readable. With a ring that is bells (which are not given)
    /// and `Introduce`; otherwise it is [`read`](HubEnd::read). [`Drained::Ended`]: the client has ended, or closed its
    /// end; with a ring, what it wrote there may still be [`read`](HubEnd::read).
    ///
    /// # Errors
    /// As for [`read`](HubEnd::read).
    pub(crate) fn read_socket(&mut self, _intake: &mut impl Intake) -> Result<Drained, LinkError> {
        todo!()
    }

    /// Writes one record, or nothing of it; never waits. `Full`: [`want_room`](HubEnd::want_room), try once more, and
    /// then wait for a bell.
    ///
    /// # Panics
    /// If the parts are longer than a record may be.
    pub(crate) fn write(&mut self, _header: &Header, _parts: &[&[u8]]) -> Written {
        todo!()
    }

    /// Asks for a bell once the client has read something.
    pub(crate) fn want_room(&self) {
        todo!()
    }

    /// Whether the pipe holds something to be read, or a broken ring: for the last look before sleeping. Always `false`
    /// with a socket, which tells by being readable.
    pub(crate) fn has_input(&self) -> bool {
        todo!()
    }

    /// Tells the client that something has changed: once after a batch of changes.
    pub(crate) fn rouse(&self) {
        todo!()
    }

    /// What rouses the client without this end.
    pub(crate) fn rouser(&self) -> Rouser {
        todo!()
    }

    /// Whether the client waits for room that [`read`](HubEnd::read) may have made: then [`rouse`](HubEnd::rouse) it.
    /// Answers `true` once for each wait.
    pub(crate) fn room_is_wanted(&self) -> bool {
        todo!()
    }

    /// Asks for a bell when the client has written something. Look at the pipe once more after this, before sleeping.
    pub(crate) fn set_hub_waits(&self) {
        todo!()
    }

    /// The socket, to be watched. `None`: the link is in this process.
    pub(crate) fn socket(&self) -> Option<BorrowedFd<'_>> {
        todo!()
    }

    /// Ends the link from this side: the client sees that it is gone, in every call and every wait. What it wrote
    /// before can still be read.
    pub(crate) fn set_gone(&self) {
        todo!()
    }
}
