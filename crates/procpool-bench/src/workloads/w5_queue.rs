//! W5: a bounded queue between processes. Messages of 8 bytes, 1 KiB and 64 KiB, from one or more producers to one or
//! more consumers, each in a process of its own.

use super::{Only, Workload};
use crate::Error;
use crate::book::Book;
use crate::measurement::{Key, System};
use crate::queue::Shape;
use crate::queue::systems;
use crate::stage::Stage;

pub(super) const NAME: &str = "W5";

const KIB: usize = 1024;

/// Name, bytes of a message, producers, consumers.
type Variant = (&'static str, usize, u64, u64);

const SHAPES: [Variant; 12] = [
    ("8B-1to1", 8, 1, 1),
    ("8B-2to2", 8, 2, 2),
    ("8B-4to1", 8, 4, 1),
    ("8B-1to4", 8, 1, 4),
    ("1KiB-1to1", KIB, 1, 1),
    ("1KiB-2to2", KIB, 2, 2),
    ("1KiB-4to1", KIB, 4, 1),
    ("1KiB-1to4", KIB, 1, 4),
    ("64KiB-1to1", 64 * KIB, 1, 1),
    ("64KiB-2to2", 64 * KIB, 2, 2),
    ("64KiB-4to1", 64 * KIB, 4, 1),
    ("64KiB-1to4", 64 * KIB, 1, 4),
];

pub(super) const VARIANTS: [&str; SHAPES.len()] = {
    let mut names = [""; SHAPES.len()];
    let mut index = 0;
    while index < names.len() {
        names[index] = SHAPES[index].0;
        index += 1;
    }
    names
};

pub(crate) struct Queue {
    /// Messages of 8 bytes, for a system that is quick.
    messages: u64,
    variants: Vec<Variant>,
}

impl Queue {
    pub(crate) fn new(quick: bool, only: Only) -> Self {
        Queue {
            messages: if quick { 60_000 } else { 1_000_000 },
            variants: SHAPES.into_iter().filter(|(name, ..)| only.wants(name)).collect(),
        }
    }

    /// About as long a run for each system: one that is slow gets fewer messages, as do big ones.
    fn shape(&self, (_, size, producers, consumers): Variant, share: u64) -> Shape {
        let by_size = match size {
            ..KIB => 1,
            KIB => 2,
            _ => 40,
        };
        Shape { size, producers, consumers, each: self.messages / by_size / share / producers }
    }
}

impl Workload for Queue {
    fn name(&self) -> &'static str {
        NAME
    }

    fn round(&mut self, stage: &mut Stage, book: &mut Book) -> Result<(), Error> {
        let (runtime, python) = (&stage.runtimes.homes()[0].runtime, stage.crew.python());
        for &variant in &self.variants {
            let (name, size, _, consumers) = variant;
            let failed = |error| format!("{NAME}, {name}: {error}");
            let mut add = |system, rate: Result<f64, Error>| {
                let per_second = rate.map_err(failed)?;
                let key = Key { workload: NAME, variant: name, system, metric: "per_second", unit: "1/s" };
                book.add(key.clone(), per_second);
                book.add(Key { metric: "gigabytes_per_second", unit: "GB/s", ..key }, per_second * size as f64 / 1e9);
                Ok::<(), Error>(())
            };
            add(System::Procpool, systems::procpool(runtime, self.shape(variant, 1)))?;
            if consumers == 1 {
                add(System::IpcChannel, systems::ipc_channel(self.shape(variant, 4)))?;
                if size > 8 {
                    add(System::IpcChannelBytes, systems::ipc_channel_bytes(self.shape(variant, 4)))?;
                }
            }
            if let Some(python) = python {
                add(System::Multiprocessing, systems::python(python, self.shape(variant, 20)))?;
            }
            add(System::AsyncChannel, systems::async_channel(self.shape(variant, 1)))?;
        }
        Ok(())
    }
}
