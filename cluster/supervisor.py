"""What all steps of one run share: the configuration, the store, the run directory, and who is told what happens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from cluster.config import LoadedConfig
from cluster.console import Console
from cluster.forked_stage import StageServer
from cluster.launchers.head import RayHead
from cluster.live import FILE as LIVE
from cluster.live import LiveState
from cluster.lock import held_for_ever
from cluster.metrics import MetricsExport
from cluster.progress import Listener
from cluster.result import RunOptions
from cluster.run import Run
from pipeline.core.files import write_json
from pipeline.core.store import Store


@dataclass
class Supervisor:
    """What all steps of one run share."""

    loaded: LoadedConfig
    store: Store
    run: Run
    console: Console
    listener: Listener
    options: RunOptions
    live: LiveState
    metrics: MetricsExport
    server: StageServer
    ray: RayHead | None = None  # for the run alone, where no address is given
    check_lock: Callable[[], None] = held_for_ever
    announced: set[str] = field(default_factory=set)  # what was said of the time that steps will take

    def show(self) -> None:
        """Write what the run is doing now, for `top` and the metrics. Metrics that cannot be written do not fail it."""
        snapshot = self.live.snapshot()
        write_json(self.run.path / LIVE, snapshot)
        try:
            self.metrics.update(snapshot)
        except OSError as error:
            self.console.say(f"no metrics from here on: {error}")
            self.run.event("no_metrics", error=str(error))
            self.metrics.close()
