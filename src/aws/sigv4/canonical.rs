//! The canonical request: the text that both sides hash.
//!
//! ```text
//! METHOD \n path \n query \n name:value\n… \n signed;headers \n hex(sha256(body))
//! ```

use percent_encoding::AsciiSet;
use percent_encoding::NON_ALPHANUMERIC;
use percent_encoding::percent_decode_str;
use percent_encoding::percent_encode;

use super::SignedRequest;

/// Everything but RFC 3986's unreserved characters.
const STRICT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');
const PATH: &AsciiSet = &STRICT.remove(b'/');

/// Builds the canonical request.
pub(super) fn request(
    request: &SignedRequest<'_>,
    signed_headers: &[String],
    body_hash: &str,
) -> String {
    let mut text = String::with_capacity(512);
    for line in [request.method, &path(request.path), &query(request.query)] {
        text.push_str(line);
        text.push('\n');
    }
    for name in signed_headers {
        text.push_str(name);
        text.push(':');
        text.push_str(&header(request, name));
        text.push('\n');
    }
    text.push('\n');
    text.push_str(&signed_headers.join(";"));
    text.push('\n');
    text.push_str(body_hash);
    text
}

/// Normalises a path as every service but S3 does: no empty or `.` segments, `..` removes one, and what
/// is left, percent signs of the wire's own encoding included, is encoded once more.
fn path(path: &str) -> String {
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            segment => segments.push(segment),
        }
    }
    let mut normal = format!("/{}", segments.join("/"));
    if path.ends_with('/') && !segments.is_empty() {
        normal.push('/');
    }
    percent_encode(normal.as_bytes(), PATH).to_string()
}

/// Decodes and strictly re-encodes the query, sorted by encoded name, then value; the signature itself
/// is not part of what it signs.
fn query(query: &str) -> String {
    let mut pairs: Vec<(String, String)> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (encode(name), encode(value))
        })
        .filter(|(name, _)| name != "X-Amz-Signature")
        .collect();
    pairs.sort();
    let pairs: Vec<String> = pairs
        .into_iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    pairs.join("&")
}

/// `+` is a space here, as in the form that the query is.
fn encode(part: &str) -> String {
    let spaced = part.replace('+', " ");
    let decoded: Vec<u8> = percent_decode_str(&spaced).collect();
    percent_encode(&decoded, STRICT).to_string()
}

/// A header's value: trimmed, runs of spaces collapsed, several values joined by commas in their order.
fn header(request: &SignedRequest<'_>, name: &str) -> String {
    let values: Vec<String> = request
        .headers
        .get_all(name)
        .iter()
        .map(|value| {
            let text = String::from_utf8_lossy(value.as_bytes());
            text.split([' ', '\t'])
                .filter(|word| !word.is_empty())
                .collect::<Vec<_>>()
                .join(" ")
        })
        .collect();
    values.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_normalise_as_in_aws_test_suite() {
        for (wire, canonical) in [
            ("/", "/"),
            ("", "/"),
            ("//", "/"),
            ("/foo/..", "/"),
            ("/foo/bar/../..", "/"),
            ("/./", "/"),
            ("/./foo", "/foo"),
            ("//foo//", "/foo/"),
            ("/foo/", "/foo/"),
            ("/-._~0123456789abcXYZ", "/-._~0123456789abcXYZ"),
            ("/example space/", "/example%20space/"),
            ("/\u{1234}", "/%E1%88%B4"),
            ("/000000000000/a%20b", "/000000000000/a%2520b"),
        ] {
            assert_eq!(path(wire), canonical, "{wire}");
        }
    }

    #[test]
    fn queries_sort_by_encoded_name_then_value() {
        for (wire, canonical) in [
            ("", ""),
            ("Param1=value1", "Param1=value1"),
            ("Param2=value2&Param1=value1", "Param1=value1&Param2=value2"),
            ("Param1=value2&Param1=Value1", "Param1=Value1&Param1=value2"),
            ("Param1=value2&Param1=value1", "Param1=value1&Param1=value2"),
            ("-._~09azAZ=-._~09azAZ", "-._~09azAZ=-._~09azAZ"),
            ("\u{1234}=bar", "%E1%88%B4=bar"),
            ("a&X-Amz-Signature=1", "a="),
            ("b=x+y%2f", "b=x%20y%2F"),
        ] {
            assert_eq!(query(wire), canonical, "{wire}");
        }
    }
}
