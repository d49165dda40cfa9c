"""One Ray for many runs, held by a separate process that ends it when this process ends, for whatever reason.

`python -m cluster.launchers.head CPUS` starts a Ray on this machine, prints its address in one line, and runs until its
standard input is closed: by `close`, or by the system when the parent process is gone. Ray starts once (9 s) for all.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from cluster.process import environment
from pipeline.core.errors import StageFailed

END_S = 20.0  # Ray takes a moment to end and its folder to go


class RayHead:
    """A Ray that starts when its address is first requested, and again if it has ended since."""

    def __init__(self, cpus: int, log: Path) -> None:
        self.cpus, self.log = cpus, log
        self._process: subprocess.Popen[str] | None = None
        self._address = ""

    def __enter__(self) -> RayHead:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def address(self) -> str:
        """The address of this Ray.

        Raises: StageFailed when it does not start.
        """
        if self._process is None or self._process.poll() is not None:
            self.close()
            self._address = self._start()
        return self._address

    def close(self) -> None:
        """End Ray and remove its folder."""
        process, self._process = self._process, None
        if process is None:
            return
        for stream in (process.stdin, process.stdout):
            if stream:
                stream.close()
        try:
            process.wait(END_S)
        except subprocess.TimeoutExpired:
            process.kill()  # its Ray ends within seconds of it
            process.wait()

    def _start(self) -> str:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "cluster.launchers.head", str(self.cpus)], text=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, env=environment(),
                # in its own process group: a Ctrl-C for this process does not reach Ray
                process_group=0,
            )  # fmt: skip
        address = (self._process.stdout.readline() if self._process.stdout else "").strip()
        if not address:
            raise StageFailed(
                f"Ray did not start; see the end of {self.log}. cluster.launcher=local does not need Ray."
            )
        return address


def main(arguments: Sequence[str]) -> int:
    from cluster.launchers.ray_session import start_ray

    stdout = os.dup(1)
    os.dup2(2, 1)  # whatever libraries print goes to the log
    with start_ray(int(arguments[0]), "head") as address, os.fdopen(stdout, "w") as stream:
        print(address, file=stream, flush=True)
        sys.stdin.read()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
