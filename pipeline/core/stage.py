"""What a stage is: StageSpec, one line of a stage table.

A spec holds import strings only, so planning loads neither Beam nor torch. The code of a stage is one function
`run(job: Job) -> StageOutput` (see `pipeline.core.job`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from pipeline.core.artifact import Artifact
from pipeline.core.files import JsonObject
from pipeline.core.named_artifact import artifact_named
from pipeline.core.plugins import plugin_names, with_sources
from pipeline.core.registry import load

if TYPE_CHECKING:
    from pydantic import BaseModel

    from pipeline.core.yaml_tree import PathOf

ArtifactKind = Literal[
    "documents", "annotations", "vectors", "tokenizer", "tokens", "counts", "model", "scores", "files"
]  # fmt: skip


class NamedInput(NamedTuple):
    """An entry of an earlier section, by its name, whose artifact of this kind is read; `option` is what names it."""

    kind: ArtifactKind
    name: str
    option: PathOf


@dataclass(frozen=True)
class StageSpec:
    """A stage by name: its section of the YAML, what it needs and makes, and the function that runs it.

    `params` names a function (section, seed) -> dict, what enters the fingerprint; None means the section as it is.
    `more_needs` names a function (section) -> further kinds that these options need; `externals` one (section) ->
    {what for: folder} of artifacts of other runs, which are inputs under that name, identified by their digest; `files`
    one (section) -> sources of the job: where the files lie whose content is in `params`; `named_inputs` one (section)
    -> the entries of earlier sections that its options name (NamedInput). `plugins` names a function
    (section) -> names of the plug-ins that decide what the stage makes; None means all that the section names.
    Hooks, so that no code of `cluster/` knows a stage by its name; each has its protocol in pipeline/core: `checks` of
    its section against those it reads (checks.py); `raw`, the files that it reads from outside the store (raw.py);
    `estimate`, what it will need, for `plan` (estimate.py); `report`, its part of the page (report.py); `compared`, its
    part of a model's row in a comparison (compared.py); `order`, a function (model, tokens) -> TrainingOrder, for
    `trace` (order.py); `sampler`, for `sample` (sampling.py); `prompts`, a function (section) -> prompts of the user's
    own; `passes`, a function (section, bytes of raw text) -> a remark before any work, or None; `explorer`, what
    `signals` asks (exploring.py); `exporter`, what `export-tokens` asks (token_export.py); `summary`, a function
    (manifest) -> str; `label`, what its artifact is called when a run ends.
    `named`: its section may be a list of named entries. `by_part`: each part of its input is a step of its own.
    `after`: the stage of another table behind which it stands in the flow.
    `input_params`: parameters of its inputs that it reads beside their files, as "kind.name" or "kind.*".
    A changed `version` makes every earlier artifact of the stage stale: raise it when the same params give other bytes.
    """

    name: str
    version: int
    section: str
    needs: tuple[ArtifactKind, ...]
    makes: ArtifactKind
    work: Literal["beam", "task", "gang"]
    run: str
    section_type: str
    params: str | None = None
    more_needs: str | None = None
    externals: str | None = None
    named_inputs: str | None = None
    files: str | None = None
    plugins: str | None = None
    checks: tuple[str, ...] = ()
    raw: str | None = None
    estimate: str | None = None
    passes: str | None = None
    report: str | None = None
    compared: str | None = None
    explorer: str | None = None
    exporter: str | None = None
    summary: str | None = None
    order: str | None = None
    sampler: str | None = None
    prompts: str | None = None
    label: str = ""
    named: bool = False
    by_part: bool = False
    input_params: tuple[str, ...] = ()
    after: str = ""

    @property
    def is_data_stage(self) -> bool:
        """Whether it works on text, with the libraries of the data plane."""
        return self.run.startswith("pipeline.")

    def needs_of(self, section: BaseModel) -> tuple[ArtifactKind, ...]:
        """Every kind that the stage needs with these options."""
        return self.needs if self.more_needs is None else (*self.needs, *load(self.more_needs)(section))

    def named_inputs_of(self, section: BaseModel) -> list[NamedInput]:
        """The entries of earlier sections that these options name."""
        inputs: list[NamedInput] = [] if self.named_inputs is None else load(self.named_inputs)(section)
        return inputs

    def externals_of(self, section: BaseModel) -> dict[str, Artifact]:
        """Artifacts of other runs that these options name.

        Raises: UserError when a folder holds none.
        """
        folders: dict[str, str] = {} if self.externals is None else load(self.externals)(section)
        return {name: artifact_named(folder, f"{self.section}.{name}") for name, folder in folders.items()}

    def params_of(self, section: BaseModel, seed: int) -> JsonObject:
        """What enters the fingerprint, defaults filled, JSON-able; with the sources of plug-ins where there are any."""
        params = section.model_dump(mode="json") if self.params is None else load(self.params)(section, seed)
        return with_sources(params, plugin_names(section) if self.plugins is None else load(self.plugins)(section))
