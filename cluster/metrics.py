"""Prometheus metrics of a run: a text file for node_exporter's textfile collector, an HTTP endpoint, or both.

Values come from the last snapshot of the run (`cluster/live.py`), which the supervisor hands over every few seconds: it
shares no changing value with the thread of the endpoint. Only a run that asks for metrics imports prometheus-client.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from cluster.live import LiveRun
from cluster.metric_series import PREFIX, SERIES, Sample, samples_of
from cluster.sections import Metrics
from pipeline.core.errors import UserError

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

NEEDS = "needs prometheus-client. Install it with: pip install 'bloomery[metrics]'"


class MetricsExport:
    """Where the metrics of a run go, for the length of a `with` block. Without options it does nothing."""

    def __init__(self, options: Metrics) -> None:
        self.options = options
        self._collector: _Collector | None = None
        self._stack = ExitStack()

    def __enter__(self) -> MetricsExport:
        """Raises: UserError if prometheus-client is not installed, or the port is taken."""
        options = self.options
        if not options.file and options.port is None:
            return self
        try:
            from prometheus_client import CollectorRegistry, start_http_server
        except ImportError:
            raise UserError(f"cluster.metrics {NEEDS}") from None
        self._collector = _Collector()
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self._collector)
        if options.port is not None:
            try:
                server, thread = start_http_server(options.port, addr=options.host, registry=self._registry)
            except OSError as error:
                raise UserError(
                    f"cluster.metrics.port: cannot listen on {options.host}:{options.port} "
                    f"({error.strerror or error}). Choose another port, or end the run that has it."
                ) from None
            self._stack.callback(thread.join)
            self._stack.callback(server.server_close)
            self._stack.callback(server.shutdown)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the endpoint; later updates do nothing."""
        self._collector = None
        self._stack.close()

    def update(self, run: LiveRun) -> None:
        """Show this snapshot from now on; replaces the file, if there is one.

        Raises: OSError when the file cannot be written.
        """
        if self._collector is None:
            return
        self._collector.run = run
        if self.options.file:
            from prometheus_client import write_to_textfile

            write_to_textfile(self.options.file, self._registry)
            Path(self.options.file).chmod(0o644)  # node_exporter is another user


def problems(options: Metrics) -> Iterator[tuple[str, str]]:
    """Why these options cannot work on this machine, by option; empty if they can."""
    if (options.file or options.port is not None) and find_spec("prometheus_client") is None:
        yield "file" if options.file else "port", NEEDS
    if options.file and not os.access(Path(options.file).parent, os.W_OK | os.X_OK):
        yield "file", f"{Path(options.file).parent} is no folder that can be written. Create it, or choose another one."
    if options.port is not None:
        try:
            with socket.create_server((options.host, options.port)):
                pass
        except OSError as error:
            reason = error.strerror or error
            yield "port", f"cannot listen on {options.host}:{options.port} ({reason}). Choose another port or host."


class _Collector:
    """What a registry asks for its metrics; there are none before the first snapshot."""

    def __init__(self) -> None:
        self.run: LiveRun | None = None

    def collect(self) -> Iterator[Metric]:
        run = self.run
        return families_of(run) if run is not None else iter(())


def families_of(run: LiveRun) -> Iterator[Metric]:
    """The metrics of a snapshot, each with all its samples."""
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    samples: dict[str, list[Sample]] = {}
    for sample in samples_of(run):
        samples.setdefault(sample.name, []).append(sample)
    for name, series in SERIES.items():
        if name in samples:
            family = CounterMetricFamily if series.type == "counter" else GaugeMetricFamily
            metric = family(PREFIX + name, series.help, labels=["run", *series.labels])
            for sample in samples[name]:
                metric.add_metric([run["run"], *(sample.labels[label] for label in series.labels)], sample.value)
            yield metric
