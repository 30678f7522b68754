//! Single paths, one call at a time, on disk and in memory: for a look at one of them while it is
//! worked on. What they cost beside a floor, and together, is in `throughput`.

use divan::Bencher;
#[cfg(feature = "typed")]
use millstream::typed::{Bincode, Codec};
use millstream::{Consumer, EntryId, Start, Stream};
use tempfile::TempDir;

const PAYLOAD: [u8; 128] = [7; 128];

/// No path is measured for longer.
const SECONDS_MAX: f64 = 0.5;

/// The streams that each path is measured on.
const MEDIA: [Medium; 2] = [Medium::Disk, Medium::Memory];

#[derive(Clone, Copy, Debug)]
enum Medium {
    Disk,
    Memory,
}

/// A stream, and the directory that goes with it.
struct Scene {
    stream: Stream,
    _dir: Option<TempDir>,
}

impl Scene {
    fn new(medium: Medium) -> Self {
        let (stream, dir) = match medium {
            Medium::Disk => {
                let dir = tempfile::tempdir().expect("a temporary directory can be made");
                (Stream::open(dir.path().join("stream")), Some(dir))
            }
            Medium::Memory => (Stream::options().in_memory(), None),
        };
        Self { stream: stream.expect("an empty stream can be made"), _dir: dir }
    }

    fn filled(medium: Medium, entries: usize) -> Self {
        let scene = Self::new(medium);
        for _ in 0..entries / 100 {
            scene.append_batch();
        }
        scene
    }

    fn append_batch(&self) {
        self.stream.append_batch([&PAYLOAD; 100]).expect("there is room");
    }

    fn worker(&self) -> Consumer {
        let group = self.stream.group("g").open(Start::Earliest).expect("the name is free");
        group.join("worker").expect("the group was just made")
    }
}

fn main() {
    divan::main();
}

#[divan::bench(args = MEDIA, sample_size = 100, max_time = SECONDS_MAX)]
fn append(bencher: Bencher<'_, '_>, medium: Medium) {
    let scene = Scene::new(medium);
    bencher.bench_local(|| scene.stream.append(divan::black_box(&PAYLOAD)));
}

#[divan::bench(args = MEDIA, sample_size = 100, max_time = SECONDS_MAX)]
fn append_batch_of_100(bencher: Bencher<'_, '_>, medium: Medium) {
    let scene = Scene::new(medium);
    bencher.bench_local(|| scene.append_batch());
}

#[divan::bench(args = MEDIA, sample_size = 100, max_time = SECONDS_MAX)]
fn get(bencher: Bencher<'_, '_>, medium: Medium) {
    let scene = Scene::filled(medium, 10_000);
    let mut offset = 0;
    bencher.bench_local(|| {
        offset = (offset + 7_919) % 10_000;
        scene.stream.get(EntryId::new(0, offset))
    });
}

#[divan::bench(args = MEDIA, sample_size = 100, max_time = SECONDS_MAX)]
fn read_100(bencher: Bencher<'_, '_>, medium: Medium) {
    let scene = Scene::filled(medium, 10_000);
    let reader = scene.stream.reader(Start::Earliest).expect("the start is there");
    bencher.with_inputs(|| scene.append_batch()).bench_local_values(|()| reader.try_read(100));
}

#[divan::bench(args = MEDIA, sample_size = 100, max_time = SECONDS_MAX)]
fn read_100_and_ack_all(bencher: Bencher<'_, '_>, medium: Medium) {
    let scene = Scene::new(medium);
    let worker = scene.worker();
    bencher.with_inputs(|| scene.append_batch()).bench_local_values(|()| {
        let batch = worker.try_read(100).expect("a batch was appended");
        batch.ack_all()
    });
}

#[divan::bench(args = MEDIA, sample_size = 100, max_time = SECONDS_MAX)]
fn ack_by_token(bencher: Bencher<'_, '_>, medium: Medium) {
    let scene = Scene::new(medium);
    let worker = scene.worker();
    let lent = || {
        scene.stream.append(&PAYLOAD).expect("there is room");
        let batch = worker.try_read(1).expect("an entry was appended");
        batch.into_iter().next().expect("it is available").detach()
    };
    bencher.with_inputs(lent).bench_local_values(|token| worker.ack([token]));
}

