//! A value that many tasks use and each worker is sent once.

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

use crate::task::attachment::{self, Attachment, Content};
use crate::task::{Ship, codec, store};

/// A value that many tasks use: made by [`Pool::shared`](crate::Pool::shared), sent to each worker once.
///
/// It travels in the arguments of tasks (also deep inside of them, in items of a `map` and in contexts of a `map_with`)
/// as a key of a few bytes. A worker gets the value itself before the first task that names it, decodes it with that
/// task's arguments, and keeps it; a replacement gets it anew. In a task it is a smart pointer to the value, and all
/// tasks of a worker point to the same one.
///
/// Here, too, it points to the value: this process keeps it, and its encoded form beside it, until the last clone is
/// dropped and the last task that names it is over. Then the workers are told to let go of it, too. A task that keeps a
/// clone (in a static, or in its worker's [state](crate::StatePool)) keeps the value.
///
/// It can be used with any pool of this program. A task can pass it on to a pool of its own: it is then encoded again,
/// once. It does not travel in results, in arguments of `init` and exit jobs and of functions that make a state, nor into
/// a file: encoding it there is an error that says so.
///
/// # Errors
/// A value that a worker cannot decode is an error of kind [`Decode`](crate::ErrorKind::Decode) of each task that names it.
///
/// ```standalone_crate
/// use procpool::{Pool, Shared, call};
///
/// fn rank(words: &Shared<Vec<String>>, word: String) -> Option<usize> {
///     words.iter().position(|known| *known == word)
/// }
///
/// #[procpool::main]
/// async fn main() -> Result<(), Box<dyn std::error::Error>> {
///     let pool = Pool::new()?;
///     let words = pool.shared(vec!["one".to_string(), "two".into(), "three".into()])?;
///     assert_eq!(words.len(), 3);
///     assert_eq!(pool.run(call!(rank(&words, "two".to_string()))).await?, Some(1));
///     Ok(())
/// }
/// ```
pub struct Shared<T> {
    inner: Arc<Inner<T>>,
}

struct Inner<T> {
    value: T,
    /// There from the start where the value was shared; in a worker, only once it is passed on.
    attachment: OnceLock<Arc<Attachment>>,
}

impl<T: Ship + Sync> Shared<T> {
    /// A value, and what it became when it was encoded.
    pub(crate) fn new(value: T, attachment: Arc<Attachment>) -> Self {
        Shared { inner: Arc::new(Inner { value, attachment: OnceLock::from(attachment) }) }
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Shared { inner: Arc::clone(&self.inner) }
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.inner.value
    }
}

impl<T: fmt::Debug> fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Shared").field(&self.inner.value).finish()
    }
}

/// The name under which serde sees it.
const NAME: &str = "Shared";

impl<T: Ship + Sync> Serialize for Shared<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Inner { value, attachment } = &*self.inner;
        let attachment = match attachment.get() {
            Some(attachment) => attachment,
            None => {
                let encoded = Attachment::encoded(|out| codec::encode(value, out)).map_err(ser::Error::custom)?;
                attachment.get_or_init(|| encoded)
            }
        };
        if !attachment::name(attachment) {
            let why = "a `Shared` travels in the arguments of tasks and nowhere else; send the value itself";
            return Err(ser::Error::custom(why));
        }
        serializer.serialize_newtype_struct(NAME, &attachment.key())
    }
}

impl<'de, T: Ship + Sync> Deserialize<'de> for Shared<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename = "Shared")]
        struct Key(u64);

        let Key(key) = Key::deserialize(deserializer)?;
        let decode =
            |content: &Content| Ok(Arc::new(Inner { value: codec::decode(content)?, attachment: OnceLock::new() }));
        let inner = store::get(key, decode).map_err(|error| de::Error::custom(format!("a shared value: {error}")))?;
        Ok(Shared { inner })
    }
}
