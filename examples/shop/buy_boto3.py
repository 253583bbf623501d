"""Buying, as it will be: an application of AWS' puts orders into a queue.

    pip install boto3
    python examples/shop/buy_boto3.py
"""

import os
import time

import boto3

QUEUE = os.environ.get("QUEUE", "orders")
ORDERS = int(os.environ.get("ORDERS", "3"))
PAUSE_SECONDS = float(os.environ.get("PAUSE_SECONDS", "0"))

# boto3 takes all of these from the environment.
if "AWS_ENDPOINT_URL" not in os.environ:  # a broker on this machine, which must not get keys that are for AWS
    os.environ.pop("AWS_SESSION_TOKEN", None)
    os.environ |= {"AWS_ENDPOINT_URL": "http://localhost:4566", "AWS_DEFAULT_REGION": "us-east-1"}
    os.environ |= {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}

sqs = boto3.client("sqs")
queue = sqs.create_queue(QueueName=QUEUE)["QueueUrl"]
for number in range(1, ORDERS + 1):
    attributes = {
        "customer": {"DataType": "String", "StringValue": "ada"},
        # A boolean header to an application of RabbitMQ's.
        "express": {"DataType": "Number.Boolean", "StringValue": "1" if number == 1 else "0"},
    }
    # Returns when the order is on the broker's disk.
    sqs.send_message(QueueUrl=queue, MessageBody=f"order {number}", MessageAttributes=attributes)
    print(f"bought: order {number}", flush=True)
    time.sleep(PAUSE_SECONDS)
