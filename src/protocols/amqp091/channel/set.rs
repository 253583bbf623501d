//! A set of channels.

/// Numbers of channels, in order. There are few most of the time, and they come and go with every batch: a vector keeps its
/// memory, where a tree would allocate each time.
#[derive(Debug, Default)]
pub(in crate::protocols::amqp091) struct ChannelSet(Vec<u16>);

impl ChannelSet {
    /// Whether there are none.
    pub(in crate::protocols::amqp091) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a channel, if it is not there.
    pub(in crate::protocols::amqp091) fn insert(&mut self, number: u16) {
        if let Err(at) = self.0.binary_search(&number) {
            self.0.insert(at, number);
        }
    }

    /// Takes a channel out, if it is there.
    pub(in crate::protocols::amqp091) fn remove(&mut self, number: u16) {
        if let Ok(at) = self.0.binary_search(&number) {
            self.0.remove(at);
        }
    }

    /// Moves all channels of `other` here.
    pub(in crate::protocols::amqp091) fn append(&mut self, other: &mut Self) {
        for number in other.0.drain(..) {
            self.insert(number);
        }
    }

    /// Keeps those for which `keep` says so, asked in order.
    pub(in crate::protocols::amqp091) fn retain(&mut self, mut keep: impl FnMut(u16) -> bool) {
        self.0.retain(|number| keep(*number));
    }

    /// The channels, in order.
    pub(in crate::protocols::amqp091) fn iter(&self) -> impl Iterator<Item = u16> {
        self.0.iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_channel_is_there_once_and_in_order() {
        let mut set = ChannelSet::default();
        let mut more = ChannelSet::default();
        for number in [7, 3, 7, 65_535] {
            set.insert(number);
        }
        more.insert(5);
        more.insert(3);
        set.append(&mut more);
        assert!(more.is_empty());
        set.remove(7);
        set.remove(8);
        assert_eq!(set.iter().collect::<Vec<_>>(), [3, 5, 65_535]);
        set.retain(|number| number == 5);
        assert_eq!(set.iter().collect::<Vec<_>>(), [5]);
    }
}
