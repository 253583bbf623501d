"""strace on a running broker: syncs held back, failed and counted.

A SIGKILL leaves the page cache to the next start, so it says nothing about a sync that never came. What does:
stopping the thread that writes the log at the door of `fdatasync`, and seeing who answers all the same.
Attaching to a process that is no child needs root, or `kernel.yama.ptrace_scope` = 0.
"""

from __future__ import annotations

import collections
import pathlib
import platform
import re
import signal
import subprocess
import tempfile
import threading
import time
import urllib.request
from typing import IO, Callable

from broker import STOP_SECONDS, Broker, wait_until

# What makes bytes survive a power cut; the broker uses the first two.
SYNCS = ("fdatasync", "fsync", "sync_file_range", "syncfs", "sync", "msync")
# Of fsync and fdatasync.
SYNC_NUMBERS = {"x86_64": ("74", "75"), "aarch64": ("82", "83")}[platform.machine()]

# Longer than any test: a hold ends when the tracer goes, not by itself.
HELD_MICROSECONDS = 3_600_000_000


def read_of_thread(task: pathlib.Path, file: str) -> str | None:
    """What the system says of a thread; nothing once it has ended, as any but the log's writer may at any time."""
    try:
        return (task / file).read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None


# The thread that writes the log, the only one whose syncs confirm something.
WRITER = "viaduct-log"


def thread_of(broker: Broker, name: str) -> int:
    """One of the broker's threads; the system cuts names to 15 bytes."""
    for task in pathlib.Path(f"/proc/{broker.process.pid}/task").iterdir():
        if read_of_thread(task, "comm") == f"{name[:15]}\n":
            return int(task.name)
    raise AssertionError(f"the broker has no thread {name}")


