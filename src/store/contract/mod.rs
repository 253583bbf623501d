//! The contract suite: what every store must do, whatever it is made of.
//!
//! Each test is a function over a [`Bench`]; `contract!` runs all of them for the memory store with one
//! and with 16 shards, and for the embedded log.

pub(crate) mod bench;
mod bodies;
mod elision;
mod order;
pub(crate) mod reading;
mod recover;
mod references;
mod restart;
mod spill;
pub(crate) mod visitors;
mod watermark;

use bench::Bench;

macro_rules! contract {
    ($($module:ident: $($name:ident),+;)+) => {
        mod memory_1_shard {
            $($(
                #[test]
                fn $name() {
                    super::$module::$name(&mut super::Bench::memory(1));
                }
            )+)+
        }

        mod memory_16_shards {
            $($(
                #[test]
                fn $name() {
                    super::$module::$name(&mut super::Bench::memory(16));
                }
            )+)+
        }

        mod embedded {
            $($(
                #[test]
                fn $name() {
                    super::$module::$name(&mut super::Bench::embedded());
                }
            )+)+
        }
    };
}

contract! {
    order:
        records_of_an_append_have_consecutive_numbers,
        what_was_appended_is_replayed_in_order,
        parallel_appends_stay_whole,
        an_append_longer_than_a_frame_is_replayed_whole,
        shards_are_independent;
    watermark:
        a_waiter_is_called_at_once_for_what_is_durable,
        nothing_is_durable_before_it_is,
        after_a_failure_nothing_is_confirmed,
        a_store_that_is_behind_refuses_what_can_wait;
    references:
        a_settled_log_gives_its_room_back,
        one_entry_holds_its_segment,
        a_moved_entry_holds_its_message,
        chunks_live_as_long_as_their_publish,
        dead_entries_release_what_they_held,
        catalog_records_hold_their_segment_until_a_checkpoint,
        any_history_leaves_exactly_what_is_live;
    recover:
        entries_are_told_in_order_with_what_is_known_of_them,
        what_left_its_queue_is_not_told,
        a_moved_entry_is_told_with_its_message,
        leases_and_counters_are_told_as_they_were_logged_last,
        catalog_changes_come_first_and_only_new_ones,
        an_entry_that_nobody_wants_ends;
    bodies:
        a_body_without_a_record_goes_with_its_handle,
        a_body_with_a_record_goes_with_its_last_entry,
        a_body_stays_as_long_as_somebody_reads_it,
        a_restart_keeps_the_bodies_that_records_name,
        a_body_goes_when_its_entry_ends_without_a_record,
        a_body_whose_publish_a_checkpoint_has_is_known_after_a_start,
        a_body_that_nobody_wants_after_a_start_goes;
    elision:
        settled_before_it_is_written_leaves_no_trace,
        every_queue_must_settle_first,
        a_settle_keeps_what_was_not_elided,
        chunks_are_elided_with_their_publish,
        what_something_else_refers_to_is_written,
        a_moved_message_is_written;
    reading:
        messages_are_read_back_as_they_were_published,
        messages_are_read_back_after_a_restart,
        a_body_in_chunks_is_read_back,
        what_is_no_message_is_not_there,
        a_read_waits_for_the_disk,
        a_failed_log_does_not_say_that_a_message_is_gone,
        what_lives_is_read_while_segments_are_recycled;
    spill:
        what_is_put_aside_comes_back,
        what_is_dropped_is_not_there,
        nothing_is_left_aside_after_a_restart;
    restart:
        a_checkpoint_is_loaded_again,
        a_clean_stop_is_told_from_a_crash,
        core_time_does_not_go_back,
        an_incarnation_is_never_repeated;
}
