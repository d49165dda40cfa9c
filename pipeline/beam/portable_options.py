"""The options of a portable runner: passed on to Beam as they are, once Beam is known to have them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.beam.beam_log import mute_import
from pipeline.core.files import JsonObject
from pipeline.core.line_client import check_reachable
from pipeline.core.registry import did_you_mean

if TYPE_CHECKING:
    from apache_beam.options.pipeline_options import PipelineOptions

RUNNERS: Mapping[str, str] = {
    "portable": "PortableRunner", "flink": "FlinkRunner", "spark": "SparkRunner", "dataflow": "DataflowRunner",
}  # fmt: skip
ANSWER_S = 5.0


@dataclass(frozen=True)
class OptionProblem:
    """What is wrong with an option, and what to do; an empty name means the options as a whole."""

    name: str
    what: str
    hint: str = ""


def pipeline_options(runner: str, options: JsonObject) -> PipelineOptions:
    """Beam's options for a runner."""
    from apache_beam.options.pipeline_options import PipelineOptions

    return PipelineOptions.from_dictionary({**options, "runner": RUNNERS[runner]})


def problems(runner: str, options: JsonObject) -> list[OptionProblem]:
    """The options that Beam does not know, and a job server that does not answer; imports Beam, 1 s."""
    mute_import()
    if runner == "portable" and not options.get("job_endpoint"):
        return [OptionProblem("job_endpoint", "the runner portable needs a job server.", "Write its HOST:PORT.")]
    if "runner" in options:
        return [OptionProblem("runner", "the runner is named by cluster.beam.runner.", "Remove this option.")]
    served: set[str] = set()
    if endpoint := options.get("job_endpoint"):
        try:
            check_reachable(str(endpoint))
            served = _options_of_server(str(endpoint))
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            return [OptionProblem("job_endpoint", f"no job server answers at {endpoint} ({reason}).",
                                  "Start it, or correct the address.")]  # fmt: skip
    known = _options_of_beam() | served
    return [
        OptionProblem(name, f"Beam does not know the option '{name}'.", did_you_mean(name, known) if known else "")
        for name in options
        if name not in known
    ]


def _options_of_beam() -> set[str]:
    """The names of all options of the installed Beam, of every runner."""
    from apache_beam.options import pipeline_options

    # as PipelineOptions.get_all_options does, which gives values and not names
    parser = pipeline_options._BeamArgumentParser(allow_abbrev=False)
    for options in {str(kind): kind for kind in pipeline_options.PipelineOptions.__subclasses__()}.values():
        options._add_argparse_args(parser)
    return {text.removeprefix("--") for action in parser._actions for text in action.option_strings}


def _options_of_server(endpoint: str) -> set[str]:
    """The names of the options that a job server adds. Raises: OSError when it does not answer as one."""
    import grpc
    from apache_beam.portability.api import beam_job_api_pb2, beam_job_api_pb2_grpc

    with grpc.insecure_channel(endpoint) as channel:
        try:
            described = beam_job_api_pb2_grpc.JobServiceStub(channel).DescribePipelineOptions(
                beam_job_api_pb2.DescribePipelineOptionsRequest(), timeout=ANSWER_S
            )
        except grpc.RpcError as error:
            raise ConnectionError(f"it is no job server of Beam: {error.code().name}") from error
    return {option.name for option in described.options}
