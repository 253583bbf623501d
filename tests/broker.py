"""One broker process under test: the real binary on free ports with a data directory of its own.

Nothing here sleeps for a guess: readiness is what the broker itself says (`listeners.json`, then
`viaduct health`), with a deadline. The process is only ever addressed by its pid.
"""

from __future__ import annotations

import json
import os
import pathlib
import signal
import subprocess
import tempfile
import time
from typing import Callable

LISTENERS = ("amqp", "aws", "metrics")

# A debug build on a busy two-core machine still starts well within this.
READY_SECONDS = 30
# DESIGN §7 allows an idle broker 1 s; the rest is the machine's, not the broker's.
STOP_SECONDS = 20


def wait_until(what: str, probe: Callable[[], object], seconds: float = 10):
    """Polls `probe` until it answers something true and returns that; fails with `what` if it never does."""
    deadline = time.monotonic() + seconds
    while True:
        answer = probe()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.01)


class Broker:
    """Starts, stops, kills and restarts `viaduct serve`; a restart keeps data directory and ports."""

    def __init__(
        self,
        binary: str | os.PathLike,
        folder: pathlib.Path,
        settings: dict[str, str] | None = None,
        environment: dict[str, str] | None = None,
    ):
        self.binary = str(binary)
        self.data_dir = folder / "data"
        self.log_path = folder / "broker.log"
        self.stdout_path = folder / "broker.out"
        self.settings = settings or {}
        # What its process finds in its environment, beside what ours has.
        self.environment = environment or {}
        self.addresses = {name: "127.0.0.1:0" for name in LISTENERS}
        self.process: subprocess.Popen | None = None

    # --- life -------------------------------------------------------------------------------

    def start(self) -> "Broker":
        """Starts the broker and returns once it says that it is healthy."""
        self.launch()
        wait_until("the broker is ready", self._is_ready, READY_SECONDS)
        bound = json.loads((self.data_dir / "listeners.json").read_text())
        self.addresses = {name: bound[name][0] for name in LISTENERS}
        return self

    def launch(self) -> None:
        """Starts the process and waits for nothing."""
        # A killed broker leaves the file behind; an old one must not be taken for readiness.
        (self.data_dir / "listeners.json").unlink(missing_ok=True)
        command = [self.binary, "serve", "--data-dir", str(self.data_dir)]
        for name, address in self.addresses.items():
            command += ["--set", f"listeners.{name}={address}"]
        for key, value in self.settings.items():
            command += ["--set", f"{key}={value}"]
        with self.log_path.open("ab") as log, self.stdout_path.open("ab") as out:
            environment = os.environ | self.environment
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=log, env=environment)

    def _is_ready(self) -> bool:
        if self.process.poll() is not None:
            raise AssertionError(f"the broker ended with {self.process.returncode} before it was ready:\n{self.log()}")
        if not (self.data_dir / "listeners.json").exists():
            return False
        health = [self.binary, "health", "--data-dir", str(self.data_dir)]
        return subprocess.run(health, capture_output=True).returncode == 0

    def stop(self) -> int:
        """Asks it to end (SIGTERM) and returns its exit code."""
        return self._end(signal.SIGTERM)

    def kill(self) -> int:
        """Takes it away without a word (SIGKILL), as a crash or the OOM killer would."""
        return self._end(signal.SIGKILL)

    def _end(self, how: signal.Signals) -> int:
        process, self.process = self.process, None
        process.send_signal(how)
        try:
            return process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"the broker did not end within {STOP_SECONDS} s of {how.name}:\n{self.log()}") from None

    def restart(self, how: str = "SIGTERM") -> None:
        """Ends it by SIGTERM or SIGKILL and starts it on the same data directory and ports."""
        if how == "SIGTERM":
            code = self.stop()
            assert code == 0, f"SIGTERM ends the broker with exit code 0, not {code}:\n{self.log()}"
        else:
            self.kill()
        self.start()

    def close(self) -> None:
        """Removes the process at the end of a test, however the test went."""
        if self.process is not None:
            self.kill()

    def log(self) -> str:
        """The end of what the broker wrote to stderr."""
        return self.log_path.read_text(errors="replace")[-4000:] if self.log_path.exists() else ""

    # --- doors ------------------------------------------------------------------------------

    @property
    def amqp_port(self) -> int:
        return int(self.addresses["amqp"].rpartition(":")[2])

    @property
    def amqp_url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.amqp_port}/%2F"

    @property
    def aws_url(self) -> str:
        return f"http://{self.addresses['aws']}"

    @property
    def metrics_url(self) -> str:
        return f"http://{self.addresses['metrics']}/metrics"

    @property
    def aws_environment(self) -> dict[str, str]:
        """What an AWS tool needs in its environment: these keys, this endpoint and no file of the user's."""
        return os.environ | {
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": self.aws_url,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_PAGER": "",
        }


def broker_in_temp(binary: str | os.PathLike, **settings: str):
    """A started broker as a context manager, for programs that are no pytest test."""

    class _Running:
        def __enter__(self) -> Broker:
            self.folder = tempfile.TemporaryDirectory(prefix="viaduct-")
            self.broker = Broker(binary, pathlib.Path(self.folder.name), settings)
            return self.broker.start()

        def __exit__(self, *_):
            self.broker.close()
            self.folder.cleanup()

    return _Running()
