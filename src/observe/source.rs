//! [`Source`]: of which stream, and of which group, something is told.

#[cfg(any(feature = "metrics", feature = "tracing"))]
use std::path::Path;
#[cfg(any(feature = "metrics", feature = "tracing"))]
use std::sync::Arc;

/// Whose signals they are. A cheap clone, and nothing at all without the features.
#[derive(Clone, Debug, Default)]
pub(crate) struct Source {
    #[cfg(any(feature = "metrics", feature = "tracing"))]
    pub(super) names: Arc<Names>,
}

/// What the labels and fields say, and the keys that are made of it.
#[derive(Debug, Default)]
#[cfg(any(feature = "metrics", feature = "tracing"))]
pub(super) struct Names {
    pub(super) stream: Arc<str>,
    /// The group; none for what concerns the whole stream.
    pub(super) group: Option<Box<str>>,
    #[cfg(feature = "metrics")]
    pub(super) keys: super::meter::Keys,
}

#[cfg(any(feature = "metrics", feature = "tracing"))]
impl Names {
    fn new(stream: Arc<str>, group: Option<Box<str>>) -> Self {
        Self {
            stream,
            group,
            #[cfg(feature = "metrics")]
            keys: super::meter::Keys::default(),
        }
    }
}

impl Source {
    /// A stream, by where it is.
    #[cfg(any(feature = "metrics", feature = "tracing"))]
    pub(crate) fn stream(path: &Path) -> Self {
        Self { names: Arc::new(Names::new(label(path).into(), None)) }
    }

    /// One of its groups.
    #[cfg(any(feature = "metrics", feature = "tracing"))]
    pub(crate) fn group(&self, name: &str) -> Self {
        let stream = Arc::clone(&self.names.stream);
        Self { names: Arc::new(Names::new(stream, Some(name.into()))) }
    }

    #[cfg(not(any(feature = "metrics", feature = "tracing")))]
    pub(crate) fn stream(_: &std::path::Path) -> Self {
        Self::default()
    }

    #[cfg(not(any(feature = "metrics", feature = "tracing")))]
    #[expect(clippy::unused_self, reason = "it has no names then")]
    pub(crate) fn group(&self, _: &str) -> Self {
        Self::default()
    }
}

/// The last name of a path; all of it if that is none, as of `..`.
#[cfg(any(feature = "metrics", feature = "tracing"))]
fn label(path: &Path) -> String {
    let whole = || path.to_string_lossy();
    let name = path.file_name().map_or_else(whole, std::ffi::OsStr::to_string_lossy);
    // What is no directory is called `memory:`.
    name.trim_end_matches([':', '/']).to_owned()
}

#[cfg(all(test, any(feature = "metrics", feature = "tracing")))]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_called_after_its_directory() {
        let named = |path: &str| Source::stream(Path::new(path)).names.stream.to_string();
        assert_eq!(named("/data/orders/"), "orders");
        assert_eq!(named("orders"), "orders");
        assert_eq!(named("memory:/"), "memory");
        assert_eq!(named(".."), "..");
    }
}
