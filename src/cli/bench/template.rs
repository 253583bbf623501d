//! A block of messages that is made once: for each write only labels and addresses change in it.

use std::ops::Range;

use super::label::LABEL_BYTES;
use super::wire::BLOCK_BYTES;

/// Most bytes of a block, whatever --flush asks for.
const MAX_BLOCK_BYTES: usize = 16 << 20;

/// One message as it goes over the wire.
#[derive(Clone, Debug)]
pub(super) struct Image {
    pub(super) bytes: Vec<u8>,
    /// Where the label stands.
    pub(super) label_at: usize,
    /// Where the queue's name stands.
    pub(super) queue_at: usize,
}

/// Images of one message, back to back.
#[derive(Debug)]
pub(super) struct Template {
    block: Vec<u8>,
    image: Image,
    /// The queues in turn; their names are of one length.
    queues: Vec<String>,
    images: usize,
}

impl Template {
    /// Makes the block. `flush` is how many messages it holds; 0: as many as fit [`BLOCK_BYTES`].
    pub(super) fn new(image: Image, queues: &[&str], flush: usize) -> Self {
        let stride = image.bytes.len().max(1);
        let fit = |bytes: usize| (bytes / stride).max(1);
        let images = match flush {
            0 => fit(BLOCK_BYTES),
            asked => asked.min(fit(MAX_BLOCK_BYTES)),
        };
        Self {
            block: image.bytes.repeat(images),
            image,
            queues: queues.iter().map(|queue| (*queue).to_owned()).collect(),
            images,
        }
    }

    /// Most messages that one write takes.
    pub(super) fn images(&self) -> usize {
        self.images
    }

    /// The block.
    pub(super) fn block(&self) -> &[u8] {
        &self.block
    }

    /// Labels the first `count` images, the first of which is message `first`; which bytes they are.
    pub(super) fn fill(
        &mut self,
        first: u64,
        count: u64,
        label: impl Fn(u64) -> [u8; LABEL_BYTES],
    ) -> Range<usize> {
        let stride = self.image.bytes.len();
        let mut filled = 0;
        for (sequence, image) in (first..first + count).zip(self.block.chunks_exact_mut(stride)) {
            put(image, self.image.label_at, &label(sequence));
            if self.queues.len() > 1 {
                let turn = turn(sequence, self.queues.len());
                if let Some(queue) = self.queues.get(turn) {
                    put(image, self.image.queue_at, queue.as_bytes());
                }
            }
            filled += stride;
        }
        0..filled
    }
}

/// Which of a producer's queues a message goes to.
pub(super) fn turn(sequence: u64, queues: usize) -> usize {
    let queues = u64::try_from(queues).unwrap_or(u64::MAX).max(1);
    usize::try_from(sequence % queues).unwrap_or(0)
}

fn put(image: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(place) = image.get_mut(at..at + bytes.len()) {
        place.copy_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(size: usize) -> Image {
        Image {
            bytes: [&b"q-0 "[..], &vec![b'.'; size]].concat(),
            label_at: 4,
            queue_at: 0,
        }
    }

    fn label(sequence: u64) -> [u8; LABEL_BYTES] {
        (u128::from(sequence) + 7).to_be_bytes()
    }

    #[test]
    fn every_image_has_its_own_label_and_queue() {
        let mut template = Template::new(image(20), &["q-0", "q-1", "q-2"], 0);
        template.fill(0, 50, label);
        let range = template.fill(4, 5, label);
        let block = &template.block()[range];
        assert_eq!(block.len(), 5 * 24);
        for (sequence, image) in (4..).zip(block.chunks(24)) {
            assert_eq!(image[..4], *format!("q-{} ", sequence % 3).as_bytes());
            assert_eq!(image[4..20], label(sequence));
            assert_eq!(image[20..], *b"....");
        }
    }

    #[test]
    fn a_block_holds_what_is_asked_for() {
        let images = |size, flush| Template::new(image(size), &["q-0"], flush).images();
        assert_eq!(images(1020, 0), 64);
        assert_eq!(images(1020, 1), 1);
        assert_eq!(images(16, 5000), 5000, "more than a block, when asked");
        assert_eq!(images(100_000, 0), 1, "a body larger than a block");
        assert_eq!(images(1 << 20, 5000), 15, "not without end");
    }
}
