"""Shipping, as it always was: an application of RabbitMQ's takes orders out of a queue, until it is stopped.

    pip install pika
    python examples/shop/ship_pika.py
"""

import os
import signal
import sys

import pika

AMQP_URL = os.environ.get("AMQP_URL", "amqp://guest:guest@localhost:5672/%2F")
QUEUE = os.environ.get("QUEUE", "orders")

# Ctrl-C, and SIGTERM, to which a program without this would be deaf as process 1 of a container.
for end in (signal.SIGINT, signal.SIGTERM):
    signal.signal(end, lambda *_: sys.exit(0))


def ship(channel, method, properties, body):
    """Ships an order, and only then says so: if we die before, somebody else gets it."""
    headers = properties.headers or {}
    express = ", express" if headers.get("express") else ""
    print(f"shipped: {body.decode()} to {headers.get('customer')}{express}", flush=True)
    channel.basic_ack(method.delivery_tag)


with pika.BlockingConnection(pika.URLParameters(AMQP_URL)) as connection:
    channel = connection.channel()
    channel.queue_declare(QUEUE, durable=True)
    channel.basic_qos(prefetch_count=10)
    channel.basic_consume(QUEUE, ship)
    channel.start_consuming()
