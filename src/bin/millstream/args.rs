//! The command line: verbs and their options.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use millstream::EntryId;

use super::exit::CODES;
use super::place::{Ids, Place, Points, id, ids, points};
use super::watch::every;

/// Looks into a millstream directory, and mends it.
///
/// The verbs that look change nothing, take no lock, and work while another process writes. Those
/// that mend (redrive, reset, trim, delete-group) need the stream for themselves: they open it as any
/// owner does, which cuts what a crash left half written and ends the leases of the process before. Then
/// they say what they are about to do, and ask.
#[derive(Debug, Parser)]
#[command(name = "millstream", version, after_help = CODES, disable_help_subcommand = true)]
pub(crate) struct Line {
    /// Write JSON for programs: one object, or one in each line for `tail` and `dump`.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Show what is in a stream: partitions, segments, sizes, rates.
    Info(Dir),
    /// List the groups, with how far behind they are.
    Groups(Dir),
    /// Show one group: members, partitions, settings, and why a read would find nothing.
    Group(Named),
    /// List what a group handed out and nobody settled.
    Pending(Pending),
    /// List what a group set aside.
    Parked(Parked),
    /// List the dead letters of a group, in the stream that took them.
    Letters(Letters),
    /// Follow a stream from its end, until ctrl-c.
    Tail(Tail),
    /// Watch groups and partitions live, on a terminal.
    Watch(Watch),
    /// Show entries of a range.
    Dump(Dump),
    /// Compare every stored byte with its checksum.
    Verify(Dir),
    /// Copy a stream to a new directory, while it is in use.
    Backup(Backup),
    /// Make parked entries of a group available again, or those that dead letters are of.
    Redrive(Redrive),
    /// Make a group go on elsewhere, back or forth.
    Reset(Reset),
    /// Remove old segments: what the retention lets go, or what lies before an entry.
    Trim(Trim),
    /// Delete a group for good.
    DeleteGroup(DeleteGroup),
}

