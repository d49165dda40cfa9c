"""The model stages, in the order of the flow: import strings alone, so that planning loads nothing heavy."""

from __future__ import annotations

from pipeline.core.stage import StageSpec

STAGES: tuple[StageSpec, ...] = (
    StageSpec(
        name="pretrain", version=2, section="pretrain", needs=("tokenizer", "tokens"), makes="model", work="gang",
        run="training.stages.pretrain:run",
        section_type="training.section:Pretrain", params="training.section:pretrain_params",
        more_needs="training.section:needs", externals="training.section:externals",
        files="training.section:file_sources",
    ),
    StageSpec(
        name="evaluate", version=2, section="evaluate", needs=("documents", "tokenizer", "tokens", "model"),
        makes="scores", work="task",
        run="training.stages.evaluate:run",
        section_type="training.evaluation.section:Evaluate", params="training.evaluation.section:evaluate_params",
        files="training.evaluation.section:file_sources",
    ),
    StageSpec(
        name="export", version=2, section="export", needs=("tokenizer", "tokens", "model"), makes="files", work="task",
        run="training.stages.export:run",
        section_type="training.export.section:Export",
    ),
)  # fmt: skip
