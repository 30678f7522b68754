//! stub
#[derive(Debug)]
pub(crate) struct Memory;
