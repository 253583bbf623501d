"""Shipping, as it will be: an application of AWS' takes orders out of a queue, until it is stopped.

    pip install boto3
    python examples/shop/ship_boto3.py
"""

import os
import signal
import sys

import boto3

QUEUE = os.environ.get("QUEUE", "orders")

# boto3 takes all of these from the environment; they are for a broker on this machine.
os.environ.setdefault("AWS_ENDPOINT_URL", "http://localhost:4566")
os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")
os.environ.setdefault("AWS_ACCESS_KEY_ID", "test")
os.environ.setdefault("AWS_SECRET_ACCESS_KEY", "test")

# As process 1 of a container, a program without this would be deaf to SIGTERM.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))

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
