"""Buying, as it always was: an application of RabbitMQ's puts orders into a queue.

    pip install pika
    python examples/shop/buy_pika.py
"""

import os

import pika

AMQP_URL = os.environ.get("AMQP_URL", "amqp://guest:guest@localhost:5672/%2F")
QUEUE = os.environ.get("QUEUE", "orders")
ORDERS = int(os.environ.get("ORDERS", "3"))
PAUSE_SECONDS = float(os.environ.get("PAUSE_SECONDS", "0"))

with pika.BlockingConnection(pika.URLParameters(AMQP_URL)) as connection:
    channel = connection.channel()
    channel.queue_declare(QUEUE, durable=True)
    channel.confirm_delivery()
    for number in range(1, ORDERS + 1):
        properties = pika.BasicProperties(
            delivery_mode=2, content_type="text/plain", headers={"customer": "ada", "express": number == 1}
        )
        # Returns when the order is on the broker's disk.
        channel.basic_publish("", QUEUE, f"order {number}".encode(), properties, mandatory=True)
        print(f"bought: order {number}", flush=True)
        connection.sleep(PAUSE_SECONDS)
