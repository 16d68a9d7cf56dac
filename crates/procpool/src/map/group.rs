//! The calls of one map as one, for those who stop them together.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use futures::future::{Either, select, select_all};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::backend::Backend;
use crate::backend::scheduler::{CancelReason, TaskId};
use crate::sync::lock;

/// The tasks whose results have not been taken, under the eyes of one watcher of the map's cancellation tokens: one
/// for each task would cost as much as the task.
#[derive(Debug)]
pub(super) struct Group {
    tasks: Mutex<BTreeSet<TaskId>>,
    tokens: Vec<CancellationToken>,
}

/// Keeps a group's watcher. Dropped, the watcher ends.
pub(super) type Watched = (Arc<Group>, oneshot::Sender<()>);

impl Group {
    /// From here on the tokens are watched, where the pool lives.
    pub(super) fn watched(backend: &Arc<dyn Backend>, tokens: Vec<CancellationToken>) -> Watched {
        let fired = select_all(tokens.iter().map(|token| Box::pin(token.clone().cancelled_owned())));
        let group = Arc::new(Group { tasks: Mutex::default(), tokens });
        let (alive, over) = oneshot::channel();
        let (watched, canceller) = (Arc::clone(&group), Arc::clone(backend));
        backend.watch(Box::pin(async move {
            if let Either::Left(_) = select(fired, over).await {
                let tasks = std::mem::take(&mut *lock(&watched.tasks));
                canceller.cancel_all(&mut tasks.into_iter().rev(), CancelReason::Token);
            }
        }));
        (group, alive)
    }

    /// One more is on its way. The tokens may have fired since they were looked at last: then the watcher either sees
    /// this task, or has passed, which is seen here.
    pub(super) fn enter(&self, backend: &dyn Backend, task: TaskId) {
        lock(&self.tasks).insert(task);
        if self.tokens.iter().any(CancellationToken::is_cancelled) {
            backend.cancel(task, CancelReason::Token);
        }
    }

    /// Its result has been taken.
    pub(super) fn leave(&self, task: TaskId) {
        lock(&self.tasks).remove(&task);
    }
}
