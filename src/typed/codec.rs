//! [`Codec`]: how values become bytes and come back; [`Bincode`], the one that is used unless another
//! is named.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::binary;

/// Why a codec could not do it. Any error will do, a text too.
pub type Reason = Box<dyn std::error::Error + Send + Sync>;

/// How values become payloads and come back.
///
/// ```
/// use millstream::Stream;
/// use millstream::typed::{Codec, Reason, TypedStream};
/// use serde::{Serialize, de::DeserializeOwned};
///
/// /// JSON with line breaks, to look at.
/// #[derive(Clone, Debug)]
/// struct Pretty;
///
/// impl Codec for Pretty {
///     fn name(&self) -> &'static str {
///         "JSON"
///     }
///
///     fn encode<T: Serialize>(&self, value: &T, bytes: &mut Vec<u8>) -> Result<(), Reason> {
///         Ok(serde_json::to_writer_pretty(bytes, value)?)
///     }
///
///     fn decode<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<T, Reason> {
///         Ok(serde_json::from_slice(bytes)?)
///     }
/// }
///
/// let stream = Stream::options().in_memory()?;
/// let pairs: TypedStream<(u32, bool), Pretty> = stream.typed_with(Pretty);
/// let id = pairs.append(&(7, true))?;
/// let entry = pairs.get(id)?.expect("it was just appended");
/// assert_eq!(entry.payload(), b"[\n  7,\n  true\n]");
/// assert_eq!(entry.value()?, (7, true));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Codec: Clone + Send + Sync {
    /// What it is called where bytes could not be decoded.
    fn name(&self) -> &'static str;

    /// Appends the encoding of a value to `bytes`, which holds others already. What it leaves there
    /// when it fails is dropped.
    ///
    /// # Errors
    /// If the value has no encoding.
    fn encode<T: Serialize>(&self, value: &T, bytes: &mut Vec<u8>) -> Result<(), Reason>;

    /// Reads a value from all of `bytes`, which may be any.
    ///
    /// # Errors
    /// If they are not the encoding of such a value, down to the last byte.
    fn decode<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<T, Reason>;
}

/// The standard encoding of bincode 2: small and fast, without names of fields or types.
///
/// So the order of fields and variants is the encoding, and a type that changes cannot read what was
/// written before, or reads it as something else: put versions into an enum, to whose end new variants
/// can be added. Attributes that make the encoding depend on the value do not work, which are serde's
/// `flatten`, `untagged`, `tag` and `skip_serializing_if`; `Json` takes them.
///
/// Decoding has bounds, which hold for bytes of any origin: values lie at most 128 deep in each
/// other, and have at most 4,096 elements more than bytes (elements without bytes, such as `()`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bincode;

impl Codec for Bincode {
    fn name(&self) -> &'static str {
        "bincode"
    }

    #[inline]
    fn encode<T: Serialize>(&self, value: &T, bytes: &mut Vec<u8>) -> Result<(), Reason> {
        Ok(binary::encode(value, bytes)?)
    }

    #[inline]
    fn decode<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<T, Reason> {
        Ok(binary::decode(bytes)?)
    }
}
