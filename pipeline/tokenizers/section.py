"""The YAML sections `tokenizer` and `pack`. Imports only pydantic, so that `check` and `plan` stay fast."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple

from pydantic import Field, PositiveInt, field_validator, model_validator
from pydantic_core import PydanticCustomError

from pipeline.core.config import Section, UserPath, alternative
from pipeline.core.errors import UserError
from pipeline.core.files import JsonObject
from pipeline.core.job import SourceFiles
from pipeline.text import chinese_words, unicode
from pipeline.tokenizers import TOKENIZERS, tokenizer_file
from pipeline.tokenizers.special_tokens import BUILT_IN_SPECIALS, CONTINUATION

if TYPE_CHECKING:
    from typing import TypeAlias

    KindName: TypeAlias = str
else:
    KindName = alternative(TOKENIZERS)

BYTES = 256  # the byte tokens of BPE, without which it cannot encode every document
TRAINED_OPTIONS: JsonObject = {"vocabulary": 32_000, "sample_bytes": 16_000_000, "specials": []}
# the options of each kind with their defaults; the README gives the reasons
DEFAULT_OPTIONS: dict[str, JsonObject] = {
    "bpe": TRAINED_OPTIONS,
    "wordpiece": {**TRAINED_OPTIONS, "lowercase": False},
    "word": {**TRAINED_OPTIONS, "sample_bytes": 256_000_000, "lowercase": True, "min_count": 5},
    "file": {"path": None, "sample_bytes": 16_000_000},
}
# a kind of the user may have every option of a trained kind
PLUGIN_OPTIONS: JsonObject = {**TRAINED_OPTIONS, "lowercase": None, "min_count": None}


class OptionProblem(NamedTuple):
    """An option and what is wrong with it."""

    option: str
    message: str


class Tokenizer(Section):
    """`kind`: a name of the registry or "module:Class"; `sample_bytes` limits the text used for training (README).

    `specials` follow the special tokens of the kind. `lowercase` is an option of the kinds wordpiece and word,
    `min_count` of word, and `path`, a folder or a tokenizer.json, of file.
    """

    ADDED: ClassVar[JsonObject] = {
        "vocabulary": None, "sample_bytes": None, "specials": [], "lowercase": None, "min_count": None, "path": None,
    }  # fmt: skip

    kind: KindName = "bpe"
    vocabulary: PositiveInt | None = None
    sample_bytes: PositiveInt | None = None
    specials: list[str] = []
    lowercase: bool | None = None
    min_count: PositiveInt | None = None
    path: UserPath | None = None

    @model_validator(mode="before")
    @classmethod
    def _fill_defaults_of_kind(cls, value: object) -> object:
        if not isinstance(value, dict):
            return value
        defaults = DEFAULT_OPTIONS.get(str(value.get("kind", "bpe")), PLUGIN_OPTIONS)
        return {**defaults, **{name: option for name, option in value.items() if option is not None}}

    @field_validator("kind")
    @classmethod
    def _check_segmenter(cls, kind: str) -> str:
        if kind == "word":
            try:
                chinese_words.identity()
            except UserError as error:
                raise ValueError(str(error)) from error
        return kind

    @model_validator(mode="after")
    def _check_options(self) -> Tokenizer:
        problems = [
            *self._options_of_other_kinds(),
            *self._vocabulary_too_small(),
            *self._repeated_specials(),
            *self._one_character_specials(),
            *self._unreadable_file(),
        ]
        if problems:
            inner = [((problem.option,), problem.message, "") for problem in problems]
            raise PydanticCustomError("component", "{message}", {"message": "wrong options", "inner": inner})
        return self

    def _options_of_other_kinds(self) -> list[OptionProblem]:
        own = DEFAULT_OPTIONS.get(self.kind, PLUGIN_OPTIONS)
        foreign = [name for name, neutral in self.ADDED.items() if getattr(self, name) != neutral and name not in own]
        owners = {name: [kind for kind, options in DEFAULT_OPTIONS.items() if name in options] for name in foreign}
        return [
            OptionProblem(name, f"is not an option of kind: {self.kind}, but of {', '.join(owners[name])}.")
            for name in foreign
        ]

    def _vocabulary_too_small(self) -> list[OptionProblem]:
        built_in = BUILT_IN_SPECIALS.get(self.kind, ())
        least = len(built_in) + len(self.specials) + (BYTES if self.kind == "bpe" else 1)
        if self.vocabulary is None or self.vocabulary >= least:
            return []
        return [OptionProblem("vocabulary", f"should be at least {least} for kind: {self.kind}, is {self.vocabulary}.")]

    def _repeated_specials(self) -> list[OptionProblem]:
        built_in = BUILT_IN_SPECIALS.get(self.kind, ())
        repeated = [
            name for index, name in enumerate(self.specials) if name in (*built_in, *self.specials[:index]) or not name
        ]
        return [OptionProblem("specials", f"{name!r} is empty or already present. Remove it.") for name in repeated]

    def _one_character_specials(self) -> list[OptionProblem]:
        """Where single characters are tokens, text needs each of them."""
        if self.kind not in ("bpe", "wordpiece"):
            return []
        prefix = CONTINUATION if self.kind == "wordpiece" else ""
        short = [name for name in self.specials if len(name.removeprefix(prefix)) == 1]
        return [
            OptionProblem("specials", f"{name!r} is a character of text. Use a longer name, such as <|{name}|>.")
            for name in short
        ]

    def _unreadable_file(self) -> list[OptionProblem]:
        if self.kind != "file":
            return []
        if self.path is None:
            return [OptionProblem("path", "is missing. Write the path of a folder or of a tokenizer.json.")]
        try:
            tokenizer_file.read(self.path)
        except UserError as error:
            return [OptionProblem("path", str(error))]
        return []


def tokenizer_params(section: Tokenizer, seed: int) -> JsonObject:
    """What enters the fingerprint: the section, the content of a file instead of its path, the versions for words."""
    params = section.model_dump(mode="json")
    if section.kind == "word":
        return {**params, "segmenter": chinese_words.identity(), "unicode": unicode.version()}
    if section.path is not None:
        return {
            **{name: value for name, value in params.items() if name != "path"},
            "sha256": tokenizer_file.read(section.path).sha256,
        }
    return params


def tokenizer_files(section: Tokenizer) -> list[SourceFiles]:
    """The path of the file whose hash is in `tokenizer_params`."""
    if section.path is None:
        return []
    file = tokenizer_file.read(section.path)
    return [
        {
            "source": "tokenizer",
            "reader": "file",
            "files": [{"path": str(file.path.absolute()), "name": file.path.name, "sha256": file.sha256}],
        }
    ]


class Pack(Section):
    """Rows of `length` tokens; the share `validation` of the documents of each language, at least one, is held out.

    `packing: concat` cuts the training documents, end to end, every `length` tokens; `best_fit` cuts as few of them as
    can be (best_fit_rows.py), and sets `by_source`: no row holds documents of two sources or languages. Held-out rows
    are always cut by concat, so that losses compare.
    """

    ADDED: ClassVar[JsonObject] = {"packing": "concat", "by_source": False}

    length: int = Field(1024, ge=2)
    validation: float = Field(0.005, gt=0, lt=1)
    packing: Literal["concat", "best_fit"] = "concat"
    by_source: bool = False

    @property
    def is_grouped(self) -> bool:
        """Whether rows are apart by source and language."""
        return self.by_source or self.packing == "best_fit"
