//! Field tables and the property blocks around them.

#![no_main]

use libfuzzer_sys::fuzz_target;
use viaduct::protocols::amqp091::codec::FieldTable;
use viaduct::protocols::amqp091::codec::FieldValue;
use viaduct::protocols::amqp091::codec::Properties;
use viaduct::protocols::amqp091::codec::properties::Rewrite;

fuzz_target!(|input: &[u8]| {
    if let Ok(table) = FieldTable::decode(input) {
        let once = table.to_bytes().expect("what was read can be written");
        assert_eq!(once.len(), input.len());
        let twice = FieldTable::decode(&once).and_then(|table| table.to_bytes());
        assert_eq!(twice, Ok(once));
    }
    let _ = Properties::of_validated(input).fields();
    if let Ok(properties) = Properties::parse(input) {
        let same = Rewrite::default().apply(properties);
        assert_eq!(same.as_deref(), Ok(input));
        let changed = Rewrite {
            set_headers: &[(b"x-death", FieldValue::Bool(true))],
            remove_headers: &[b"CC"],
            remove_expiration: true,
        }
        .apply(properties);
        if let Ok(changed) = changed {
            let changed = Properties::parse(&changed).expect("we wrote it");
            assert!(!changed.has_expiration());
            assert!(
                changed
                    .headers()
                    .is_some_and(|table| table.get(b"x-death").is_some())
            );
        }
    }
});
