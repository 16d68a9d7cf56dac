//! The body of a `Memory`: what is to be known about memory whose descriptor travels beside.

use super::message::cut;

/// Longest reason, in bytes.
const MAX_WHY: usize = 1024;

/// What a worker is told about memory that its tasks will name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum MemoryBody {
    /// Its descriptor comes, and it has so many bytes.
    Comes(u64),
    /// No descriptor comes, for this reason.
    Lost(String),
}

impl MemoryBody {
    /// The length; or 0, which memory never has, and the reason.
    pub(crate) fn encode(&self) -> Vec<u8> {
        match self {
            MemoryBody::Comes(len) => len.to_le_bytes().to_vec(),
            MemoryBody::Lost(why) => [&[0; 8], cut(why, MAX_WHY).as_bytes()].concat(),
        }
    }

    /// The reverse; `None` if it is neither.
    pub(crate) fn decode(body: &[u8]) -> Option<MemoryBody> {
        let (len, why) = body.split_first_chunk()?;
        match u64::from_le_bytes(*len) {
            0 => Some(MemoryBody::Lost(String::from_utf8_lossy(why).into_owned())),
            len if why.is_empty() => Some(MemoryBody::Comes(len)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_about_memory_survives_the_way() {
        for body in [MemoryBody::Comes(1), MemoryBody::Comes(u64::MAX), MemoryBody::Lost("no".into())] {
            assert_eq!(MemoryBody::decode(&body.encode()), Some(body));
        }
        let long = MemoryBody::Lost("ä".repeat(MAX_WHY)).encode();
        assert_eq!(MemoryBody::decode(&long), Some(MemoryBody::Lost("ä".repeat(MAX_WHY / 2))));
        assert_eq!(MemoryBody::decode(&[1; 7]), None);
        assert_eq!(MemoryBody::decode(&[1; 9]), None);
    }
}
