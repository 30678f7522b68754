//! A bar of how far a call is that reads all of a stream: on the standard error, where that is a
//! terminal.

use indicatif::{ProgressBar, ProgressStyle};
use millstream::Progress;

/// How the bar looks.
const TEMPLATE: &str = "{bar:30} {bytes}/{total_bytes} {bytes_per_sec} {msg}";

#[derive(Debug)]
pub(crate) struct Bar {
    bar: ProgressBar,
}

impl Bar {
    pub(crate) fn new() -> Self {
        let style = ProgressStyle::with_template(TEMPLATE).expect("the template is well formed");
        Self { bar: ProgressBar::new(0).with_style(style) }
    }

    pub(crate) fn show(&self, progress: &Progress<'_>) {
        self.bar.set_length(progress.total_bytes);
        self.bar.set_position(progress.done_bytes);
        self.bar.set_message(super::words::plain(&progress.part.to_string()));
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
