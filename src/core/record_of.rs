//! Messages as records, and back.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;

use crate::core::body::BodyFile;
use crate::core::log::bodies::Bodies;
use crate::core::log::record::BodyFields;
use crate::core::log::record::CHUNK_MAX_BYTES;
use crate::core::log::record::MessageFields;
use crate::core::model::batch::COPY_MAX_BYTES;
use crate::core::model::batch::Draft;
use crate::core::model::batch::DraftBody;
use crate::core::model::ids::Lsn;
use crate::core::model::message::BodyKind;
use crate::core::model::message::FormatId;
use crate::core::model::message::Message;
use crate::core::queue::paging::gather::Gathered;

/// The records that a body longer than one takes.
pub(in crate::core) fn body_chunks(message: &Message) -> impl Iterator<Item = &[u8]> {
    let long = message.body_len() > CHUNK_MAX_BYTES;
    message
        .body()
        .filter(move |_| long)
        .flat_map(|part| part.chunks(CHUNK_MAX_BYTES))
}

/// How many records that is: 0 for a body that stands in its publish.
pub(in crate::core) fn chunks_of(message: &Message) -> u32 {
    if message.body_len() <= CHUNK_MAX_BYTES || message.body_file().is_some() {
        return 0;
    }
    u32::try_from(body_chunks(message).count()).unwrap_or(u32::MAX)
}

/// The message as its publish record has it; `parts` are those of a body that stands in the record.
pub(in crate::core) fn message_fields<'a>(
    message: &'a Message,
    parts: &'a [&'a [u8]],
) -> MessageFields<'a> {
    let body = match (message.body_file(), chunks_of(message)) {
        (Some(file), _) => BodyFields::File {
            id: file.id(),
            bytes: file.bytes(),
        },
        (None, 0) => BodyFields::Inline(Cow::Borrowed(parts)),
        (None, chunks) => BodyFields::Chunks {
            chunks,
            bytes: message.body_len() as u64,
        },
    };
    MessageFields {
        format: message.format().0,
        body_kind: message.body_kind().number(),
        priority: message.priority(),
        enqueued_at: message.enqueued_at(),
        expiration_ms: message.expiration_ms(),
        delay_ms: message.delay_ms(),
        group: (!message.group().is_empty()).then(|| message.group()),
        group_sequence: None,
        dedup_key: None,
        exchange: message.exchange().as_bytes(),
        routing_key: message.routing_key(),
        user: &message.producer().user,
        client_id: &message.producer().client_id,
        head: message.head(),
        body,
    }
}

/// The draft of a message again, and what a batch knows of it; `chunks` are the chunk records before its
/// publish. None: it cannot be read.
pub(in crate::core) fn draft_of<'a>(
    fields: &'a MessageFields<'_>,
    lsn: Lsn,
    chunks: Vec<Bytes>,
    bodies: &Arc<dyn Bodies>,
) -> Option<(Draft<'a>, Gathered<'a>)> {
    let draft = Draft {
        format: FormatId(fields.format),
        head: fields.head,
        exchange: std::str::from_utf8(fields.exchange).ok()?,
        routing_key: fields.routing_key,
        body_kind: BodyKind::from_number(fields.body_kind),
        body: body_of(&fields.body, chunks, bodies)?,
        durable: true,
        priority: fields.priority,
        expiration_ms: fields.expiration_ms,
        delay_ms: fields.delay_ms,
        group: fields.group,
    };
    let gathered = Gathered {
        enqueued_at: fields.enqueued_at,
        user: fields.user,
        client_id: fields.client_id,
        id: lsn.get(),
    };
    Some((draft, gathered))
}

fn body_of<'a>(
    body: &'a BodyFields<'_>,
    chunks: Vec<Bytes>,
    bodies: &Arc<dyn Bodies>,
) -> Option<DraftBody<'a>> {
    match body {
        BodyFields::Inline(parts) => match &**parts {
            [one] if one.len() <= COPY_MAX_BYTES => Some(DraftBody::Copied(one)),
            many => Some(DraftBody::Shared(vec![many.concat().into()])),
        },
        BodyFields::Chunks { bytes, .. } => {
            let found: u64 = chunks.iter().map(|chunk| chunk.len() as u64).sum();
            (found == *bytes).then_some(DraftBody::Shared(chunks))
        }
        BodyFields::File { id, bytes } => {
            Some(DraftBody::File(BodyFile::open(bodies, *id, *bytes)))
        }
    }
}
