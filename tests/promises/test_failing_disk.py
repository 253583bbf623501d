"""A disk that fails: nothing is confirmed from then on, the process says why and ends, and a restart has it all.

The fault is injected by strace into the thread that writes the log. Most strike once: a broker that tried again
would find the disk well and be wrong, for after a failed sync the system may have dropped the page.
"""

from __future__ import annotations

import itertools
import pathlib

import pika
import pytest

from broker import STOP_SECONDS, Broker, wait_until
from clients.test_boto3 import create
from clients.test_pika import PERSISTENT
from conftest import sqs_client
from promises.faulty_start import FaultyStart
from promises.load import WindowedPublisher, Worker, confirming
from promises.tracing import CatalogFaults, Faults

SEGMENT = "/log/0000000001.seg"

# The call of the log's writer that fails: with one message in flight each has a frame, a write and a sync.
STRIKES_AT = 20
BIG_BYTES = 512 * 1024
EIO = "Input/output error (os error 5)"
FAULTS = {
    "sync-fails": (f"fdatasync:error=EIO:when={STRIKES_AT}", f"sync {{}}{SEGMENT}", EIO),
    "sync-finds-disk-full": (
        f"fdatasync:error=ENOSPC:when={STRIKES_AT}",
        f"sync {{}}{SEGMENT}",
        "No space left on device (os error 28)",
    ),
    "write-fails": (f"pwrite64:error=EIO:when={STRIKES_AT}", f"write {{}}{SEGMENT}", EIO),
}

# What a start syncs before it is ready, in the data dir: which file (of the checkpoint whichever generation is the
# newest), and the how manieth sync of it.
SYNCS_OF_A_START = [
    ("fsync", "checkpoint.*.new", 1),
    ("fsync", "", 1),
    ("fsync", "meta.new", 1),
    ("fsync", "", 2),
    ("fsync", "log", 1),
    ("fdatasync", "log/0000000001.seg", 1),
]
# What redb syncs while it repairs what the kill left, and while it closes it; at least so many. Some of these it keeps to
# itself; that is why the file is copied and synced before it is believed.
SYNCS_OF_THE_DATABASE = (1, 2, 3, 4)
START_SECONDS = 30


@pytest.fixture
def broker(own):
    """A broker for this test alone: it is going to fail."""
    return own


def publish_one_by_one(broker: Broker, queue: str, confirmed: list[str]):
    channel = confirming(broker)
    channel.queue_declare(queue, durable=True)

    def work() -> None:
        for n in itertools.count():
            channel.basic_publish("", queue, f"amqp {n}".encode(), PERSISTENT, mandatory=True)
            confirmed.append(f"amqp {n}")

    return work


def send_one_by_one(broker: Broker, queue: str, confirmed: list[str]):
    sqs = sqs_client(broker)
    url = create(sqs, queue)

    def work() -> None:
        for n in itertools.count():
            sqs.send_message(QueueUrl=url, MessageBody=f"sqs {n}")
            confirmed.append(f"sqs {n}")

    return work


def ended(broker: Broker) -> int:
    """Waits until the broker ends by itself, and returns its exit code."""
    process, broker.process = broker.process, None
    return process.wait(STOP_SECONDS)


def drained(broker: Broker, queue: str) -> list[str]:
    """Everything in the queue, in order; it must be all that the broker has."""
    channel = pika.BlockingConnection(pika.URLParameters(broker.amqp_url)).channel()
    left = []
    while (got := channel.basic_get(queue, auto_ack=True))[0] is not None:
        left.append(got[2].decode())
    channel.connection.close()
    return left


@pytest.mark.parametrize("door", [publish_one_by_one, send_one_by_one], ids=["amqp", "sqs"])
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_nothing_is_confirmed_after_a_fault_and_everything_before_is_kept(broker, name, door, fault):
    call, failed, cause = fault
    confirmed: list[str] = []
    work = door(broker, name, confirmed)
    with Faults(broker, call):
        worker = Worker(work)
        code = ended(broker)
        worker.join()
    assert len(confirmed) == STRIKES_AT - 1, "each call before the fault confirms one message, and none after it"
    assert code == 1
    log = broker.log()
    assert failed.format(broker.data_dir) in log and cause in log, log
    assert log.splitlines()[-1].startswith("viaduct: the log could not be written"), log
    broker.start()
    left = drained(broker, name)
    # The one that was in flight is there or not: nobody was told.
    assert left[: len(confirmed)] == confirmed and len(left) <= len(confirmed) + 1
    broker.restart()


def test_a_fault_in_the_middle_of_load_loses_nothing_that_was_confirmed(broker, name):
    confirmed: list[str] = []
    sqs_work = send_one_by_one(broker, name, confirmed)
    queue = f"{name}-windowed"
    confirming(broker).queue_declare(queue, durable=True)
    windowed: list[str] = []
    messages = ((queue, f"{n}".encode()) for n in itertools.count())
    publisher = WindowedPublisher(broker, messages, 500, lambda body, _: windowed.append(body.decode()))
    with Faults(broker, "fdatasync:error=EIO:when=200"):
        workers = [Worker(publisher.run), Worker(sqs_work)]
        assert ended(broker) == 1
        for worker in workers:
            worker.join()
    assert confirmed and windowed
    broker.start()
    assert drained(broker, name)[: len(confirmed)] == confirmed
    left = drained(broker, queue)
    assert left[: len(windowed)] == windowed, f"{len(windowed)} confirmed, {len(left)} left"


