//! What is sent: numbers, alone or with bytes behind them.

use procpool::Ship;

/// How many bytes a bare number has.
pub(crate) const NUMBER: usize = size_of::<u64>();

/// A message of one of W5's sizes, which says its number, so that what arrives can be checked.
pub(crate) trait Message: Ship {
    fn make(number: u64, size: usize) -> Self;

    /// `None` if this is no message that was made by [`make`](Self::make) with this size.
    fn number(&self, size: usize) -> Option<u64>;
}

impl Message for u64 {
    fn make(number: u64, _: usize) -> Self {
        number
    }

    fn number(&self, _: usize) -> Option<u64> {
        Some(*self)
    }
}

impl Message for Vec<u8> {
    /// The number, and then its low byte over and over.
    fn make(number: u64, size: usize) -> Self {
        let mut message = vec![number as u8; size];
        message[..NUMBER].copy_from_slice(&number.to_le_bytes());
        message
    }

    /// Looks at both ends only: this is in the time.
    fn number(&self, size: usize) -> Option<u64> {
        let number = u64::from_le_bytes(*self.first_chunk()?);
        (self.len() == size && self.last() == Some(&(number as u8))).then_some(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_made_is_recognised() {
        assert_eq!(Message::number(&u64::make(7, NUMBER), NUMBER), Some(7));
        let message = Vec::make(0x1234, 1024);
        assert_eq!((message.len(), message.number(1024)), (1024, Some(0x1234)));
        assert_eq!(message[..1000].to_vec().number(1024), None);
        assert_eq!(vec![0u8; 3].number(3), None);
        assert_eq!([vec![1, 0, 0, 0, 0, 0, 0, 0], vec![2; 8]].concat().number(16), None);
    }
}
