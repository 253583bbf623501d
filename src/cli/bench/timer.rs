//! A timer that is precise to microseconds.
//!
//! The runtime's own timers have a granularity of one millisecond: at 2,000 messages a second they
//! would send two at a time and put half a millisecond into every median. A `timerfd` in the
//! runtime's epoll wakes at the instant, in the same thread.

#[cfg(target_os = "linux")]
mod precise {
    use std::os::fd::OwnedFd;
    use std::task::Context;
    use std::task::Poll;
    use std::task::ready;

    use rustix::time::Itimerspec;
    use rustix::time::TimerfdClockId;
    use rustix::time::TimerfdFlags;
    use rustix::time::TimerfdTimerFlags;
    use rustix::time::Timespec;
    use rustix::time::timerfd_create;
    use rustix::time::timerfd_settime;
    use tokio::io::unix::AsyncFd;

    use crate::cli::bench::clock::Clock;

    /// Wakes one task at one time.
    #[derive(Debug)]
    pub(in crate::cli::bench) struct Timer {
        fd: AsyncFd<OwnedFd>,
        armed_for: Option<u64>,
    }

    impl Timer {
        /// A timer that is not set. Must be made inside a runtime.
        #[expect(
            deprecated,
            reason = "the replacement is unsafe for descriptors that may be closed by somebody else; an `OwnedFd` is not"
        )]
        pub(in crate::cli::bench) fn new() -> std::io::Result<Self> {
            let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
            let fd = timerfd_create(TimerfdClockId::Monotonic, flags)?;
            Ok(Self {
                fd: AsyncFd::new(fd)?,
                armed_for: None,
            })
        }

        /// Ready when it was woken for `at`, which may be early: the caller looks at the clock.
        pub(in crate::cli::bench) fn poll_at(
            &mut self,
            at: u64,
            clock: Clock,
            cx: &mut Context<'_>,
        ) -> Poll<()> {
            if self.armed_for != Some(at) {
                // A value of zero would disarm it.
                let ahead = at.saturating_sub(clock.now()).max(1);
                let setting = Itimerspec {
                    it_interval: Timespec {
                        tv_sec: 0,
                        tv_nsec: 0,
                    },
                    it_value: Timespec {
                        tv_sec: i64::try_from(ahead / 1_000_000_000).unwrap_or(i64::MAX),
                        tv_nsec: (ahead % 1_000_000_000).cast_signed(),
                    },
                };
                if timerfd_settime(&self.fd, TimerfdTimerFlags::empty(), &setting).is_err() {
                    return Poll::Ready(());
                }
                self.armed_for = Some(at);
            }
            let guard = ready!(self.fd.poll_read_ready(cx));
            if let Ok(mut guard) = guard {
                guard.clear_ready();
            }
            self.armed_for = None;
            Poll::Ready(())
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod precise {
    use std::pin::Pin;
    use std::task::Context;
    use std::task::Poll;

    use tokio::time::Sleep;

    use crate::cli::bench::clock::Clock;

    /// Wakes one task at one time, to the millisecond: there is no better one everywhere.
    #[derive(Debug)]
    pub(in crate::cli::bench) struct Timer(Pin<Box<Sleep>>);

    impl Timer {
        /// A timer that is not set. Must be made inside a runtime.
        pub(in crate::cli::bench) fn new() -> std::io::Result<Self> {
            Ok(Self(Box::pin(tokio::time::sleep(
                std::time::Duration::ZERO,
            ))))
        }

        /// Ready when it was woken for `at`.
        pub(in crate::cli::bench) fn poll_at(
            &mut self,
            at: u64,
            clock: Clock,
            cx: &mut Context<'_>,
        ) -> Poll<()> {
            self.0.as_mut().reset(clock.instant(at).into());
            self.0.as_mut().poll(cx)
        }
    }
}

pub(super) use precise::Timer;