class Tracer:
    """strace, attached while the context lasts; the broker runs on when it leaves."""

    def __init__(self, broker: Broker, *options: str, whole_process: bool = False, thread: str = WRITER):
        self.broker = broker
        self.writer = thread_of(broker, thread)
        self.options = options
        self.is_of_process = whole_process
        self.target = ["-f", "-p", str(broker.process.pid)] if whole_process else ["-p", str(self.writer)]

    def __enter__(self) -> "Tracer":
        self.output = tempfile.NamedTemporaryFile("r", prefix="viaduct-strace-")
        command = ["strace", "-qq", "-o", self.output.name, *self.options, *self.target]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        try:
            wait_until("strace is attached", self._is_attached)
            self.attached()
        except BaseException:
            self._detach()
            self.output.close()
            raise
        return self

    def _is_attached(self) -> bool:
        assert self.process.poll() is None, f"strace: {self.process.stderr.read()}"
        tasks = pathlib.Path(f"/proc/{self.broker.process.pid}/task")
        traced = tasks.glob("*") if self.is_of_process else [tasks / str(self.writer)]
        statuses = [status for task in traced if (status := read_of_thread(task, "status")) is not None]
        return bool(statuses) and all(f"TracerPid:\t{self.process.pid}\n" in status for status in statuses)

    def __exit__(self, fault, *_) -> None:
        try:
            self._detach()
            # A test that failed has said more than what strace saw would.
            if fault is None:
                self.ended()
        finally:
            self.output.close()

    def _detach(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(STOP_SECONDS)
        finally:
            self.process.kill()
            self.process.wait()
            self.process.stderr.close()

    def attached(self) -> None:
        """strace sees all from now on."""

    def ended(self) -> None:
        """strace is gone and its output whole."""

    def calls(self) -> list[tuple[int, str]]:
        """What was called, as (thread, name)."""
        default = str(self.writer)
        found = (re.match(r"(?:(\d+) +)?(\w+)\(", line) for line in text_of(self.output).splitlines())
        return [(int(call[1] or default), call[2]) for call in found if call]


def text_of(output: IO[str]) -> str:
    """All that strace has written so far."""
    output.seek(0)
    return output.read()


def strikes_in(output: IO[str]) -> int:
    """How many calls failed because strace made them fail."""
    return text_of(output).count("(INJECTED)")


class SyncsHeld(Tracer):
    """Every sync of the log waits until the context ends; or every one of another thread, from the `first` on."""

    def __init__(self, broker: Broker, thread: str = WRITER, first: int = 1):
        inject = f"inject=fdatasync,fsync:delay_enter={HELD_MICROSECONDS}:when={first}+"
        super().__init__(broker, "-e", "trace=fdatasync,fsync", "-e", inject, thread=thread)

    def wait_for_sync(self, seconds: float = 10) -> None:
        """Returns once the thread stands at the sync, what it syncs written."""
        task = pathlib.Path(f"/proc/{self.broker.process.pid}/task/{self.writer}")

        def is_held() -> bool:
            state = (task / "stat").read_text().rpartition(") ")[2][0]
            return state == "t" and (task / "syscall").read_text().split()[0] in SYNC_NUMBERS

        wait_until("the thread comes to its sync", is_held, seconds)


class Faults(Tracer):
    """A system call of the log's writer fails, once or a few times: `fdatasync:error=EIO:when=20`.

    One that never failed proves nothing, so it must. `strikes` says how often it did, after the context.
    """

    def __init__(self, broker: Broker, fault: str, *options: str, whole_process: bool = False):
        trace = ("-e", f"trace={fault.partition(':')[0]}", "-e", f"inject={fault}")
        super().__init__(broker, *trace, *options, whole_process=whole_process)

    def ended(self) -> None:
        self.strikes = strikes_in(self.output)
        assert self.strikes > 0, "the fault never came"


class CatalogFaults(Faults):
    """A system call on the catalog's checkpoint fails, whichever thread makes it."""

    def __init__(self, broker: Broker, fault: str):
        files = [str(broker.data_dir / f"checkpoint.{n}.redb") for n in (0, 1)]
        super().__init__(broker, fault, "-P", files[0], "-P", files[1], whole_process=True)


class SyncCount(Tracer):
    """Counts what the whole process syncs; `by_writer` and `by_others` are right after the context."""

    def __init__(self, broker: Broker):
        super().__init__(broker, "-e", f"trace={','.join(SYNCS)}", whole_process=True)

    def attached(self) -> None:
        self.metric_before = log_syncs(self.broker)

    def __exit__(self, fault, *unused) -> None:
        try:
            if fault is None:
                self.by_metric = log_syncs(self.broker) - self.metric_before
        finally:
            super().__exit__(fault, *unused)

    def ended(self) -> None:
        threads = collections.Counter(thread for thread, _ in self.calls())
        self.by_writer = threads.pop(self.writer, 0)
        self.by_others = sum(threads.values())


def metric(broker: Broker, name: str) -> float:
    """A number without labels from the metrics page."""
    page = urllib.request.urlopen(broker.metrics_url, timeout=10).read().decode()
    return float(re.search(rf"^{name} (\S+)$", page, re.MULTILINE)[1])


def log_syncs(broker: Broker) -> int:
    return int(metric(broker, "viaduct_log_syncs_total"))


class Asked:
    """Something asked in a thread, to see whether and when it is answered."""

    def __init__(self, ask: Callable[[], object]):
        self.answered = threading.Event()
        self.fault: BaseException | None = None
        self.started = time.monotonic()
        threading.Thread(target=self._run, args=(ask,), daemon=True).start()

    def _run(self, ask: Callable[[], object]) -> None:
        try:
            ask()
        except BaseException as fault:  # shown by whoever waits
            self.fault = fault
        self.seconds = time.monotonic() - self.started
        self.answered.set()

    def is_answered_within(self, seconds: float) -> bool:
        """Whether a positive answer comes in time; a refusal is a failure of the test."""
        is_answered = self.answered.wait(seconds)
        if is_answered and self.fault is not None:
            raise self.fault
        return is_answered
