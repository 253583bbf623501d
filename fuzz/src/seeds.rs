//! Writes the golden frames as files that a fuzzer starts from.

use std::fs;
use std::io;
use std::path::Path;

/// Octets of a frame before its payload, and of a content header before its properties.
const FRAME_HEAD: usize = 7;
const CONTENT_HEAD: usize = 12;

fn main() -> io::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut count = 0_usize;
    for entry in fs::read_dir(root.join("../tests/frames/amqp091"))? {
        for frame in frames(&fs::read_to_string(entry?.path())?) {
            seed(root, "amqp091_frame", count, &frame)?;
            // A table never stands alone on the wire; the properties around it do as a start.
            let properties = frame.get(FRAME_HEAD + CONTENT_HEAD..frame.len() - 1);
            if let (Some(2), Some(properties)) = (frame.first(), properties) {
                seed(root, "amqp091_table", count, properties)?;
                seed(
                    root,
                    "amqp091_table",
                    count + 1000,
                    properties.get(6..).unwrap_or_default(),
                )?;
            }
            count += 1;
        }
    }
    println!("{count} frames");
    Ok(())
}

/// Reads the frames of a file: hex digits under `[name]`, `#` starts a comment.
fn frames(text: &str) -> Vec<Vec<u8>> {
    let mut frames: Vec<Vec<u8>> = Vec::new();
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.starts_with('[') {
            frames.push(Vec::new());
        } else if let Some(frame) = frames.last_mut() {
            let digits: Vec<u8> = line.bytes().filter(u8::is_ascii_hexdigit).collect();
            for pair in digits.chunks(2) {
                let pair = String::from_utf8_lossy(pair);
                frame.push(u8::from_str_radix(&pair, 16).expect("hex digits only"));
            }
        }
    }
    frames
}

fn seed(root: &Path, target: &str, number: usize, bytes: &[u8]) -> io::Result<()> {
    let folder = root.join("corpus").join(target);
    fs::create_dir_all(&folder)?;
    fs::write(folder.join(format!("golden-{number}")), bytes)
}
