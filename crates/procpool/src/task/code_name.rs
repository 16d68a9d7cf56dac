//! What code is called in another process: by its place in an executable that both run, or by a name that both know.

use crate::task::code::Code;
use crate::task::registry::{self, Registration};
use crate::task::{IdentityError, WireEntry};

/// How a pool names code for its workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Naming {
    /// Its workers run this executable.
    ByPlace,
    /// Its workers run another one, which knows registered tasks.
    ByName,
}

/// The name of a task's code for another process.
#[derive(Clone, Copy, Debug)]
pub(crate) enum CodeName {
    Place(WireEntry),
    Stable(&'static Registration),
}

/// Where the bytes of a [`WireEntry`] say what kind of code they name, those of a stable name have this.
const STABLE: u64 = 0x100;

impl CodeName {
    /// Appends the name in bytes: of a place, those of its [`WireEntry`]; of a stable name a word that tells it from a
    /// place, the schema, and the name.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        match self {
            CodeName::Place(entry) => out.extend_from_slice(&entry.to_bytes()),
            CodeName::Stable(task) => {
                out.extend_from_slice(&(STABLE << 32).to_le_bytes());
                out.extend_from_slice(&task.schema().to_le_bytes());
                out.extend_from_slice(task.name().as_bytes());
            }
        }
    }

    /// The same in a vector.
    pub(crate) fn to_bytes(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(WireEntry::LEN);
        self.write(&mut bytes);
        bytes
    }

    /// Finds the code in this process, which has made the name.
    pub(crate) fn resolve(&self) -> Result<Code, IdentityError> {
        match self {
            CodeName::Place(entry) => entry.resolve(),
            CodeName::Stable(task) => Ok(task.code()),
        }
    }

    /// Finds the code in this process whose name another one wrote, in the way that the two have agreed on: places mean
    /// nothing between processes that have not compared their executables.
    ///
    /// # Errors
    ///
    /// The bytes are no such name, or this program has no such code.
    pub(crate) fn find(bytes: &[u8], naming: Naming) -> Result<Code, IdentityError> {
        if naming == Naming::ByPlace {
            return WireEntry::from_bytes(bytes).ok_or(IdentityError::Malformed)?.resolve();
        }
        let (word, rest) = bytes.split_first_chunk().ok_or(IdentityError::Malformed)?;
        let (schema, name) = rest.split_first_chunk().ok_or(IdentityError::Malformed)?;
        if u64::from_le_bytes(*word) != STABLE << 32 {
            return Err(IdentityError::Malformed);
        }
        let name = std::str::from_utf8(name).map_err(|_| IdentityError::Malformed)?;
        registry::find(name, u64::from_le_bytes(*schema))
    }
}

impl From<WireEntry> for CodeName {
    fn from(entry: WireEntry) -> Self {
        CodeName::Place(entry)
    }
}

#[expect(unsafe_code, reason = "within this crate the link section of `#[task]` is seen")]
#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::{Job, Steps, map_parts};

    #[procpool::task(name = "procpool.tests.triple")]
    fn triple(x: u64) -> u64 {
        3 * x
    }

    fn stable() -> CodeName {
        triple { x: 1 }.into_parts().entry.name(Naming::ByName).unwrap()
    }

    #[test]
    fn a_registered_task_is_found_by_its_name() {
        let code = CodeName::find(&stable().to_bytes(), Naming::ByName).unwrap();
        let (mut arguments, mut out) = (Vec::new(), Vec::new());
        triple { x: 14 }.into_parts().arguments.encode(&mut arguments).unwrap();
        code.run(&arguments, &mut out, Steps(None)).unwrap();
        assert_eq!(crate::task::codec::decode::<u64>(&out).unwrap(), 42);
        let place = triple { x: 1 }.into_parts().entry.name(Naming::ByPlace).unwrap();
        assert!(CodeName::find(&place.to_bytes(), Naming::ByPlace).is_ok());
        // Neither passes for the other.
        for (name, naming) in [(place, Naming::ByName), (stable(), Naming::ByPlace)] {
            assert_eq!(CodeName::find(&name.to_bytes(), naming).unwrap_err(), IdentityError::Malformed);
        }
    }

    #[test]
    fn another_name_or_another_schema_is_told() {
        let good = stable().to_bytes();
        let error = |bytes: &[u8]| CodeName::find(bytes, Naming::ByName).unwrap_err();
        let unknown = [&good[..], b"x"].concat();
        assert!(matches!(error(&unknown), IdentityError::UnknownName { name, .. } if name == "procpool.tests.triplex"));
        let mut other = good.clone();
        other[8] ^= 1;
        let text = error(&other).to_string();
        assert!(text.contains("procpool.tests.triple") && text.contains("another version"), "{text}");
        assert_eq!(error(&good[..12]), IdentityError::Malformed);
        assert_eq!(error(&[]), IdentityError::Malformed);
        let not_text = [&good[..16], b"\xff"].concat();
        assert_eq!(error(&not_text), IdentityError::Malformed);
    }

    #[test]
    fn what_has_no_stable_name_says_what_to_do() {
        fn plain(x: u64) -> u64 {
            x
        }
        let error = |entry: crate::task::Entry| entry.name(Naming::ByName).unwrap_err().to_string();
        let call = error(procpool::call!(plain(4)).into_parts().entry);
        assert!(call.contains("#[procpool::task]") && call.contains("call!"), "{call}");
        let map = error(map_parts(plain, 4).entry);
        assert!(map.contains("#[procpool::task]") && map.contains("run_all"), "{map}");
    }
}