@pytest.mark.parametrize("call", ["/^rename", "fsync"])
def test_a_fault_between_two_segments_is_one_like_any_other(broker, name, call):
    """The next segment cannot be named, or its name not be synced, while publishes are in flight."""
    confirmed: list[int] = []
    confirming(broker).queue_declare(name, durable=True)
    padding = b"." * BIG_BYTES
    messages = ((name, b"%d " % n + padding) for n in itertools.count())
    publisher = WindowedPublisher(broker, messages, 8, lambda body, _: confirmed.append(int(body.split()[0])))
    with Faults(broker, f"{call}:error=EIO:when=1"):
        worker = Worker(publisher.run)
        assert ended(broker) == 1
        worker.join()
    assert "begin the segment after" in broker.log() and EIO in broker.log()
    assert len(confirmed) * BIG_BYTES > 32 * 1024 * 1024, "the first segment was nearly full"
    broker.start()
    left = [int(text.split()[0]) for text in drained(broker, name)]
    assert left[: len(confirmed)] == confirmed


def test_a_full_disk_makes_publishers_wait_and_ends_nothing(broker, name):
    """The first write is refused for as long as the disk is full, and goes through when it is not."""
    confirmed: list[str] = []
    work = publish_one_by_one(broker, name, confirmed)
    with Faults(broker, f"pwrite64:error=ENOSPC:when={STRIKES_AT}..{STRIKES_AT + 5}") as faults:
        worker = Worker(work)
        wait_until("publishers go on after it", lambda: len(confirmed) >= 2 * STRIKES_AT)
    assert faults.strikes == 6, "the same write was refused until there was room"
    assert broker.process.poll() is None
    broker.kill()
    worker.join()
    broker.start()
    left = drained(broker, name)
    assert left[: len(confirmed)] == confirmed and len(left) <= len(confirmed) + 1


def test_a_catalog_that_cannot_be_synced_costs_nothing_that_the_log_has(broker, name):
    """The checkpoint at the stop fails; the log still has every declaration."""
    confirmed: list[str] = []
    worker = Worker(publish_one_by_one(broker, name, confirmed))
    wait_until("there is something to lose", lambda: len(confirmed) > 10)
    url = create(sqs_client(broker), f"{name}-declared", VisibilityTimeout="77")
    with CatalogFaults(broker, "fdatasync:error=EIO"):
        assert broker.stop() == 0
    worker.join()
    assert "the catalog could not be checkpointed; the log still has it" in broker.log()
    broker.start()
    assert drained(broker, name)[: len(confirmed)] == confirmed
    attributes = sqs_client(broker).get_queue_attributes(QueueUrl=url, AttributeNames=["VisibilityTimeout"])
    assert attributes["Attributes"] == {"VisibilityTimeout": "77"}


def of_any_generation(broker: Broker, file: str) -> list[pathlib.Path]:
    return [broker.data_dir / file.replace("*", str(n)) for n in (0, 1)]


def left_by_a_kill(broker: Broker, name: str) -> list[str]:
    """Publishes until there is something to lose, and kills the broker. Returns what was confirmed."""
    confirmed: list[str] = []
    worker = Worker(publish_one_by_one(broker, name, confirmed))
    wait_until("there is something to lose", lambda: len(confirmed) > 10)
    broker.kill()
    worker.join()
    return confirmed


@pytest.mark.parametrize("call,file,strikes_at", SYNCS_OF_A_START, ids=lambda value: str(value))
def test_a_start_on_a_failing_disk_ends_in_words_and_harms_nothing(broker, name, call, file, strikes_at):
    """Every sync of a start fails once: the start is refused, and the next one is well."""
    confirmed = left_by_a_kill(broker, name)
    with FaultyStart(broker, f"{call}:error=EIO:when={strikes_at}", *of_any_generation(broker, file)) as start:
        code = start.ended(START_SECONDS)
    assert start.strikes > 0, "the fault never came"
    assert code == 3 and EIO in start.log and str(broker.data_dir) in start.log, start.log
    broker.start()
    assert drained(broker, name)[: len(confirmed)] == confirmed


@pytest.mark.parametrize("strikes_at", SYNCS_OF_THE_DATABASE)
def test_a_start_whose_checkpoint_fails_to_sync_is_refused_or_right(broker, name, strikes_at):
    """A sync inside the database fails once: whether the start gets over it or not, nothing is lost."""
    confirmed = left_by_a_kill(broker, name)
    database = of_any_generation(broker, "checkpoint.*.redb")
    with FaultyStart(broker, f"fdatasync:error=EIO:when={strikes_at}", *database) as start:
        code = start.ended_or_ready(START_SECONDS)
    assert start.strikes > 0, "the fault never came"
    assert code is None or (code == 3 and EIO in start.log and str(broker.data_dir) in start.log), start.log
    broker.start()
    assert drained(broker, name)[: len(confirmed)] == confirmed
