//! Where a group stands, and moving it: by one member, by hand, and by what the log loses.

mod resets;
mod through;
mod trims;
