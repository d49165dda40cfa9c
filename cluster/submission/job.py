"""The process of a submitted job, on the cluster: compares the libraries with the lock and becomes `bloomery run`.

`python -m cluster.submission.job` in the folder of the job. Exit code 2 when the cluster has other libraries.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from cluster.submission.lock_file import NAME as LOCK
from cluster.submission.lock_file import differences, pins
from cluster.submission.package import CONFIG, read_order
from cluster.submission.sealed import unseal_environment
from pipeline.core.errors import UserError

SHOWN = 5


def main() -> NoReturn:
    job = Path.cwd()
    order = read_order(job)
    try:
        unseal_environment()
        _compare_versions(job, order.libraries, any_versions=order.any_versions)
    except UserError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
    # in place of this process: Ray signals it and takes its exit code
    os.execv(sys.executable, [sys.executable, "-m", "cluster.cli", "run", CONFIG, *order.flags])


def _compare_versions(job: Path, libraries: Mapping[str, str], *, any_versions: bool) -> None:
    different = differences(pins((job / LOCK).read_text(encoding="utf-8")), libraries)
    if not different:
        return
    more = f" and {len(different) - SHOWN} more" if len(different) > SHOWN else ""
    listed = f"{'; '.join(different[:SHOWN])}{more}"
    if not any_versions:
        raise UserError(
            f"the libraries of the cluster are not those of the lock: {listed}. Install them there with "
            f"pip install -c {LOCK}, or submit with --any-versions: results may then differ in their bytes."
        )
    print(f"other libraries than in the lock: {listed}")


if __name__ == "__main__":
    main()
