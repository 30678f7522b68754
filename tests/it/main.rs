//! The promises of the public surface, one module for each.

mod main_job;
