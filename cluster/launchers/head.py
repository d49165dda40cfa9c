"""One Ray for many runs: a process of its own holds it, and ends it when this process ends, however that happens.

`python -m cluster.launchers.head CPUS` starts a Ray on this machine, says its address in one line, and stays until its
standard input is closed: by `close`, or by the system when whoever started it is gone. 9 s once, instead of each time.
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


class Head:
    """A Ray that starts when its address is first asked for, and again if it has ended meanwhile."""

    def __init__(self, cpus: int, log: Path) -> None:
        self.cpus, self.log = cpus, log
        self._process: subprocess.Popen[str] | None = None
        self._address = ""

    def __enter__(self) -> Head:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def address(self) -> str:
        """Where it is.

        Raises: StageFailed when it does not start.
        """
        if self._process is None or self._process.poll() is not None:
            self.close()
            self._address = self._started()
        return self._address

    def close(self) -> None:
        """Let it end, folder and all."""
        process, self._process = self._process, None
        if process is None:
            return
        for stream in (process.stdin, process.stdout):
            if stream:
                stream.close()
        try:
            process.wait(END_S)
        except subprocess.TimeoutExpired:
            process.kill()  # its Ray ends with it within seconds
            process.wait()

    def _started(self) -> str:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "cluster.launchers.head", str(self.cpus)], text=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, env=environment(),
                # in a group of its own: a Ctrl-C for this process is none for Ray
                process_group=0,
            )  # fmt: skip
        said = (self._process.stdout.readline() if self._process.stdout else "").strip()
        if not said:
            raise StageFailed(f"Ray did not start; why is at the end of {self.log}. cluster.launcher=local needs none.")
        return said


def main(arguments: Sequence[str]) -> int:
    from cluster.launchers.on_ray import started

    answer = os.dup(1)
    os.dup2(2, 1)  # whatever libraries print goes to the log
    with started(int(arguments[0]), "head") as address, os.fdopen(answer, "w") as stream:
        print(address, file=stream, flush=True)
        sys.stdin.read()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
