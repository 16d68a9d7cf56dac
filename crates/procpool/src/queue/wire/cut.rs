//! Cuts a message into records.

use super::header::{Flags, Header, MAX_FRAGMENT};

/// The total length at the start of a first record that is not the last.
const TOTAL_LEN: usize = 8;

/// Cuts a message of a known length into records, one after the other: each is current until it has been written.
///
/// A message is a prefix (a table of handles, a count; often empty) and a payload, which the caller keeps.
#[derive(Clone, Debug)]
pub(crate) struct Cuts {
    header: Header,
    prefix: usize,
    total: usize,
    at: usize,
    over: bool,
}

/// One record to be written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cut {
    pub(crate) header: Header,
    announce: [u8; TOTAL_LEN],
    announced: bool,
    prefix: usize,
    start: usize,
    end: usize,
}

impl Cuts {
    /// The records of a message of `prefix + payload` bytes. Of the header's flags `HANDLES` and `REDELIVERED` matter;
    /// `FIRST` and `LAST` are set here.
    pub(crate) fn new(header: Header, prefix: usize, payload: usize) -> Cuts {
        Cuts { header, prefix, total: prefix + payload, at: 0, over: false }
    }

    /// The record to be written next; `None` once all have been.
    pub(crate) fn current(&self) -> Option<Cut> {
        if self.over {
            return None;
        }
        let (start, end) = (self.at, self.end());
        let mut flags = Flags::NONE;
        if start == 0 {
            flags = self.header.flags.extras() | Flags::FIRST;
        }
        if end == self.total {
            flags = flags | Flags::LAST;
        }
        Some(Cut {
            header: Header { flags, ..self.header },
            announce: (self.total as u64).to_le_bytes(),
            announced: start == 0 && end < self.total,
            prefix: self.prefix,
            start,
            end,
        })
    }

    /// The current record has been written.
    pub(crate) fn advance(&mut self) {
        self.at = self.end();
        self.over = self.at == self.total;
    }

    /// Whether some records have been written and some have not: to give up now takes an [`abort`](Header::abort).
    pub(crate) fn is_partial(&self) -> bool {
        self.at > 0 && !self.over
    }

    fn end(&self) -> usize {
        let room = if self.at == 0 && self.total > MAX_FRAGMENT { MAX_FRAGMENT - TOTAL_LEN } else { MAX_FRAGMENT };
        (self.at + room).min(self.total)
    }
}

impl Cut {
    /// What follows the header, from the same prefix and payload whose lengths [`Cuts::new`] was given.
    pub(crate) fn parts<'a>(&'a self, prefix: &'a [u8], payload: &'a [u8]) -> [&'a [u8]; 3] {
        let (start, end, border) = (self.start, self.end, self.prefix);
        [
            if self.announced { &self.announce } else { &[] },
            &prefix[start.min(border)..end.min(border)],
            &payload[start.max(border) - border..end.max(border) - border],
        ]
    }
}
