//! The target `entry`: any payload, subject, key and headers are refused with a reason, or read
//! back as they were.

use millstream::{Entry, Error, NewEntry, Start, Stream};

use crate::input::Input;

const ENTRY_BYTES_MAX: u64 = 1024;

/// Does what one input says.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let options = Stream::options().partitions(1 + u32::from(input.byte() % 4));
    let options = options.segment_bytes(4096).entry_bytes_max(ENTRY_BYTES_MAX);
    let stream = options.in_memory().expect("there is memory");
    let mut taken = Vec::new();
    while !input.is_empty() && taken.len() < 64 {
        let how = input.byte();
        let parts = Parts::of(how, &mut input);
        let entry = parts.entry();
        let outcome = match how >> 6 {
            0 | 1 => stream.append(&entry),
            2 => stream.append_batch([&entry]).map(|mut ids| ids.next().expect("one was appended")),
            _ => stream.append_each([&entry]).map(|ids| ids[0]),
        };
        match outcome {
            Ok(id) => {
                let found = stream.get(id).expect("memory is well").expect("it was appended");
                parts.check(&found);
                taken.push((id, parts));
            }
            Err(Error::InvalidName { .. }) => assert!(!parts.is_plain(), "nothing has a name"),
            Err(Error::EntryTooLarge { bytes, max: ENTRY_BYTES_MAX }) => {
                assert!(bytes > ENTRY_BYTES_MAX);
            }
            Err(error) => panic!("an entry gives {error:?}"),
        }
    }
    stream.verify().expect("memory is well");
    let reader = stream.reader(Start::Earliest).expect("the stream is open").until_now();
    let all: Vec<_> = reader.try_read(100).expect("memory is well").into_iter().collect();
    assert_eq!(all.len(), taken.len(), "what was refused was not appended");
    for (id, parts) in taken {
        let found = all.iter().find(|entry| entry.id() == id).expect("what was appended is read");
        parts.check(found);
    }
}

/// What an entry is made of.
struct Parts<'a> {
    payload: &'a [u8],
    subject: Option<String>,
    key: Option<&'a [u8]>,
    headers: Vec<(String, &'a [u8])>,
}

impl<'a> Parts<'a> {
    fn of(how: u8, input: &mut Input<'a>) -> Self {
        let text = |input: &mut Input<'a>| String::from_utf8_lossy(input.bytes()).into_owned();
        let payload = input.bytes();
        let subject = (how & 1 == 1).then(|| text(input));
        let key = (how & 2 == 2).then(|| input.bytes());
        let mut headers = Vec::new();
        if how & 4 == 4 {
            for _ in 0..input.byte() % 80 {
                let value = input.bytes();
                let name = if how & 8 == 8 { "h".to_owned() } else { text(input) };
                headers.push((name, value));
            }
        }
        Self { payload, subject, key, headers }
    }

    fn is_plain(&self) -> bool {
        self.subject.is_none() && self.key.is_none() && self.headers.is_empty()
    }

    fn entry(&self) -> NewEntry<'_> {
        let mut entry = NewEntry::new(self.payload);
        if let Some(subject) = &self.subject {
            entry = entry.subject(subject);
        }
        if let Some(key) = self.key {
            entry = entry.key(key);
        }
        self.headers.iter().fold(entry, |entry, (name, value)| entry.header(name, *value))
    }

    fn check(&self, entry: &Entry) {
        assert_eq!(entry.payload(), self.payload);
        assert_eq!(entry.subject(), self.subject.as_deref());
        assert_eq!(entry.key(), self.key);
        let headers = self.headers.iter().map(|(name, value)| (name.as_str(), *value));
        assert!(entry.headers().eq(headers), "headers read back as they were");
    }
}
