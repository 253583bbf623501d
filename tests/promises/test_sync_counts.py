"""What a confirm costs the disk, counted by strace and not only by the broker's own metric.

FACTS of the field: a lone durable message costs other brokers one to twelve syncs, and one per message under load
where there is no group commit. Here it is one sync a frame, whatever the number of queues.
"""

from __future__ import annotations

import os

import pytest

from broker import Broker, wait_until
from clients.test_boto3 import create, receive, send_all
from conftest import sqs_client
from promises.load import WindowedPublisher, confirming, settle
from promises.tracing import SyncCount

SEGMENT_BYTES = 64 * 1024 * 1024
# Syncs of the whole process besides the log's: the catalog's checkpoint, at most one in 30 s.
BESIDES = 12
LONE = 200
LOADED = 10_000
# One sync for ten confirms would already be poor at a window of 1000.
LOADED_SYNCS_PER_CONFIRM = 0.1


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    """A broker of this module's own, whose first segment has room for all of it: sealing one costs three syncs."""
    running = Broker(os.environ["VIADUCT_BIN"], tmp_path_factory.mktemp("counted"))
    try:
        running.start()
        # Zeros are written ahead of use in the background, with syncs of their own.
        wait_until("segment and spares are filled", lambda: len(filled(running)) == 4, 60)
        yield running
    finally:
        running.close()


def filled(broker: Broker) -> list[os.DirEntry]:
    return [file for file in os.scandir(broker.data_dir / "log") if file.stat().st_size == SEGMENT_BYTES]


def declare(broker: Broker, name: str, queues: int, exchange: str | None = None) -> list[str]:
    channel = confirming(broker)
    names = [f"{name}-{n}" for n in range(queues)]
    if exchange:
        channel.exchange_declare(exchange, "fanout", durable=True)
    for one in names:
        channel.queue_declare(one, durable=True)
        if exchange:
            channel.queue_bind(one, exchange)
    channel.connection.close()
    return names


def count(broker: Broker, queues: list[str], messages: int, window: int, exchange: str = "") -> SyncCount:
    """Publishes over `queues` in turn and counts until the last confirm."""
    confirmed: list[bytes] = []
    body = b"." * 1024
    each = ((queues[n % len(queues)], body) for n in range(messages))
    with SyncCount(broker) as counted:
        WindowedPublisher(broker, each, window, lambda body, _: confirmed.append(body), exchange).run()
    assert len(confirmed) == messages
    print(f"{messages} confirms: {counted.by_writer} syncs of the log, {counted.by_others} others")
    assert counted.by_metric == counted.by_writer, "viaduct_log_syncs_total is what strace sees"
    assert counted.by_others <= BESIDES
    return counted


@pytest.mark.parametrize("queues", [1, 10, 100])
def test_a_lone_confirm_costs_one_sync(broker, name, queues):
    assert count(broker, declare(broker, name, queues), LONE, window=1).by_writer == LONE


@pytest.mark.parametrize("queues", [1, 10, 100])
def test_under_load_many_confirms_share_a_sync(broker, name, queues):
    counted = count(broker, declare(broker, name, queues), LOADED, window=1000)
    assert 1 <= counted.by_writer < LOADED * LOADED_SYNCS_PER_CONFIRM


def test_a_message_for_a_hundred_queues_costs_one_sync(broker, name):
    declare(broker, name, 100, exchange=name)
    assert count(broker, [""], LONE, window=1, exchange=name).by_writer == LONE


def test_an_sqs_request_costs_one_sync_with_one_entry_or_ten(broker, name):
    sqs, requests = sqs_client(broker), 20
    url = create(sqs, name)
    with SyncCount(broker) as singles:
        for n in range(requests):
            send_all(sqs, url, [f"{n}"])
    with SyncCount(broker) as batches:
        for n in range(requests):
            send_all(sqs, url, [f"{n}-{entry}" for entry in range(10)])
    received = [receive(sqs, url) for _ in range(requests)]
    settle(broker)
    with SyncCount(broker) as deletes:
        for messages in received:
            entries = [{"Id": f"{n}", "ReceiptHandle": one["ReceiptHandle"]} for n, one in enumerate(messages)]
            assert len(sqs.delete_message_batch(QueueUrl=url, Entries=entries)["Successful"]) == len(messages)
    for counted in (singles, batches, deletes):
        assert (counted.by_writer, counted.by_metric) == (requests, requests)
