//! Query forms into the neutral JSON value.
//!
//! `MessageAttribute.1.Value.DataType=String` is a path into a tree; the operation's shape table says
//! which parts of the path are members, list positions, or the two halves of a map entry.

use std::collections::BTreeMap;

use serde_json::Map;
use serde_json::Number;
use serde_json::Value;

use super::error::AwsError;
use super::error::SERIALIZATION;
use super::shape::Member;
use super::shape::Shape;

/// More fields than any operation of any service takes; a form with more is refused before a tree of it
/// is built (10 batch entries of 10 attributes with 3 fields each are 300).
const MAX_FIELDS: usize = 4096;
/// The deepest path of any model is `SendMessageBatchRequestEntry.1.MessageAttribute.1.Value.DataType`;
/// longer ones name nothing. It also bounds the recursion over the tree.
const MAX_PATH: usize = 8;

/// A decoded form: its fields in the order sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Form {
    fields: Vec<(String, String)>,
}

impl Form {
    /// Decodes the query string and the body of a request into one form.
    ///
    /// # Errors
    /// `MalformedInput` when there are too many fields.
    pub fn parse(query: &str, body: &[u8]) -> Result<Self, AwsError> {
        let mut fields = Vec::new();
        for part in [query.as_bytes(), body] {
            for (name, value) in form_urlencoded::parse(part) {
                if fields.len() == MAX_FIELDS {
                    let text = format!("The request has more than {MAX_FIELDS} fields.");
                    return Err(AwsError::new(&SERIALIZATION, text));
                }
                fields.push((name.into_owned(), value.into_owned()));
            }
        }
        Ok(Self { fields })
    }

    /// The first field of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.fields
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, value)| value.as_str())
    }

    /// Adds a field unless one of this name was sent.
    pub fn default_field(&mut self, name: &str, value: String) {
        if self.get(name).is_none() {
            self.fields.push((name.to_owned(), value));
        }
    }

    /// Builds the neutral value of an operation's input.
    ///
    /// # Errors
    /// `MalformedInput` when a field does not parse as its type.
    pub fn into_value(self, input: &[Member]) -> Result<Value, AwsError> {
        let mut root = Node::default();
        for (name, value) in self.fields {
            root.insert(&name, value);
        }
        structure(&root, input)
    }
}

/// A part of a form's tree of dotted names.
#[derive(Default)]
struct Node {
    value: Option<String>,
    children: BTreeMap<String, Node>,
}

impl Node {
    fn insert(&mut self, path: &str, value: String) {
        if path.split('.').count() > MAX_PATH {
            return;
        }
        let mut node = self;
        for part in path.split('.') {
            node = node.children.entry(part.to_owned()).or_default();
        }
        // The first one counts, as in `Form::get`.
        node.value.get_or_insert(value);
    }

    /// List positions in their numeric order; gaps are allowed.
    fn positions(&self) -> Vec<&Node> {
        let mut positions: Vec<(u32, &Node)> = self
            .children
            .iter()
            .filter_map(|(part, node)| part.parse().ok().map(|position| (position, node)))
            .collect();
        positions.sort_by_key(|(position, _)| *position);
        positions.into_iter().map(|(_, node)| node).collect()
    }
}

fn structure(node: &Node, members: &[Member]) -> Result<Value, AwsError> {
    let mut object = Map::new();
    for member in members {
        if let Some(child) = node.children.get(member.query)
            && let Some(value) = value(child, member.query, member.shape)?
        {
            object.insert(member.name.to_owned(), value);
        }
    }
    Ok(Value::Object(object))
}

fn value(node: &Node, name: &str, shape: &Shape) -> Result<Option<Value>, AwsError> {
    match shape {
        Shape::Text => Ok(node.value.clone().map(Value::String)),
        Shape::Integer => node
            .value
            .as_deref()
            .map(|text| integer(name, text))
            .transpose(),
        Shape::Boolean => node
            .value
            .as_deref()
            .map(|text| boolean(name, text))
            .transpose(),
        Shape::List(item) => list(node, name, item),
        Shape::Map { key, value } => map(node, name, key, value),
        Shape::Structure(members) => structure(node, members).map(Some),
    }
}

fn list(node: &Node, name: &str, item: &Shape) -> Result<Option<Value>, AwsError> {
    let positions = node.positions();
    // `AttributeName=All` without a position: old clients send it and AWS takes it.
    let nodes = if positions.is_empty() && node.value.is_some() {
        vec![node]
    } else {
        positions
    };
    let items: Vec<Value> = nodes
        .into_iter()
        .filter_map(|node| value(node, name, item).transpose())
        .collect::<Result<_, _>>()?;
    Ok((!items.is_empty()).then_some(Value::Array(items)))
}

