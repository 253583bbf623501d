"""kombu over SQS, what Celery on AWS speaks: queues by prefix, long polls, rejection by visibility."""

from __future__ import annotations

import kombu
import pytest

from broker import wait_until


@pytest.fixture
def connection(broker):
    host = broker.aws_url.removeprefix("http://")
    options = {"region": "us-east-1", "is_secure": False, "wait_time_seconds": 1, "polling_interval": 0.05}
    with kombu.Connection(f"sqs://test:test@{host}//", transport_options=options) as connection:
        yield connection


def test_put_get_and_acknowledge(connection, name):
    queue = connection.SimpleQueue(name)
    queue.put({"task": 1}, headers={"retries": 0})
    message = queue.get(timeout=10)
    assert message.payload == {"task": 1}
    assert message.headers["retries"] == 0
    message.ack()
    with pytest.raises(queue.Empty):
        queue.get(timeout=0.5)
    queue.close()


def test_what_is_requeued_comes_again(connection, name):
    queue = connection.SimpleQueue(name)
    queue.put("again")
    queue.get(timeout=10).requeue()
    message = queue.get(timeout=10)
    assert message.payload == "again"
    message.ack()
    queue.close()


def test_purge_and_size(connection, name):
    queue = connection.SimpleQueue(name)
    for n in range(5):
        queue.put(n)
    wait_until("all five are counted", lambda: queue.qsize() == 5)
    queue.clear()
    wait_until("none is counted", lambda: queue.qsize() == 0)
    queue.close()
