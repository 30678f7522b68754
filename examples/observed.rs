//! A stream that is observed: events as lines, and metrics as the page that Prometheus reads.
#![expect(clippy::print_stdout, reason = "an example talks")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use millstream::assign::RoundRobin;
use millstream::{Exhausted, Start, Stream};

/// Answers one request. A program that has a server gives the page from there.
fn serve_one(listener: &TcpListener, stream: &Stream, handle: &PrometheusHandle) -> Result {
    let (mut client, _) = listener.accept()?;
    let _request = client.read(&mut [0; 1024])?;
    // Gauges are true at the moment they are set, so they are set for each page.
    stream.observe()?;
    let page = handle.render();
    let length = page.len();
    write!(client, "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{page}")?;
    Ok(())
}

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Entries that go well, one that comes again, and one that is given up.
fn work(stream: &Stream, letters: &Stream) -> Result {
    let billing = stream.group("billing").strategy(RoundRobin).max_deliveries(2);
    let billing = billing.on_exhausted(Exhausted::DeadLetter(letters.clone()));
    let billing = billing.open(Start::Earliest)?;
    let (one, two) = (billing.join("worker-1")?, billing.join("worker-2")?);
    stream.append_each((0..10).map(|n| format!("order {n}")).collect::<Vec<_>>().iter())?;
    for worker in [&one, &two] {
        for delivery in worker.try_read(4)? {
            match delivery.id().offset() {
                1 => delivery.reject("no such customer")?,
                2 => delivery.nack_after(Duration::ZERO)?,
                _ => delivery.ack()?,
            }
        }
    }
    stream.sync()?;
    Ok(())
}

fn main() -> Result {
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::DEBUG)
        .without_time()
        .with_ansi(false)
        .init();
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder)?;

    let dir = tempfile::tempdir()?;
    let stream = Stream::options().partitions(2).open(dir.path().join("orders"))?;
    let letters = Stream::open(dir.path().join("letters"))?;
    work(&stream, &letters)?;

    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let page = std::thread::scope(|scope| -> Result<String> {
        let reading = scope.spawn(move || -> std::io::Result<String> {
            let mut page = String::new();
            let mut client = TcpStream::connect(address)?;
            client.write_all(b"GET /metrics HTTP/1.1\r\nconnection: close\r\n\r\n")?;
            client.read_to_string(&mut page)?;
            Ok(page)
        });
        serve_one(&listener, &stream, &handle)?;
        Ok(reading.join().expect("it does not panic")?)
    })?;
    println!("{page}");
    assert!(page.contains("millstream_lag{stream=\"orders\",group=\"billing\"}"));
    stream.close()?;
    letters.close()?;
    Ok(())
}
