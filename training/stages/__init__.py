"""The model stages, in the order of the flow: import strings alone, so that planning loads nothing heavy."""

from __future__ import annotations

from pipeline.core.stage import StageSpec

STAGES: tuple[StageSpec, ...] = (
    StageSpec(
        name="annotate", version=1, section="annotate", needs=("documents",), makes="annotations", work="task",
        run="training.stages.annotate:run", after="signals",
        section_type="training.annotation.section:Annotate", params="training.annotation.section:annotate_params",
        externals="training.annotation.section:externals", files="training.annotation.section:file_sources",
        checks=("training.annotation.section:files_are_there",),
        report="training.reports.annotate:annotate", summary="training.reports.annotate:summary",
        named=True, by_part=True,
    ),
    StageSpec(
        name="embed", version=1, section="embed", needs=("documents",), makes="vectors", work="task",
        run="training.stages.embed:run", after="dedupe",
        section_type="training.embedding.section:Embed", params="training.embedding.section:embed_params",
        externals="training.annotation.section:externals", files="training.annotation.section:file_sources",
        checks=("training.annotation.section:files_are_there",),
        report="training.reports.embed:embed", summary="training.reports.embed:summary", by_part=True,
    ),
    StageSpec(
        name="pretrain", version=3, section="pretrain", needs=("tokenizer", "tokens"), makes="model", work="gang",
        run="training.stages.pretrain:run",
        section_type="training.section:Pretrain", params="training.identity:pretrain_params",
        more_needs="training.compatibility:needs", externals="training.identity:externals",
        files="training.identity:file_sources",
        checks=(
            "training.cross_checks:rows_and_model", "training.cross_checks:mixture_and_sources",
            "training.cross_checks:family_and_options",
            "training.cross_checks:tokenizer_and_objective",
        ),
        estimate="training.planning.estimate:estimate", passes="training.planning.estimate:passes_remark",
        report="training.reports.pretrain:pretrain", compared="training.reports.compared:pretrain",
        order="training.order:training_order",
        sampler="training.sampling:ModelSampler", label="checkpoint", named=True, input_params=("tokens.length",),
    ),
    StageSpec(
        name="evaluate", version=4, section="evaluate", needs=("documents", "tokenizer", "tokens", "model"),
        makes="scores", work="task",
        run="training.stages.evaluate:run",
        section_type="training.evaluation.section:Evaluate", params="training.evaluation.section:evaluate_params",
        files="training.evaluation.section:file_sources",
        checks=("training.cross_checks:tasks_and_family",), report="training.reports.evaluate:evaluate",
        compared="training.reports.compared:evaluate",
        prompts="training.evaluation.section:prompts", label="scores", named=True, input_params=("model.seed",),
    ),
    StageSpec(
        name="export", version=2, section="export", needs=("tokenizer", "tokens", "model"), makes="files", work="task",
        run="training.stages.export:run",
        section_type="training.export.section:Export",
        checks=("training.cross_checks:formats_and_model",), compared="training.reports.compared:export",
        label="export", named=True, input_params=("model.*",),
    ),
)  # fmt: skip
