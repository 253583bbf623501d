//! The calls' inputs and outputs, in AWS JSON 1.0.
//!
//! Inputs are written by hand: a batch is one buffer, and nothing in it but queue URLs and receipt handles could need
//! an escape. Outputs borrow from the answer.

use std::borrow::Cow;

use anyhow::Context;
use anyhow::bail;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;

use crate::cli::bench::label::LABEL_BYTES;

use super::LABEL_DIGITS;
use super::client::Client;

/// Most messages of a call.
pub(super) const MAX_BATCH: u64 = 10;
/// How long a ReceiveMessage waits. A stand-in that doesn't notice that its client has gone waits on without it, so
/// it is short.
const WAIT_SECONDS: u64 = 1;

/// Makes a queue and returns its URL.
pub(super) async fn create_queue(client: &mut Client, name: &str) -> anyhow::Result<String> {
    #[derive(Deserialize)]
    struct Output {
        #[serde(rename = "QueueUrl")]
        url: String,
    }
    let input = json!({"QueueName": name}).to_string().into_bytes();
    let answer = client.call("CreateQueue", input).await?;
    let output: Output = serde_json::from_slice(&answer).context("CreateQueue")?;
    Ok(output.url)
}

/// Deletes a queue.
pub(super) async fn delete_queue(client: &mut Client, url: &str) -> anyhow::Result<()> {
    let input = json!({"QueueUrl": url}).to_string().into_bytes();
    client.call("DeleteQueue", input).await.map(drop)
}

/// Which entries of a batch were taken, and which were not.
#[derive(Debug, Deserialize)]
pub(super) struct Entries<'a> {
    #[serde(rename = "Successful", default, borrow)]
    pub(super) successful: Vec<Entry<'a>>,
    #[serde(rename = "Failed", default, borrow)]
    pub(super) failed: Vec<Entry<'a>>,
}

/// An entry's id: its place in the batch.
#[derive(Debug, Deserialize)]
pub(super) struct Entry<'a> {
    #[serde(rename = "Id", borrow)]
    id: Cow<'a, str>,
}

impl Entry<'_> {
    /// Place of the entry in a batch of `count`.
    ///
    /// # Errors
    /// No entry had this id.
    pub(super) fn place(&self, count: u64) -> anyhow::Result<u64> {
        let place = self.id.parse().ok().filter(|place| *place < count);
        place.with_context(|| format!("an answer for entry {:?}, which was not sent", self.id))
    }
}

/// Reads the answer to SendMessageBatch or DeleteMessageBatch.
pub(super) fn entries(answer: &Bytes) -> anyhow::Result<Entries<'_>> {
    serde_json::from_slice(answer).context("the answer to a batch")
}

/// Writes the inputs of SendMessageBatch for one queue and size of body.
#[derive(Debug)]
pub(super) struct SendInput {
    head: Vec<u8>,
    padding: Vec<u8>,
}

impl SendInput {
    /// For bodies of `size` bytes, the label's digits among them.
    pub(super) fn new(url: &str, size: usize) -> Self {
        Self {
            head: head(url),
            padding: vec![b'x'; size.saturating_sub(LABEL_DIGITS)],
        }
    }

    /// The input for messages with these labels.
    pub(super) fn write(&self, labels: impl Iterator<Item = [u8; LABEL_BYTES]>) -> Vec<u8> {
        let entry = LABEL_DIGITS + self.padding.len() + 40;
        let mut input = Vec::with_capacity(self.head.len() + labels.size_hint().0 * entry + 2);
        input.extend_from_slice(&self.head);
        for (place, label) in labels.enumerate() {
            begin_entry(&mut input, place);
            input.extend_from_slice(b"\"MessageBody\":\"");
            input.extend_from_slice(&digits(label));
            input.extend_from_slice(&self.padding);
            input.extend_from_slice(b"\"}");
        }
        input.extend_from_slice(b"]}");
        input
    }
}

/// The input of ReceiveMessage.
pub(super) fn receive_input(url: &str) -> Vec<u8> {
    let input = json!({
        "QueueUrl": url,
        "MaxNumberOfMessages": MAX_BATCH,
        "WaitTimeSeconds": WAIT_SECONDS,
        "MessageSystemAttributeNames": ["ApproximateReceiveCount"],
    });
    input.to_string().into_bytes()
}

/// The input of DeleteMessageBatch.
pub(super) fn delete_input(url: &str, messages: &[Message<'_>]) -> anyhow::Result<Vec<u8>> {
    let mut input = head(url);
    for (place, message) in messages.iter().enumerate() {
        begin_entry(&mut input, place);
        input.extend_from_slice(b"\"ReceiptHandle\":");
        serde_json::to_writer(&mut input, &message.receipt_handle)?;
        input.push(b'}');
    }
    input.extend_from_slice(b"]}");
    Ok(input)
}

fn head(url: &str) -> Vec<u8> {
    format!("{{\"QueueUrl\":{},\"Entries\":[", json!(url)).into_bytes()
}

fn begin_entry(input: &mut Vec<u8>, place: usize) {
    if place > 0 {
        input.push(b',');
    }
    input.extend_from_slice(format!("{{\"Id\":\"{place}\",").as_bytes());
}

/// Messages of a ReceiveMessage.
#[derive(Debug, Deserialize)]
pub(super) struct Messages<'a> {
    #[serde(rename = "Messages", default, borrow)]
    pub(super) messages: Vec<Message<'a>>,
}

