//! Listener addresses as people write them.

use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;

use crate::transport::ListenAddress;

/// What a listener's value may be, for error texts.
pub(super) const ALLOWED: &str = "one address or a list: 127.0.0.1:5672, [::1]:5672, localhost:5672 (both), *:5672 (all interfaces); empty is off";

/// Both loopback addresses; the second is left out where there is no IPv6.
pub(super) fn localhost(port: u16) -> Vec<ListenAddress> {
    both(Ipv4Addr::LOCALHOST, Ipv6Addr::LOCALHOST, port)
}

fn both(v4: Ipv4Addr, v6: Ipv6Addr, port: u16) -> Vec<ListenAddress> {
    let v6 = ListenAddress {
        socket: SocketAddr::from((v6, port)),
        is_optional: true,
    };
    vec![SocketAddr::from((v4, port)).into(), v6]
}

/// Parses one address. A name stands for up to two.
pub(super) fn parse(text: &str) -> Option<Vec<ListenAddress>> {
    if let Ok(socket) = text.parse::<SocketAddr>() {
        return Some(vec![socket.into()]);
    }
    let (host, port) = text.rsplit_once(':')?;
    let port = port.parse().ok()?;
    match host {
        "localhost" => Some(localhost(port)),
        "*" => Some(both(Ipv4Addr::UNSPECIFIED, Ipv6Addr::UNSPECIFIED, port)),
        _ => None,
    }
}

/// Writes addresses so that parsing gives them back.
pub(super) fn print(addresses: &[ListenAddress]) -> Vec<String> {
    let mut texts = Vec::new();
    let mut rest = addresses;
    while let Some((first, others)) = rest.split_first() {
        let port = first.socket.port();
        let names = [
            ("localhost", localhost(port)),
            (
                "*",
                both(Ipv4Addr::UNSPECIFIED, Ipv6Addr::UNSPECIFIED, port),
            ),
        ];
        match names
            .iter()
            .find_map(|(name, pair)| Some((name, rest.strip_prefix(pair.as_slice())?)))
        {
            Some((name, after)) => {
                texts.push(format!("{name}:{port}"));
                rest = after;
            }
            None => {
                texts.push(first.socket.to_string());
                rest = others;
            }
        }
    }
    texts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_survives_printing() {
        for text in ["127.0.0.1:5672", "[::1]:0", "localhost:5672", "*:4566"] {
            assert_eq!(print(&parse(text).unwrap()), [text]);
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "",
            "5672",
            "localhost",
            "localhost:",
            "localhost:65536",
            "example.com:80",
            "::1:80x",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
