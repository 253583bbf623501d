//! Each model by its name, so that one that fails is told apart. What they say stands with them.

use viaduct_interleavings::bench;
use viaduct_interleavings::core;
use viaduct_interleavings::store;

macro_rules! models {
    ($($room:path { $($model:ident)+ })+) => {$($(
        #[test]
        fn $model() {
            use $room as room;
            room::$model();
        }
    )+)+};
}

models! {
    core::models::alarms {
        who_watches_learns_of_an_alarm_and_of_its_end
        who_sleeps_is_woken_by_an_alarm
        memory_and_disk_do_not_disturb_each_other
        the_memory_alarm_ends_as_the_budget_says
    }
    core::models::generation {
        a_route_from_before_a_change_is_not_used_after_its_answer
    }
    core::models::inbox {
        no_event_is_slept_over
        a_notice_that_comes_after_one_was_taken_is_another
    }
    core::models::tight {
        a_note_is_answered_or_stays
    }
    store::models::handles {
        an_upload_that_is_settled_at_once_goes_once
        the_last_of_several_removes_a_body
    }
    store::models::watermark {
        who_waits_is_called_once_and_not_too_early
        who_waits_for_what_fails_is_told
        what_is_covered_is_on_disk_for_whoever_looks
    }
    store::models::work {
        what_was_asked_for_is_done_before_the_end
        nobodys_work_is_slept_over
        what_waited_for_the_watermark_is_done_once
    }
    store::models::embedded::bell {
        a_ring_is_not_slept_over
        the_end_is_not_slept_over
    }
    store::models::embedded::rest {
        work_is_not_slept_over
        what_presses_ends_a_doze
    }
    store::models::embedded::filled {
        zeros_never_land_on_records
        what_is_filled_has_its_blocks
    }
    bench::models {
        freed_room_wakes_who_waits
        no_more_is_let_out_than_the_cap
    }
}
