//! Values that workers are sent once.

use std::sync::Arc;

use super::handle::Pool;
use crate::backend::Backend;
use crate::error::{ErrorKind, Facts, RunError, Started};
use crate::task::attachment::Attachment;
use crate::task::codec::{self, CodecError};
use crate::task::{Shared, Ship};

impl Pool {
    /// Makes a value that many tasks use: it is encoded now, and sent once to each worker that gets a task which names
    /// it. See [`Shared`]. Without it, a value travels with every task that has it as an argument. (The context of a
    /// [`map_with`](Self::map_with) is sent once to each worker in any case.)
    ///
    /// # Errors
    /// Of kind [`Encode`](ErrorKind::Encode), or [`TooLarge`](ErrorKind::TooLarge) for a value that takes more than the
    /// pool's [`max_message`](crate::PoolBuilder::max_message). (Another pool that is given the value does not ask again.)
    ///
    /// # Panics
    /// Only where the value's own `Serialize` panics.
    ///
    /// ```no_run
    /// # async fn f(pool: procpool::Pool) -> Result<(), procpool::RunError> {
    /// use procpool::Shared;
    ///
    /// let table = pool.shared((0..1_000_000u64).map(|x| x * x).collect::<Vec<_>>())?;
    /// let found = pool.map(
    ///     |(table, x): (Shared<Vec<u64>>, u64)| table.binary_search(&x).ok(),
    ///     [4, 5, 9].map(|x| (table.clone(), x)),
    /// ).await?;
    /// assert_eq!(found, [Some(2), None, Some(3)]);
    /// # Ok(()) }
    /// ```
    pub fn shared<T: Ship + Sync>(&self, value: T) -> Result<Shared<T>, RunError> {
        let attachment = share(&**self.handle().backend(), "shared", |out| codec::encode(&value, out))?;
        Ok(Shared::new(value, attachment))
    }
}

/// Encodes a value that is sent once, within the limit of the pool. `what` stands for a task's name in the error.
pub(crate) fn share(
    backend: &dyn Backend,
    what: &str,
    encode: impl FnOnce(&mut Vec<u8>) -> Result<(), CodecError>,
) -> Result<Arc<Attachment>, RunError> {
    let failed = |kind, facts| RunError::new(kind, Started::No, Facts { task: Some(what.to_owned()), ..facts });
    let attachment = Attachment::encoded(encode).map_err(|error| {
        let detail = Some(error.to_string());
        failed(ErrorKind::Encode, Facts { detail, source: Some(error.into()), ..Facts::default() })
    })?;
    let (len, limit) = (attachment.content().len() as u64, backend.max_message());
    if len > limit {
        let detail = Some(format!("it takes {len} bytes, max_message is {limit}"));
        return Err(failed(ErrorKind::TooLarge, Facts { detail, ..Facts::default() }));
    }
    Ok(attachment)
}
