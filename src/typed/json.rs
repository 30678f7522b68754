//! [`Json`]: payloads that anything can read.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::codec::{Codec, Reason};

/// JSON, in one line. Fields have names, so types can gain and lose some: serde's `default` fills in
/// what older entries do not have. Values lie at most 128 deep in each other when they are read.
///
/// ```
/// use millstream::typed::{Json, TypedStream};
/// use millstream::Stream;
///
/// let stream = Stream::options().in_memory()?;
/// let names: TypedStream<Vec<String>, Json> = stream.typed_with(Json);
/// names.append(&vec!["a".into(), "b".into()])?;
/// let entry = stream.reader(millstream::Start::Earliest)?.read(1)?.into_iter().next();
/// assert_eq!(entry.expect("it was just appended").payload(), br#"["a","b"]"#);
/// # Ok::<(), millstream::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Json;

impl Codec for Json {
    fn name(&self) -> &'static str {
        "JSON"
    }

    #[inline]
    fn encode<T: Serialize>(&self, value: &T, bytes: &mut Vec<u8>) -> Result<(), Reason> {
        Ok(serde_json::to_writer(bytes, value)?)
    }

    #[inline]
    fn decode<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<T, Reason> {
        Ok(serde_json::from_slice(bytes)?)
    }
}
