//! Heartbeats (0-9-1 §4.2.7): sent after half an interval of silence, missed after two.
//!
//! The deadline is looked at when it comes and not moved by every frame, so that traffic sets no timer.

use crate::core::model::time::CoreTime;

/// What a deadline asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beat {
    /// Nothing is due.
    Nothing,
    /// The peer has not heard from us for half an interval.
    Send,
    /// Nothing came for two intervals.
    Lost,
}

/// The silence on both ways of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heartbeat {
    /// 0: no heartbeats.
    interval_ms: u64,
    heard: CoreTime,
    sent: CoreTime,
    due: CoreTime,
}

impl Heartbeat {
    /// Starts with an interval in seconds.
    pub(super) fn new(seconds: u16, now: CoreTime) -> Self {
        let interval_ms = u64::from(seconds) * 1000;
        Self {
            interval_ms,
            heard: now,
            sent: now,
            due: now + interval_ms / 2,
        }
    }

    /// Something came.
    pub(super) fn heard(&mut self, now: CoreTime) {
        self.heard = now;
    }

    /// Something went out.
    pub(super) fn sent(&mut self, now: CoreTime) {
        self.sent = now;
    }

    /// When to look again.
    pub(super) fn deadline(&self) -> Option<CoreTime> {
        (self.interval_ms != 0).then_some(self.due)
    }

    /// Looks. A peer that is `held` is not read from, so it cannot be missed.
    pub(super) fn look(&mut self, now: CoreTime, held: bool) -> Beat {
        if self.interval_ms == 0 || now < self.due {
            return Beat::Nothing;
        }
        if held {
            self.heard = now;
        }
        let (half, two) = (self.interval_ms / 2, self.interval_ms * 2);
        if now.since(self.heard) >= two {
            return Beat::Lost;
        }
        let send = now.since(self.sent) >= half;
        if send {
            self.sent = now;
        }
        let next = (self.sent + half).min(self.heard + two);
        self.due = next.max(now + 1);
        if send { Beat::Send } else { Beat::Nothing }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(ms: u64) -> CoreTime {
        CoreTime::from_ms(ms)
    }

    #[test]
    fn amqp_4_2_7_silence_is_broken_after_half_an_interval() {
        let mut heart = Heartbeat::new(10, at(0));
        assert_eq!(heart.deadline(), Some(at(5000)));
        heart.sent(at(3000));
        assert_eq!(heart.look(at(5000), false), Beat::Nothing);
        assert_eq!(heart.deadline(), Some(at(8000)));
        assert_eq!(heart.look(at(8000), false), Beat::Send);
        assert_eq!(heart.deadline(), Some(at(13_000)));
    }

    #[test]
    fn amqp_4_2_7_a_peer_is_lost_after_two_intervals() {
        let mut heart = Heartbeat::new(1, at(0));
        for ms in [500, 1000, 1500] {
            assert_eq!(heart.look(at(ms), false), Beat::Send);
        }
        assert_eq!(heart.look(at(2000), false), Beat::Lost);
        let mut held = Heartbeat::new(1, at(0));
        assert_eq!(
            held.look(at(2000), true),
            Beat::Send,
            "it was not read from"
        );
    }

    #[test]
    fn no_heartbeat_was_agreed() {
        let mut heart = Heartbeat::new(0, at(0));
        assert_eq!(heart.deadline(), None);
        assert_eq!(heart.look(at(1_000_000), false), Beat::Nothing);
    }
}