#[divan::bench(args = MEDIA, sample_size = 100, max_time = SECONDS_MAX)]
fn nack_by_token(bencher: Bencher<'_, '_>, medium: Medium) {
    let scene = Scene::new(medium);
    let worker = scene.worker();
    let lent = || {
        scene.stream.append(&PAYLOAD).expect("there is room");
        let batch = worker.try_read(1).expect("an entry was appended");
        batch.into_iter().next().expect("it is available").detach()
    };
    bencher.with_inputs(lent).bench_local_values(|token| worker.nack([token]));
}

/// About 128 bytes in the codec.
#[cfg(feature = "typed")]
type Order = (u64, String, Vec<(u32, u16)>, Option<[u8; 32]>);

#[cfg(feature = "typed")]
fn order() -> Order {
    (1 << 40, "customer-1234567".into(), vec![(70_000, 2_000); 8], Some([7; 32]))
}

/// The codec alone, beside what typed paths take more than plain ones.
#[cfg(feature = "typed")]
#[divan::bench(sample_size = 100, max_time = SECONDS_MAX)]
fn typed_encode_alone(bencher: Bencher<'_, '_>) {
    let (order, mut bytes) = (order(), Vec::new());
    bencher.bench_local(|| {
        bytes.clear();
        Bincode.encode(divan::black_box(&order), &mut bytes)
    });
}

#[cfg(feature = "typed")]
#[divan::bench(sample_size = 100, max_time = SECONDS_MAX)]
fn typed_decode_alone(bencher: Bencher<'_, '_>) {
    let mut bytes = Vec::new();
    Bincode.encode(&order(), &mut bytes).expect("it has an encoding");
    bencher.bench_local(|| Bincode.decode::<Order>(divan::black_box(&bytes)));
}

#[cfg(feature = "typed")]
#[divan::bench(args = MEDIA, sample_size = 100, max_time = SECONDS_MAX)]
fn typed_append(bencher: Bencher<'_, '_>, medium: Medium) {
    let scene = Scene::new(medium);
    let (orders, order) = (scene.stream.typed::<Order>(), order());
    bencher.bench_local(|| orders.append(divan::black_box(&order)));
}

/// The same bytes, encoded before.
#[cfg(feature = "typed")]
#[divan::bench(args = MEDIA, sample_size = 100, max_time = SECONDS_MAX)]
fn typed_append_less_codec(bencher: Bencher<'_, '_>, medium: Medium) {
    let (scene, mut bytes) = (Scene::new(medium), Vec::new());
    Bincode.encode(&order(), &mut bytes).expect("it has an encoding");
    bencher.bench_local(|| scene.stream.append(divan::black_box(&bytes)));
}

#[cfg(feature = "typed")]
#[divan::bench(args = MEDIA, sample_size = 100, max_time = SECONDS_MAX)]
fn typed_read_100_and_ack_all(bencher: Bencher<'_, '_>, medium: Medium) {
    let scene = Scene::new(medium);
    let (orders, worker) = (scene.stream.typed::<Order>(), scene.worker().typed::<Order>());
    let order = order();
    let filled = || orders.append_batch([&order; 100]).expect("there is room");
    bencher.with_inputs(filled).bench_local_values(|_| {
        let batch = worker.try_read(100).expect("a batch was appended");
        for held in &batch {
            divan::black_box(held.value().expect("it is an order"));
        }
        batch.ack_all()
    });
}

/// The same without looking at values.
#[cfg(feature = "typed")]
#[divan::bench(args = MEDIA, sample_size = 100, max_time = SECONDS_MAX)]
fn typed_read_100_and_ack_all_less_codec(bencher: Bencher<'_, '_>, medium: Medium) {
    let scene = Scene::new(medium);
    let (orders, worker) = (scene.stream.typed::<Order>(), scene.worker().typed::<Order>());
    let order = order();
    let filled = || orders.append_batch([&order; 100]).expect("there is room");
    bencher.with_inputs(filled).bench_local_values(|_| {
        let batch = worker.try_read(100).expect("a batch was appended");
        for held in &batch {
            divan::black_box(held.payload());
        }
        batch.ack_all()
    });
}
