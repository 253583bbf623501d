"""Shipping, as it will be: an application of AWS' takes orders out of a queue, until it is stopped.

    pip install boto3
    python examples/shop/ship_boto3.py
"""

import os
import signal
import sys

import boto3

QUEUE = os.environ.get("QUEUE", "orders")

# boto3 takes all of these from the environment.
if "AWS_ENDPOINT_URL" not in os.environ:  # a broker on this machine, which must not get keys that are for AWS
    os.environ.pop("AWS_SESSION_TOKEN", None)
    os.environ |= {"AWS_ENDPOINT_URL": "http://localhost:4566", "AWS_DEFAULT_REGION": "us-east-1"}
    os.environ |= {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}

# Ctrl-C, and SIGTERM, to which a program without this would be deaf as process 1 of a container.
for end in (signal.SIGINT, signal.SIGTERM):
    signal.signal(end, lambda *_: sys.exit(0))

sqs = boto3.client("sqs")
queue = sqs.create_queue(QueueName=QUEUE)["QueueUrl"]
while True:
    answer = sqs.receive_message(
        QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=20, MessageAttributeNames=["All"]
    )
    for message in answer.get("Messages", []):
        attributes = {name: value["StringValue"] for name, value in message.get("MessageAttributes", {}).items()}
        express = ", express" if attributes.get("express") == "1" else ""
        print(f"shipped: {message['Body']} to {attributes.get('customer')}{express}", flush=True)
        # Only now: if we die before, somebody else gets the order.
        sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
