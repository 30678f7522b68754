//! stub
#[derive(Debug)]
pub(crate) struct Disk;