fn map(node: &Node, name: &str, key: &str, shape: &Shape) -> Result<Option<Value>, AwsError> {
    let mut object = Map::new();
    for entry in node.positions() {
        let Some(key) = entry.children.get(key).and_then(|node| node.value.clone()) else {
            continue;
        };
        let empty = Node::default();
        let part = entry.children.get("Value").unwrap_or(&empty);
        if let Some(value) = value(part, name, shape)? {
            object.insert(key, value);
        }
    }
    Ok((!object.is_empty()).then_some(Value::Object(object)))
}

fn integer(name: &str, text: &str) -> Result<Value, AwsError> {
    let number: i64 = text
        .trim()
        .parse()
        .map_err(|_| malformed(name, text, "an integer"))?;
    Ok(Value::Number(Number::from(number)))
}

fn boolean(name: &str, text: &str) -> Result<Value, AwsError> {
    match text {
        "true" | "True" | "1" => Ok(Value::Bool(true)),
        "false" | "False" | "0" => Ok(Value::Bool(false)),
        _ => Err(malformed(name, text, "a boolean")),
    }
}

fn malformed(name: &str, text: &str, expected: &str) -> AwsError {
    AwsError::new(
        &SERIALIZATION,
        format!("Value {text} for parameter {name} is not {expected}."),
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    static ATTRIBUTE: Shape = Shape::Structure(&[
        Member::plain("DataType", &Shape::Text),
        Member::plain("StringValue", &Shape::Text),
    ]);
    static ATTRIBUTES: Shape = Shape::Map {
        key: "Name",
        value: &ATTRIBUTE,
    };
    static ENTRY: Shape = Shape::Structure(&[
        Member::plain("Id", &Shape::Text),
        Member::named("MessageAttributes", "MessageAttribute", &ATTRIBUTES),
    ]);
    static ENTRIES: Shape = Shape::List(&ENTRY);
    static INPUT: &[Member] = &[
        Member::plain("QueueUrl", &Shape::Text),
        Member::plain("DelaySeconds", &Shape::Integer),
        Member::named("Entries", "SendMessageBatchRequestEntry", &ENTRIES),
    ];

    fn parse(form: &str) -> Value {
        Form::parse("", form.as_bytes())
            .unwrap()
            .into_value(INPUT)
            .unwrap()
    }

    #[test]
    fn a_form_becomes_the_json_that_the_other_wire_would_carry() {
        let form = "Action=SendMessageBatch&QueueUrl=http%3A%2F%2Fx%2F0%2Fq&DelaySeconds=5\
            &SendMessageBatchRequestEntry.2.Id=b\
            &SendMessageBatchRequestEntry.1.Id=a\
            &SendMessageBatchRequestEntry.1.MessageAttribute.1.Name=with.dots\
            &SendMessageBatchRequestEntry.1.MessageAttribute.1.Value.DataType=String\
            &SendMessageBatchRequestEntry.1.MessageAttribute.1.Value.StringValue=a+b%26";
        assert_eq!(
            parse(form),
            json!({"QueueUrl": "http://x/0/q", "DelaySeconds": 5, "Entries": [
                {"Id": "a", "MessageAttributes": {"with.dots": {"DataType": "String", "StringValue": "a b&"}}},
                {"Id": "b"},
            ]})
        );
    }

    #[test]
    fn list_positions_sort_as_numbers_and_may_have_gaps() {
        let form = "SendMessageBatchRequestEntry.10.Id=c&SendMessageBatchRequestEntry.9.Id=b";
        assert_eq!(parse(form), json!({"Entries": [{"Id": "b"}, {"Id": "c"}]}));
    }

    #[test]
    fn a_number_that_is_none_is_the_senders_fault() {
        let form = Form::parse("", b"DelaySeconds=abc").unwrap();
        assert_eq!(form.into_value(INPUT).unwrap_err().kind, &SERIALIZATION);
    }

    #[test]
    fn a_form_of_too_many_fields_is_refused() {
        assert!(Form::parse("", "a=1&".repeat(MAX_FIELDS + 1).as_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn any_form_gets_an_answer(body in proptest::collection::vec(any::<u8>(), 0..512)) {
            if let Ok(form) = Form::parse("", &body) {
                let _ = form.into_value(INPUT);
            }
        }

        #[test]
        fn any_path_gets_an_answer(path in "[A-Za-z0-9.]{0,80}") {
            let form = format!("SendMessageBatchRequestEntry.{path}=1");
            let _ = Form::parse("", form.as_bytes()).unwrap().into_value(INPUT);
        }
    }
}