#[derive(Debug, Args)]
pub(crate) struct Dir {
    /// The directory of the stream.
    pub(crate) dir: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Named {
    /// The directory of the stream.
    pub(crate) dir: PathBuf,
    /// The group.
    pub(crate) name: String,
}

#[derive(Debug, Args)]
pub(crate) struct Pending {
    #[command(flatten)]
    pub(crate) group: Named,
    /// Only ids of this range: `A..B` without B, `A..=B` with it, `(A..B` without A; either end may
    /// be left out.
    #[arg(long, value_name = "RANGE", value_parser = ids, default_value = "..")]
    pub(crate) range: Ids,
    /// Only what this consumer holds.
    #[arg(long, value_name = "NAME")]
    pub(crate) consumer: Option<String>,
    /// Only what nobody touched for that long, such as `90s` or `5m`.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub(crate) idle: Option<Duration>,
    /// At most so many rows.
    #[arg(long, value_name = "ROWS", default_value_t = 100)]
    pub(crate) max: u32,
}

/// Which parked entries.
#[derive(Debug, Args)]
pub(crate) struct Chosen {
    /// Only ids of this range: `A..B` without B, `A..=B` with it, `(A..B` without A; either end may
    /// be left out.
    #[arg(long, value_name = "RANGE", value_parser = ids, default_value = "..")]
    pub(crate) range: Ids,
    /// Only subjects that match, such as `order.*`; may be given several times.
    #[arg(long, value_name = "PATTERN")]
    pub(crate) subject: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Parked {
    #[command(flatten)]
    pub(crate) group: Named,
    #[command(flatten)]
    pub(crate) chosen: Chosen,
    /// At most so many rows.
    #[arg(long, value_name = "ROWS", default_value_t = 100)]
    pub(crate) max: usize,
}

/// Which dead letters.
#[derive(Debug, Args)]
pub(crate) struct Which {
    /// Only those whose entry was rejected with words in which this occurs; may be given several
    /// times.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Vec<String>,
    /// Only those whose entry ran out of attempts, without a reason; these, too, with `--reason`.
    #[arg(long)]
    pub(crate) attempts_over: bool,
    /// Only those whose entry this consumer had last.
    #[arg(long, value_name = "NAME")]
    pub(crate) consumer: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Letters {
    #[command(flatten)]
    pub(crate) group: Named,
    /// The directory of the stream that took the letters.
    #[arg(value_name = "LETTERS_DIR")]
    pub(crate) from: PathBuf,
    #[command(flatten)]
    pub(crate) chosen: Chosen,
    #[command(flatten)]
    pub(crate) which: Which,
    /// At most so many rows.
    #[arg(long, value_name = "ROWS", default_value_t = 100)]
    pub(crate) max: usize,
}

/// How entries are shown.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Shown {
    /// How payloads are shown.
    #[arg(long = "as", value_name = "FORM", value_enum, default_value_t = Form::Text)]
    pub(crate) form: Form,
    /// Show at most so many bytes of a payload; 0 shows all.
    #[arg(long, value_name = "BYTES")]
    pub(crate) cut: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    /// On one line, with control characters escaped.
    Text,
    /// Bytes in hexadecimal, and as text beside.
    Hex,
    /// Laid out if it is JSON, else as text.
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct Tail {
    /// The directory of the stream.
    pub(crate) dir: PathBuf,
    /// Begin here: `earliest`, `latest`, an id, a time such as `2025-11-20T08:00:00Z`, or how long
    /// ago, such as `10m`.
    #[arg(long, value_name = "PLACE", default_value = "latest")]
    pub(crate) from: Place,
    /// Show the last so many entries before that place first.
    #[arg(short = 'n', long, value_name = "N", default_value_t = 0)]
    pub(crate) lines: usize,
    /// Only subjects that match, such as `order.*`; may be given several times.
    #[arg(long, value_name = "PATTERN")]
    pub(crate) subject: Vec<String>,
    /// Only this partition.
    #[arg(long, value_name = "P")]
    pub(crate) partition: Option<u32>,
    /// End after so many entries.
    #[arg(long, value_name = "N")]
    pub(crate) max: Option<u64>,
    #[command(flatten)]
    pub(crate) shown: Shown,
}

#[derive(Debug, Args)]
pub(crate) struct Watch {
    /// The directory of the stream.
    pub(crate) dir: PathBuf,
    /// How long to wait between two looks, from `100ms` to `1m`.
    #[arg(long, value_name = "TIME", value_parser = every, default_value = "500ms")]
    pub(crate) every: Duration,
}

#[derive(Debug, Args)]
pub(crate) struct Dump {
    /// The directory of the stream.
    pub(crate) dir: PathBuf,
    /// `N..M` of ids such as `0-5..0-9`, or of offsets of one partition; without M, with it as
    /// `N..=M`, or a single one. Either end may be left out.
    #[arg(value_name = "N..M", value_parser = points, default_value = "..")]
    pub(crate) range: Points,
    /// The partition, where the range names offsets; else only what of the range is in it.
    #[arg(long, value_name = "P")]
    pub(crate) partition: Option<u32>,
    /// Only subjects that match, such as `order.*`; may be given several times.
    #[arg(long, value_name = "PATTERN")]
    pub(crate) subject: Vec<String>,
    /// At most so many entries.
    #[arg(long, value_name = "N")]
    pub(crate) max: Option<u64>,
    #[command(flatten)]
    pub(crate) shown: Shown,
}

#[derive(Debug, Args)]
pub(crate) struct Backup {
    /// The directory of the stream.
    pub(crate) dir: PathBuf,
    /// The directory of the copy, which must not be there yet, or be empty.
    #[arg(value_name = "DEST")]
    pub(crate) to: PathBuf,
}

/// Whether to ask.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Sure {
    /// Do it without asking.
    #[arg(short, long)]
    pub(crate) yes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Redrive {
    #[command(flatten)]
    pub(crate) group: Named,
    /// Take dead letters of the stream in this directory, and not what is parked.
    #[arg(long, value_name = "LETTERS_DIR")]
    pub(crate) from: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) chosen: Chosen,
    #[command(flatten)]
    pub(crate) which: Which,
    /// At most so many entries.
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub(crate) max: usize,
    #[command(flatten)]
    pub(crate) sure: Sure,
}

#[derive(Debug, Args)]
pub(crate) struct Reset {
    #[command(flatten)]
    pub(crate) group: Named,
    /// Where it goes on: `earliest`, `latest`, an id, a time such as `2025-11-20T08:00:00Z`, or how
    /// long ago, such as `10m`.
    #[arg(long, value_name = "PLACE")]
    pub(crate) to: Place,
    /// Only in this partition.
    #[arg(long, value_name = "P")]
    pub(crate) partition: Option<u32>,
    #[command(flatten)]
    pub(crate) sure: Sure,
}

#[derive(Debug, Args)]
pub(crate) struct Trim {
    /// The directory of the stream.
    pub(crate) dir: PathBuf,
    /// Remove the segments of this entry's partition that lie wholly before it, whatever groups still
    /// need. Without this, what the stream's retention lets go.
    #[arg(long, value_name = "ID", value_parser = id)]
    pub(crate) before: Option<EntryId>,
    #[command(flatten)]
    pub(crate) sure: Sure,
}

#[derive(Debug, Args)]
pub(crate) struct DeleteGroup {
    #[command(flatten)]
    pub(crate) group: Named,
    #[command(flatten)]
    pub(crate) sure: Sure,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Line::command().debug_assert();
    }
}
