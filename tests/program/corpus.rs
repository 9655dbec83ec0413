//! Runs every input of the fuzz corpus through the body of its target.
use std::{fs, path::Path};

#[path = "../../fuzz/bodies.rs"]
mod bodies;

fn replay(target: &str, body: impl Fn(&[u8])) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut inputs = 0;
    for entry in fs::read_dir(&directory).unwrap() {
        let path = entry.unwrap().path();
        println!("{}", path.display());
        body(&fs::read(&path).unwrap());
        inputs += 1;
    }
    assert!(inputs >= 10, "{} holds {inputs} inputs", directory.display());
}

#[test]
fn walk_handles_its_corpus() {
    replay("walk", bodies::walk);
}

#[test]
fn decode_handles_its_corpus() {
    replay("decode", bodies::decode);
}

#[test]
fn capture_handles_its_corpus() {
    replay("capture", bodies::capture);
}

#[test]
fn link_handles_its_corpus() {
    replay("link", bodies::link);
}

#[test]
fn config_handles_its_corpus() {
    replay("config", bodies::config);
}

#[test]
fn packet_line_handles_its_corpus() {
    replay("packet_line", bodies::packet_line);
}

#[test]
fn envelope_handles_its_corpus() {
    replay("envelope", bodies::envelope);
}
