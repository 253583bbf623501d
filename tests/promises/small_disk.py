"""A disk of a few hundred megabytes: a tmpfs in namespaces of its own, so that nothing else fills it and no root is needed."""

from __future__ import annotations

import os
import pathlib
import subprocess

# Prints the word once the disk is there, and holds the namespaces until it is told to end.
HOLDER = 'mount -t tmpfs -o size="$1" tmpfs "$2" && echo mounted && exec cat'


class SmallDisk:
    """Use as a context; `folder` is its root, as every process sees it that may look into the holder's namespaces."""

    def __init__(self, mount_point: pathlib.Path, size_bytes: int):
        self.mount_point = mount_point
        self.size_bytes = size_bytes

    def __enter__(self) -> "SmallDisk":
        self.mount_point.mkdir(parents=True, exist_ok=True)
        command = ["unshare", "-Urm", "sh", "-c", HOLDER, "sh", str(self.size_bytes), str(self.mount_point)]
        self.holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        said = self.holder.stdout.readline()
        assert said == "mounted\n", f"no disk: {self.holder.wait()}"
        self.folder = pathlib.Path(f"/proc/{self.holder.pid}/root{self.mount_point}")
        return self

    def __exit__(self, *_: object) -> None:
        self.holder.communicate()

    def free_bytes(self) -> int:
        stat = os.statvfs(self.folder)
        return stat.f_bavail * stat.f_frsize

    def fill(self, leave_bytes: int) -> pathlib.Path:
        """Puts a file there that leaves so many bytes free; removing it makes room again."""
        ballast = self.folder / "ballast"
        with ballast.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, self.free_bytes() - leave_bytes)
        return ballast
