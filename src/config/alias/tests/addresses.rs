//! Ports and addresses in the words of other images, and the queue URLs that follow from them.

use super::super::*;
use super::*;

#[test]
fn ports_and_addresses_move_what_is_configured_otherwise() {
    for (pairs, amqp, aws) in [
        (
            [("RABBITMQ_NODE_PORT", "5673"), ("EDGE_PORT", "4567")],
            "localhost:5673",
            "localhost:4567",
        ),
        (
            [
                ("RABBITMQ_NODE_IP_ADDRESS", "::1"),
                ("GATEWAY_LISTEN", "0.0.0.0:4566,0.0.0.0:443"),
            ],
            "[::1]:5672",
            "0.0.0.0:4566",
        ),
        (
            [("LOCALSTACK_GATEWAY_LISTEN", ":4570"), ("EDGE_PORT", "1")],
            "localhost:5672",
            "localhost:4570",
        ),
        // No port alone opens a broker to the network.
        (
            [("RABBITMQ_NODE_PORT", "1"), ("GATEWAY_LISTEN", "4570")],
            "localhost:1",
            "localhost:4570",
        ),
        (
            [("RABBITMQ_NODE_PORT", "1"), ("GATEWAY_LISTEN", " ")],
            "localhost:1",
            "localhost:4566",
        ),
        (
            [
                ("RABBITMQ_NODE_PORT", " 1"),
                ("GATEWAY_LISTEN", "127.0.0.1:44570,"),
            ],
            "localhost:1",
            "127.0.0.1:44570",
        ),
        (
            [
                ("VIADUCT_DEFAULT__LISTENERS__AWS", "*:4566"),
                ("GATEWAY_LISTEN", "4570, 127.0.0.1"),
            ],
            "localhost:5672",
            "*:4570,127.0.0.1:4566",
        ),
    ] {
        let loaded = loaded(&pairs);
        let value = |key: &str| {
            line(&loaded, key)
                .split("  # ")
                .next()
                .unwrap_or_default()
                .to_owned()
        };
        assert_eq!(
            value("listeners.amqp"),
            format!("listeners.amqp = {amqp:?}")
        );
        let printed = address::print(&loaded.config.listeners.aws).join(",");
        assert_eq!(printed, aws, "{pairs:?}");
    }
}

#[test]
fn what_kubernetes_sets_for_a_service_is_no_port() {
    let loaded = loaded(&[
        ("RABBITMQ_NODE_PORT", "tcp://10.0.0.1:5672"),
        // Of a service called localstack-edge.
        ("LOCALSTACK_EDGE_PORT", "tcp://10.0.0.1:80"),
        ("EDGE_PORT", "4570"),
    ]);
    let listeners = &loaded.config.listeners;
    assert_eq!(listeners.amqp, Config::default().listeners.amqp);
    assert_eq!(address::print(&listeners.aws), ["localhost:4570"]);
    let text = effective(&loaded);
    for told in [
        "RABBITMQ_NODE_PORT is not used: 'tcp://10.0.0.1:5672' is no port number\n",
        "LOCALSTACK_EDGE_PORT is not used: 'tcp://10.0.0.1:80' is no port number\n",
    ] {
        assert_eq!(text.matches(told).count(), 1, "{told} in\n{text}");
    }
}

#[test]
fn queue_urls_are_those_that_localstack_would_make() {
    for (pairs, url) in [
        (
            &[("LOCALSTACK_HOST", "queues.local:4000")][..],
            "http://queues.local:4000",
        ),
        (
            &[("HOSTNAME_EXTERNAL", "aws"), ("EDGE_PORT", "4570")],
            "http://aws:4570",
        ),
        (
            &[("LOCALSTACK_HOST", "aws"), ("USE_SSL", "1")],
            "https://aws:4566",
        ),
        (
            &[
                ("HOSTNAME_EXTERNAL", "aws"),
                ("GATEWAY_LISTEN", "0.0.0.0:443,0.0.0.0:4571"),
            ],
            "http://aws:4571",
        ),
        (
            &[
                ("HOSTNAME_EXTERNAL", "aws"),
                ("EDGE_PORT", "tcp://10.0.0.1:80"),
            ],
            "http://aws:4566",
        ),
        (
            &[
                ("HOSTNAME_EXTERNAL", "aws"),
                ("LOCALSTACK_HOSTNAME_EXTERNAL", "prefixed"),
            ],
            "http://prefixed:4566",
        ),
        (
            &[
                ("LOCALSTACK_HOST", "aws"),
                ("SQS_ENDPOINT_STRATEGY", "dynamic"),
            ],
            "",
        ),
    ] {
        let config = loaded(pairs).config;
        assert_eq!(config.aws.public_url.unwrap_or_default(), url, "{pairs:?}");
    }
}
