//! Two groups and a subscription read one stream. Within a group each entry goes to one worker;
//! the groups never see each other; a subscription sees everything and stores nothing.
#![expect(clippy::print_stdout, reason = "an example talks")]

use std::time::Duration;

use millstream::{Consumer, Result, Start, Stream, Subscription};

fn main() -> Result<()> {
    let stream = Stream::options().partitions(2).in_memory()?;
    let billing = stream.group("billing").open(Start::Earliest)?;
    let shipping = stream.group("shipping").open(Start::Earliest)?;
    let subscription = stream.subscribe()?;

    std::thread::scope(|scope| {
        let workers = [
            (billing.join("biller-1")?, "billing"),
            (billing.join("biller-2")?, "billing"),
            (shipping.join("shipper-1")?, "shipping"),
        ];
        let threads = workers.map(|(worker, group)| scope.spawn(move || (group, work(&worker))));
        let watcher = scope.spawn(|| watch(&subscription));
        for order in 0..1000 {
            stream.append(&format!("order {order}"))?;
        }
        let mut totals = [("billing", 0), ("shipping", 0)];
        for thread in threads {
            let (group, done) = thread.join().expect("a worker does not panic");
            let total = totals.iter_mut().find(|(name, _)| *name == group);
            total.expect("both groups are listed").1 += done?;
        }
        let seen = watcher.join().expect("the watcher does not panic")?;
        println!("each group did every order once: {totals:?}; the subscription saw {seen}");
        assert_eq!(totals, [("billing", 1000), ("shipping", 1000)]);
        assert_eq!(seen, 1000);
        Ok(())
    })
}

/// Works until nothing came for a while.
fn work(worker: &Consumer) -> Result<usize> {
    let mut done = 0;
    loop {
        let batch = worker.read_timeout(50, Duration::from_millis(200))?;
        if batch.is_empty() {
            println!("{} did {done}", worker.name());
            return Ok(done);
        }
        // By reference: nothing is copied, nothing is allocated.
        done += batch.iter().filter(|held| held.payload().starts_with(b"order")).count();
        assert!(batch.ack_all()?.is_complete());
    }
}

fn watch(subscription: &Subscription) -> Result<usize> {
    let mut seen = 0;
    loop {
        match subscription.read_timeout(50, Duration::from_millis(200))?.len() {
            0 => return Ok(seen),
            more => seen += more,
        }
    }
}
