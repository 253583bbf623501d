//! Frames as a session reads them: split, decode, and encode what was understood.

#![no_main]

use libfuzzer_sys::fuzz_target;
use viaduct::protocols::amqp091::codec::ContentHeader;
use viaduct::protocols::amqp091::codec::FrameKind;
use viaduct::protocols::amqp091::codec::Greeting;
use viaduct::protocols::amqp091::codec::Method;
use viaduct::protocols::amqp091::codec::frame::Frames;
use viaduct::protocols::amqp091::codec::next_frame;
use viaduct::protocols::amqp091::codec::write_method;

const FRAME_MAX: u32 = 131_072;

fuzz_target!(|input: &[u8]| {
    let _ = Greeting::recognize(input);
    for frame in Frames::new(input, FRAME_MAX) {
        let Ok(frame) = frame else { return };
        match frame.kind {
            FrameKind::Method => stable(frame.payload),
            FrameKind::Header => {
                let _ =
                    ContentHeader::decode(frame.payload).map(|header| header.properties.fields());
            }
            FrameKind::Body | FrameKind::Heartbeat => {}
        }
    }
});

/// A method that is understood means the same once more; by its text, as NaN equals nothing.
fn stable(payload: &[u8]) {
    let Ok(method) = Method::decode(payload) else {
        return;
    };
    let mut out = Vec::new();
    write_method(&mut out, 1, &method);
    let frame = next_frame(&out, u32::MAX)
        .expect("we wrote it")
        .expect("whole");
    let again = Method::decode(frame.payload).expect("we wrote it");
    assert_eq!(format!("{method:?}"), format!("{again:?}"));
}
