//! Alarms: whoever watches learns of each, and none is lost or left behind.

use std::sync::Arc;

use loom::future::block_on;
use loom::thread;

use crate::core::alarms::AlarmState;
use crate::core::budget::Budget;
use crate::core::inbox::Event;
use crate::core::inbox::Inbox;

/// A session that begins to watch and then looks either sees an alarm that is raised meanwhile, or hears of it; and so
/// for its end.
pub fn who_watches_learns_of_an_alarm_and_of_its_end() {
    loom::model(|| {
        let alarms = Arc::new(AlarmState::default());
        let inbox = Inbox::new();
        let disk = {
            let alarms = Arc::clone(&alarms);
            thread::spawn(move || {
                assert!(alarms.set_disk(true));
                assert!(alarms.set_disk(false));
            })
        };
        alarms.watch(&inbox);
        let mut is_raised = alarms.get().disk();
        // It may begin to watch when all is over, but it never takes an end for none.
        let has_ended = disk.join();
        has_ended.expect("raises and clears");
        while is_raised {
            assert_eq!(block_on(inbox.next()), Event::AlarmsChanged);
            is_raised = alarms.get().disk();
        }
    });
}

/// A session that was there before is woken.
pub fn who_sleeps_is_woken_by_an_alarm() {
    loom::model(|| {
        let alarms = Arc::new(AlarmState::default());
        let inbox = Inbox::new();
        let disk = {
            let alarms = Arc::clone(&alarms);
            thread::spawn(move || alarms.set_disk(true))
        };
        alarms.watch(&inbox);
        while !alarms.get().disk() {
            assert_eq!(block_on(inbox.next()), Event::AlarmsChanged);
        }
        assert!(disk.join().expect("raises"));
    });
}

/// One alarm does not undo the other.
pub fn memory_and_disk_do_not_disturb_each_other() {
    loom::model(|| {
        let alarms = Arc::new(AlarmState::default());
        let budget = Budget::new(100);
        let charge = budget.charge(100);
        assert!(alarms.follow(&budget, |_| {}));
        let disk = {
            let alarms = Arc::clone(&alarms);
            thread::spawn(move || alarms.set_disk(true))
        };
        drop(charge);
        assert!(alarms.follow(&budget, |_| {}));
        assert!(disk.join().expect("raises"));
        assert!(alarms.get().disk(), "the memory's end took it along");
        assert!(!alarms.get().memory(), "the disk's begin brought it back");
    });
}

/// One takes memory while another gives some back, each looks after itself: the alarm is in the end what the budget says,
/// and no third has to look.
pub fn the_memory_alarm_ends_as_the_budget_says() {
    for (before, ends_raised) in [(60, false), (120, true)] {
        loom::model(move || {
            let alarms = Arc::new(AlarmState::default());
            let budget = Budget::new(100);
            let first = budget.charge(60);
            let rest = budget.charge(before - 60);
            alarms.follow(&budget, |_| {});
            let giver = {
                let (alarms, budget) = (Arc::clone(&alarms), Arc::clone(&budget));
                thread::spawn(move || {
                    drop(first);
                    alarms.follow(&budget, |_| {});
                })
            };
            let second = budget.charge(60);
            alarms.follow(&budget, |_| {});
            giver.join().expect("gives back");
            assert_eq!(budget.used(), before);
            assert_eq!(alarms.get().memory(), ends_raised);
            drop((second, rest));
            assert_eq!(budget.used(), 0);
        });
    }
}
