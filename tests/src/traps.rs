//! Values that do something while they are encoded or decoded.

use serde::ser::Error;
use serde::{Deserialize, Serialize, Serializer};

use crate::gate::visit;
use crate::tasks::segfault;

/// What a trap does.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Trick {
    /// Nothing: the value behaves.
    None,
    /// An error of the codec.
    Fail,
    /// A panic.
    Panic,
    /// Ends the process with this code.
    Exit(i32),
    /// Reads where nothing is.
    Segfault,
    /// Arrives at this gate, and goes on when it is released.
    Visit(String),
}

impl Trick {
    fn play(&self) -> Result<(), String> {
        match self {
            Trick::None => {}
            Trick::Fail => return Err("a trap that fails".into()),
            Trick::Panic => panic!("a trap that panics"),
            Trick::Exit(code) => std::process::exit(*code),
            Trick::Segfault => drop(segfault()),
            Trick::Visit(gate) => drop(visit(gate, 0)),
        }
        Ok(())
    }
}

/// A value that plays its trick when it is decoded.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(into = "Trick", try_from = "Trick")]
pub struct WhenDecoded(pub Trick);

impl From<WhenDecoded> for Trick {
    fn from(trap: WhenDecoded) -> Self {
        trap.0
    }
}

impl TryFrom<Trick> for WhenDecoded {
    type Error = String;

    fn try_from(trick: Trick) -> Result<Self, String> {
        trick.play()?;
        Ok(WhenDecoded(trick))
    }
}

/// A value that plays its trick when it is encoded.
#[derive(Clone, Debug, Deserialize)]
#[serde(from = "Trick")]
pub struct WhenEncoded(pub Trick);

impl From<Trick> for WhenEncoded {
    fn from(trick: Trick) -> Self {
        WhenEncoded(trick)
    }
}

impl Serialize for WhenEncoded {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.play().map_err(S::Error::custom)?;
        self.0.serialize(serializer)
    }
}