/// A message that was received.
#[derive(Debug, Deserialize)]
pub(super) struct Message<'a> {
    #[serde(rename = "ReceiptHandle", borrow)]
    receipt_handle: Cow<'a, str>,
    #[serde(rename = "Body", borrow)]
    body: Cow<'a, str>,
    #[serde(rename = "Attributes", default, borrow)]
    attributes: Attributes<'a>,
}

#[derive(Debug, Default, Deserialize)]
struct Attributes<'a> {
    #[serde(rename = "ApproximateReceiveCount", borrow)]
    receive_count: Option<Cow<'a, str>>,
}

impl Message<'_> {
    /// The label in its body.
    ///
    /// # Errors
    /// It does not begin with one.
    pub(super) fn label(&self) -> anyhow::Result<[u8; LABEL_BYTES]> {
        match self.body.as_bytes().first_chunk().and_then(of_digits) {
            Some(label) => Ok(label),
            None => bail!(crate::cli::bench::receiving::foreign()),
        }
    }

    /// Whether it was received before, as the broker says.
    pub(super) fn is_redelivered(&self) -> bool {
        self.attributes
            .receive_count
            .as_deref()
            .is_some_and(|count| count != "1")
    }
}

/// Reads the answer to ReceiveMessage.
pub(super) fn messages(answer: &Bytes) -> anyhow::Result<Vec<Message<'_>>> {
    let output: Messages<'_> = serde_json::from_slice(answer).context("ReceiveMessage")?;
    Ok(output.messages)
}

fn digits(label: [u8; LABEL_BYTES]) -> [u8; LABEL_DIGITS] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |value: u8| DIGITS.get(usize::from(value)).copied().unwrap_or(b'?');
    let mut text = [0; LABEL_DIGITS];
    for (two, byte) in text.chunks_exact_mut(2).zip(label) {
        two.copy_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
    }
    text
}

fn of_digits(text: &[u8; LABEL_DIGITS]) -> Option<[u8; LABEL_BYTES]> {
    let digit = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    let mut label = [0; LABEL_BYTES];
    for (byte, two) in label.iter_mut().zip(text.chunks_exact(2)) {
        let [high, low] = two else { return None };
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(label)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    const URL: &str = "http://localhost:4566/000000000000/a\"b";

    #[test]
    fn a_batch_is_json_with_a_label_in_each_body() {
        let labels = [[0xab; LABEL_BYTES], [0x01; LABEL_BYTES]];
        let input = SendInput::new(URL, 50).write(labels.into_iter());
        let input: Value = serde_json::from_slice(&input).unwrap();
        assert_eq!(input["QueueUrl"], URL);
        let entries = input["Entries"].as_array().unwrap();
        assert_eq!(entries.len(), 2);
        assert_eq!(
            (&entries[0]["Id"], &entries[1]["Id"]),
            (&json!("0"), &json!("1"))
        );
        for (entry, label) in entries.iter().zip(labels) {
            let body = entry["MessageBody"].as_str().unwrap();
            assert_eq!(body.len(), 50);
            let digits = body.as_bytes().first_chunk().unwrap();
            assert_eq!(of_digits(digits), Some(label));
        }
    }

    #[test]
    fn messages_are_read_and_deleted_by_their_handles() {
        let body = format!("{}xxx", "0f".repeat(LABEL_BYTES));
        let answer = json!({"Messages": [
            {"MessageId": "1", "ReceiptHandle": "h\"1", "Body": body, "Attributes": {"ApproximateReceiveCount": "1"}},
            {"MessageId": "2", "ReceiptHandle": "h2", "Body": "hello", "Attributes": {"ApproximateReceiveCount": "2"}},
        ]});
        let answer = Bytes::from(answer.to_string());
        let messages = messages(&answer).unwrap();
        assert_eq!(messages[0].label().unwrap(), [0x0f; LABEL_BYTES]);
        assert!(messages[1].label().is_err(), "a stranger's");
        assert!(!messages[0].is_redelivered() && messages[1].is_redelivered());
        let input = delete_input(URL, &messages).unwrap();
        let input: Value = serde_json::from_slice(&input).unwrap();
        let expected =
            json!([{"Id": "0", "ReceiptHandle": "h\"1"}, {"Id": "1", "ReceiptHandle": "h2"}]);
        assert_eq!(input["Entries"], expected);
    }

    #[test]
    fn an_empty_answer_has_no_messages() {
        assert!(messages(&Bytes::from_static(b"{}")).unwrap().is_empty());
    }

    #[test]
    fn an_entry_is_one_of_those_that_were_sent() {
        let answer = Bytes::from_static(
            br#"{"Successful":[{"Id":"1","MessageId":"m"}],"Failed":[{"Id":"7","Code":"c"}]}"#,
        );
        let entries = entries(&answer).unwrap();
        assert_eq!(entries.successful[0].place(2).unwrap(), 1);
        assert!(entries.failed[0].place(7).is_err());
        assert_eq!(entries.failed[0].place(8).unwrap(), 7);
    }
}
