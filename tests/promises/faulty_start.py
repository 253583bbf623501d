"""A start on a failing disk: strace starts the broker, so that the fault is there from its first call on."""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import tempfile

from broker import LISTENERS, STOP_SECONDS, Broker, wait_until
from promises.tracing import strikes_in, text_of


class FaultyStart:
    """A start on a broker's data dir with a fault from its first moment; nothing of it outlives the context.

    strace counts the calls of each thread and of each name on `paths` for itself: `fsync:error=EIO:when=2`. `strikes`
    says how often it struck and `log` what the broker wrote to stderr, after the context.
    """

    def __init__(self, broker: Broker, fault: str, *paths: pathlib.Path):
        self.broker = broker
        self.fault = fault
        self.paths = paths

    def __enter__(self) -> "FaultyStart":
        self.output = tempfile.NamedTemporaryFile("r", prefix="viaduct-strace-")
        self.errors = tempfile.TemporaryFile("w+")
        command = ["strace", "-f", "-qq", "-o", self.output.name, "-e", f"trace={self.fault.partition(':')[0]}"]
        for path in self.paths:
            command += ["-P", str(path)]
        command += ["-e", f"inject={self.fault}", self.broker.binary, "serve", "--data-dir", str(self.broker.data_dir)]
        for door in LISTENERS:
            command += ["--set", f"listeners.{door}=127.0.0.1:0"]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=self.errors)
        return self

    def __exit__(self, *_) -> None:
        try:
            # Not before the broker has gone does it give its data dir to the next.
            wait_until("broker and strace are gone", self._is_gone, STOP_SECONDS)
        finally:
            self.process.kill()
            self.process.wait()
            self.strikes, self.log = strikes_in(self.output), text_of(self.errors)
            self.output.close()
            self.errors.close()

    def ended(self, seconds: float) -> int:
        """Waits until it ends by itself, and returns its exit code, which strace hands on."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            faults = strikes_in(self.output)
            raise AssertionError(f"it did not end within {seconds} s of its start, with {faults} faults") from None

    def ended_or_ready(self, seconds: float) -> int | None:
        """Waits until it ends by itself, and returns its exit code, or until it says that it is ready."""
        code: list[int] = []

        def is_settled() -> bool:
            code.extend([] if self.process.poll() is None else [self.process.returncode])
            # Not by seeking: the broker writes where the offset stands.
            return bool(code) or b": ready " in os.pread(self.errors.fileno(), 1 << 20, 0)

        wait_until("it ended or is ready", is_settled, seconds)
        return code[0] if code else None

    def _is_gone(self) -> bool:
        if self.process.poll() is not None:
            return True
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        for child in children.split():
            os.kill(int(child), signal.SIGKILL)
        return False
