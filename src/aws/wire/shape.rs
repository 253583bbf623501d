//! What requests and answers look like: a small table per service.
//!
//! Only what the Query wire cannot know by itself stands here (types, and the names that differ from
//! JSON); everything else is in the serde structs of the operations.

/// The type of a member.
#[derive(Debug)]
pub enum Shape {
    /// Text, and everything that travels as text on both wires (blobs are base64 text).
    Text,
    /// A whole number: JSON number, decimal text in a form.
    Integer,
    /// JSON `true` and `false`, the same words in a form.
    Boolean,
    /// A flattened list: `Name.1`, `Name.2` in a form, repeated elements in XML.
    List(&'static Shape),
    /// A flattened map: `Name.1.<key>` and `Name.1.<value>` in a form, repeated elements with two
    /// children in XML.
    Map {
        /// Name of the key's part: `Name` or `Key`.
        key: &'static str,
        /// The type of the values; their part is called `Value`.
        value: &'static Shape,
    },
    /// Members by name.
    Structure(&'static [Member]),
}

/// A member of a structure.
#[derive(Debug)]
pub struct Member {
    /// Its name in JSON and in the service model.
    pub name: &'static str,
    /// Its name in a form and in XML: singular for lists and maps.
    pub query: &'static str,
    /// Its type.
    pub shape: &'static Shape,
}

impl Member {
    /// A member with one name on both wires.
    #[must_use]
    pub const fn plain(name: &'static str, shape: &'static Shape) -> Self {
        Self {
            name,
            query: name,
            shape,
        }
    }

    /// A member whose form and XML name differs from the JSON one.
    #[must_use]
    pub const fn named(name: &'static str, query: &'static str, shape: &'static Shape) -> Self {
        Self { name, query, shape }
    }
}

/// An operation of a service.
#[derive(Debug)]
pub struct Operation {
    /// Its name: `Action` in a form, the second half of `X-Amz-Target`.
    pub name: &'static str,
    /// What it takes.
    pub input: &'static [Member],
    /// What it answers; `None` when it answers nothing.
    pub output: Option<&'static [Member]>,
}

/// What the wires need to know of a service.
#[derive(Debug)]
pub struct ServiceModel {
    /// The first half of `X-Amz-Target`.
    pub target_prefix: &'static str,
    /// The service's name in credential scopes.
    pub scope: &'static str,
    /// `Version` of the Query API.
    pub version: &'static str,
    /// Namespace of XML answers.
    pub namespace: &'static str,
    /// Every operation of the service's model.
    pub operations: &'static [Operation],
}

impl ServiceModel {
    /// The operation of this name.
    #[must_use]
    pub fn operation(&self, name: &str) -> Option<&'static Operation> {
        self.operations
            .iter()
            .find(|operation| operation.name == name)
    }
}
