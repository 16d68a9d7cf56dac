//! A pool ends with its runtime.

use std::sync::Arc;

use tokio::sync::Notify;

use super::engine::{Engine, Workers};
use super::scheduler::{Closing, Event};

/// Kills the pool when its runtime ends: the task that holds a sentinel is then dropped. `ended` is notified when the
/// pool has ended by itself.
pub(crate) fn tie_to_runtime<W: Workers>(engine: &Arc<Engine<W>>, ended: Arc<Notify>) {
    let sentinel = Sentinel(Arc::clone(engine));
    drop(engine.runtime().spawn(async move {
        let _sentinel = sentinel;
        ended.notified().await;
    }));
}

struct Sentinel<W: Workers>(Arc<Engine<W>>);

impl<W: Workers> Drop for Sentinel<W> {
    fn drop(&mut self) {
        // After a pool's ordinary end there is nothing left to kill, and this says nothing new.
        self.0.handle(Event::Close { how: Closing::Kill });
    }
}
