//! Messages that the log does not hold, as bytes. Read by the same process only.
//!
//! ```text
//! message  u8 flags, int id, int format, u8 body kind, u8 priority, int enqueued at,
//!          EXPIRATION: int, DELAY: int, GROUP: bytes,
//!          bytes exchange, routing key, user, client id, head, body
//! ```

use bytes::Bytes;

use crate::core::model::batch::COPY_MAX_BYTES;
use crate::core::model::batch::Draft;
use crate::core::model::batch::DraftBody;
use crate::core::model::message::BodyKind;
use crate::core::model::message::FormatId;
use crate::core::model::message::Message;
use crate::core::model::time::CoreTime;
use crate::core::queue::paging::gather::Gather;
use crate::core::queue::paging::gather::Gathered;
use crate::core::queue::paging::varint::Garbled;
use crate::core::queue::paging::varint::Input;
use crate::core::queue::paging::varint::put;
use crate::core::queue::paging::varint::put_bytes;

const EXPIRATION: u8 = 1;
const DELAY: u8 = 2;
const GROUP: u8 = 4;
const DURABLE: u8 = 8;

/// Appends a message.
pub(in crate::core) fn encode(out: &mut Vec<u8>, message: &Message) {
    let has = |flag: u8, has: bool| if has { flag } else { 0 };
    let group = message.group();
    out.push(
        has(EXPIRATION, message.expiration_ms().is_some())
            | has(DELAY, message.delay_ms().is_some())
            | has(GROUP, !group.is_empty())
            | has(DURABLE, message.is_durable()),
    );
    put(out, message.raw_id());
    put(out, u64::from(message.format().0));
    out.push(message.body_kind().number());
    out.push(message.priority());
    put(out, message.enqueued_at().as_ms());
    for number in message
        .expiration_ms()
        .into_iter()
        .chain(message.delay_ms())
    {
        put(out, number);
    }
    if !group.is_empty() {
        put_bytes(out, group);
    }
    put_bytes(out, message.exchange().as_bytes());
    put_bytes(out, message.routing_key());
    put_bytes(out, message.producer().user.as_bytes());
    put_bytes(out, message.producer().client_id.as_bytes());
    put_bytes(out, message.head());
    put(out, message.body_len() as u64);
    for part in message.body() {
        out.extend_from_slice(part);
    }
}

/// Reads every message of a blob, in order.
///
/// # Errors
/// [`Garbled`].
pub(in crate::core) fn decode(bytes: &Bytes, gather: &mut Gather<usize>) -> Result<(), Garbled> {
    let mut input = Input(bytes);
    let mut number = 0;
    while !input.is_empty() {
        decode_one(&mut input, bytes, number, gather)?;
        number += 1;
    }
    Ok(())
}

fn decode_one(
    input: &mut Input<'_>,
    all: &Bytes,
    number: usize,
    gather: &mut Gather<usize>,
) -> Result<(), Garbled> {
    let flags = input.byte()?;
    let id = input.int()?;
    let format = FormatId(input.small()?);
    let body_kind = BodyKind::from_number(input.byte()?);
    let priority = input.byte()?;
    let enqueued_at = CoreTime::from_ms(input.int()?);
    let expiration_ms = if flags & EXPIRATION != 0 {
        Some(input.int()?)
    } else {
        None
    };
    let delay_ms = if flags & DELAY != 0 {
        Some(input.int()?)
    } else {
        None
    };
    let group = if flags & GROUP != 0 {
        Some(input.bytes()?)
    } else {
        None
    };
    let exchange = input.text()?;
    let routing_key = input.bytes()?;
    let (user, client_id) = (input.text()?, input.text()?);
    let head = input.bytes()?;
    let body = match input.bytes()? {
        short if short.len() <= COPY_MAX_BYTES => DraftBody::Copied(short),
        long => DraftBody::Shared(vec![all.slice_ref(long)]),
    };
    let draft = Draft {
        format,
        head,
        exchange,
        routing_key,
        body_kind,
        body,
        durable: flags & DURABLE != 0,
        priority,
        expiration_ms,
        delay_ms,
        group,
    };
    gather.push(
        draft,
        Gathered {
            enqueued_at,
            user,
            client_id,
            id,
        },
        number,
    );
    Ok(())
}
