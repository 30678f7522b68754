//! The encoding of values whose bytes nobody has to tell apart from outside: the manifest, and
//! typed payloads unless they choose another one. The only module that knows bincode, so that it
//! can be replaced here: its standard encoding, numbers of variable length, fields without names.
//!
//! # Invariants
//! 1. Bytes of whatever origin decode to a value or a [`Fault`]: no panic, no endless loop, no stack
//!    that overflows, no allocation that the number of bytes does not justify. [`guard`] sees to it.
//! 2. A value takes all the bytes there are: what is left over makes them another value's.
//!
//! # Why not bincode's own limit
//! It counts what values take in memory, 8 bytes for a number that was one byte long, so a limit as
//! large as the encoding may be refuses what was encoded within it; and it does not count elements
//! without bytes, or levels.

mod guard;

use std::borrow::Cow;

use bincode::enc::write::Writer;
use bincode::error::{DecodeError, EncodeError};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Why a value could not be encoded, or bytes could not be decoded, in words.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Fault(Cow<'static, str>);

/// Appends a value's encoding to `bytes`. After a fault, `bytes` ends with a part of it.
pub(crate) fn encode<T: Serialize + ?Sized>(value: &T, bytes: &mut Vec<u8>) -> Result<(), Fault> {
    let config = bincode::config::standard();
    bincode::serde::encode_into_writer(value, Sink(bytes), config).map_err(|error| match error {
        EncodeError::OtherString(words) => Fault(words.into()),
        EncodeError::Serde(_) => Fault("a sequence or map does not know its length".into()),
        other => Fault(format!("{other:?}").into()),
    })
}

/// Reads one value from all of `bytes`.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Fault> {
    let bounds = guard::Bounds::new(bytes.len());
    let config = bincode::config::standard();
    match bincode::serde::seed_decode_from_slice(bounds.seed(), bytes, config) {
        Ok((value, used)) if used == bytes.len() => Ok(value),
        Ok((_, used)) => Err(Fault(format!("{} bytes are left over", bytes.len() - used).into())),
        Err(error) => Err(fault(error)),
    }
}

fn fault(error: DecodeError) -> Fault {
    Fault(match error {
        DecodeError::OtherString(words) => words.into(),
        DecodeError::UnexpectedEnd { .. } => "the bytes end too early".into(),
        DecodeError::Utf8 { .. } => "a text is not UTF-8".into(),
        DecodeError::InvalidBooleanValue(found) => format!("a truth value is {found}").into(),
        DecodeError::Serde(_) => "the type asks for a format that describes itself".into(),
        other => format!("{other:?}").into(),
    })
}

/// Bytes that grow.
struct Sink<'a>(&'a mut Vec<u8>);

impl Writer for Sink<'_> {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
