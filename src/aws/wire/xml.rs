//! XML answers and errors of the Query wire.
//!
//! ```text
//! <OpResponse xmlns=…><OpResult>…</OpResult><ResponseMetadata><RequestId>…</RequestId></ResponseMetadata></OpResponse>
//! <ErrorResponse xmlns=…><Error><Type/><Code/><Message/><Detail/></Error><RequestId>…</RequestId></ErrorResponse>
//! ```

use quick_xml::escape::partial_escape;
use serde_json::Value;

use super::error::AwsError;
use super::shape::Member;
use super::shape::Operation;
use super::shape::Shape;

const DECLARATION: &str = "<?xml version=\"1.0\"?>";

/// Prints an operation's answer.
#[must_use]
pub fn answer(operation: &Operation, namespace: &str, output: &Value, request_id: &str) -> Vec<u8> {
    let name = operation.name;
    let mut xml = format!("{DECLARATION}<{name}Response xmlns=\"{namespace}\">");
    if let Some(members) = operation.output {
        open(&mut xml, name, "Result");
        structure(&mut xml, members, output);
        close(&mut xml, name, "Result");
    }
    xml.push_str("<ResponseMetadata>");
    element(&mut xml, "RequestId", request_id);
    xml.push_str("</ResponseMetadata>");
    close(&mut xml, name, "Response");
    xml.into_bytes()
}

/// Prints an error.
#[must_use]
pub fn error(error: &AwsError, namespace: &str, request_id: &str) -> Vec<u8> {
    let message = error.query_message.unwrap_or(&error.message);
    let mut xml = format!("{DECLARATION}<ErrorResponse xmlns=\"{namespace}\"><Error>");
    element(&mut xml, "Type", error.kind.fault());
    element(&mut xml, "Code", error.kind.code);
    element(&mut xml, "Message", message);
    xml.push_str("<Detail/></Error>");
    element(&mut xml, "RequestId", request_id);
    xml.push_str("</ErrorResponse>");
    xml.into_bytes()
}

fn structure(xml: &mut String, members: &[Member], value: &Value) {
    for member in members {
        if let Some(value) = value.get(member.name) {
            print(xml, member.query, member.shape, value);
        }
    }
}

fn print(xml: &mut String, name: &str, shape: &Shape, value: &Value) {
    match (shape, value) {
        (Shape::List(item), Value::Array(items)) => {
            for value in items {
                print(xml, name, item, value);
            }
        }
        (Shape::Map { key, value: shape }, Value::Object(entries)) => {
            for (entry, value) in entries {
                open(xml, name, "");
                element(xml, key, entry);
                print(xml, "Value", shape, value);
                close(xml, name, "");
            }
        }
        (Shape::Structure(members), value) => {
            open(xml, name, "");
            structure(xml, members, value);
            close(xml, name, "");
        }
        (_, Value::String(text)) => element(xml, name, text),
        (_, Value::Null) => {}
        (_, value) => element(xml, name, &value.to_string()),
    }
}

fn element(xml: &mut String, name: &str, text: &str) {
    open(xml, name, "");
    // `partial_escape` also writes CR as a reference: a parser turns a bare one into LF (XML 1.0 §2.11).
    xml.push_str(&partial_escape(text));
    close(xml, name, "");
}

fn open(xml: &mut String, name: &str, suffix: &str) {
    xml.push('<');
    xml.push_str(name);
    xml.push_str(suffix);
    xml.push('>');
}

fn close(xml: &mut String, name: &str, suffix: &str) {
    xml.push_str("</");
    xml.push_str(name);
    xml.push_str(suffix);
    xml.push('>');
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::error;
    use super::*;

    static TAGS: Shape = Shape::Map {
        key: "Key",
        value: &Shape::Text,
    };
    static URLS: Shape = Shape::List(&Shape::Text);
    static LIST: Operation = Operation {
        name: "ListThings",
        input: &[],
        output: Some(&[
            Member::named("QueueUrls", "QueueUrl", &URLS),
            Member::named("Tags", "Tag", &TAGS),
            Member::plain("Count", &Shape::Integer),
        ]),
    };
    static DELETE: Operation = Operation {
        name: "Delete",
        input: &[],
        output: None,
    };

    #[test]
    fn lists_and_maps_are_flat() {
        let output = json!({"QueueUrls": ["a", "b"], "Tags": {"k": "v"}, "Count": 3});
        assert_eq!(
            String::from_utf8(answer(&LIST, "urn:x", &output, "id")).unwrap(),
            "<?xml version=\"1.0\"?><ListThingsResponse xmlns=\"urn:x\"><ListThingsResult>\
             <QueueUrl>a</QueueUrl><QueueUrl>b</QueueUrl><Tag><Key>k</Key><Value>v</Value></Tag><Count>3</Count>\
             </ListThingsResult><ResponseMetadata><RequestId>id</RequestId></ResponseMetadata></ListThingsResponse>"
        );
    }

    #[test]
    fn an_operation_without_a_result_answers_metadata_only() {
        assert_eq!(
            String::from_utf8(answer(&DELETE, "urn:x", &Value::Null, "id")).unwrap(),
            "<?xml version=\"1.0\"?><DeleteResponse xmlns=\"urn:x\"><ResponseMetadata><RequestId>id</RequestId>\
             </ResponseMetadata></DeleteResponse>"
        );
    }

    #[test]
    fn a_carriage_return_survives_a_parser() {
        let output = json!({"QueueUrls": ["a\r\nb<&>"]});
        let xml = String::from_utf8(answer(&LIST, "urn:x", &output, "id")).unwrap();
        assert!(
            xml.contains("<QueueUrl>a&#13;\nb&lt;&amp;&gt;</QueueUrl>"),
            "{xml}"
        );
    }

    #[test]
    fn errors_have_aws_shape() {
        let xml = super::error(&error::missing_parameter("QueueName"), "urn:x", "id");
        assert_eq!(
            String::from_utf8(xml).unwrap(),
            "<?xml version=\"1.0\"?><ErrorResponse xmlns=\"urn:x\"><Error><Type>Sender</Type><Code>MissingParameter</Code>\
             <Message>The request must contain the parameter QueueName.</Message><Detail/></Error>\
             <RequestId>id</RequestId></ErrorResponse>"
        );
    }
}
