//! How much a participant can make the broker keep. What it sends is bounded by its credits; these bound the rest.

/// Queues that one participant holds handles of at a time: as many as a board has entries.
pub(super) const SLOTS: u32 = 4096;

/// Handles in one message or parcel: one of each role for each queue that its sender can hold. Clients name each once.
pub(super) const HANDLES: usize = 2 * SLOTS as usize;

/// Parcels that one participant has left behind and nobody has taken over yet.
pub(super) const PARCELS: u32 = 1024;

/// Questions of one participant that have not been answered yet. Clients ask fewer (`client/asking.rs`).
pub(super) const QUESTIONS: usize = 4096;

/// Messages that are given to a consumer before it asks for them.
pub(super) const WINDOW: u32 = 1024;

/// Bytes of these messages; one message may always be longer.
pub(super) const WINDOW_BYTES: u64 = 512 << 10;

/// Credits that are given to a producer before it asks for them.
pub(super) const BATCH: u32 = 1024;
