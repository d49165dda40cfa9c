"""The YAML sections `tokenizer:` and `pack:`; pydantic only, so that `check` and `plan` stay light."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field, PositiveInt, field_validator, model_validator
from pydantic_core import PydanticCustomError

from pipeline.core.config import Section, UserPath, alternative
from pipeline.core.errors import UserError
from pipeline.core.job import SourceFiles
from pipeline.text import chinese_words, unicode
from pipeline.tokenizers import TOKENIZERS, tokenizer_file
from pipeline.tokenizers.special_tokens import BUILT_IN_SPECIALS, CONTINUATION

if TYPE_CHECKING:
    from typing import TypeAlias

    Kind: TypeAlias = str
else:
    Kind = alternative(TOKENIZERS)

BYTES = 256  # byte-level pieces: fewer cannot spell every document
TRAINED = {"vocabulary": 32_000, "sample_bytes": 16_000_000, "specials": []}
# the options of each kind and their defaults (README says why); a kind of the user's own takes what a trained one may
DEFAULT_OPTIONS: dict[str, dict[str, Any]] = {
    "bpe": TRAINED,
    "wordpiece": {**TRAINED, "lowercase": False},
    "word": {**TRAINED, "sample_bytes": 256_000_000, "lowercase": True, "min_count": 5},
    "file": {"path": None, "sample_bytes": 16_000_000},
}
PLUGIN_OPTIONS: dict[str, Any] = {**TRAINED, "lowercase": None, "min_count": None}


class Tokenizer(Section):
    """`kind`: a name of the registry or "module:Class"; `sample_bytes` bounds the text that training sees (README).

    `specials` follow the kind's own special tokens; `lowercase` is of the kinds wordpiece and word, `min_count` of
    word, `path` of file: a folder or a tokenizer.json.
    """

    ADDED: ClassVar[dict[str, Any]] = {
        "vocabulary": None, "sample_bytes": None, "specials": [], "lowercase": None, "min_count": None, "path": None,
    }  # fmt: skip

    kind: Kind = "bpe"
    vocabulary: PositiveInt | None = None
    sample_bytes: PositiveInt | None = None
    specials: list[str] = []
    lowercase: bool | None = None
    min_count: PositiveInt | None = None
    path: UserPath | None = None

    @model_validator(mode="before")
    @classmethod
    def _kind_decides(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        defaults = DEFAULT_OPTIONS.get(str(value.get("kind", "bpe")), PLUGIN_OPTIONS)
        return {**defaults, **{name: option for name, option in value.items() if option is not None}}

    @field_validator("kind")
    @classmethod
    def _words_can_be_told(cls, kind: str) -> str:
        if kind == "word":
            try:
                chinese_words.identity()
            except UserError as error:
                raise ValueError(str(error)) from error
        return kind

    @model_validator(mode="after")
    def _options_are_of_the_kind(self) -> Tokenizer:
        problems = [
            *self._foreign(),
            *self._too_small(),
            *self._specials_twice(),
            *self._specials_of_text(),
            *self._no_file(),
        ]
        if problems:
            inner = [((name,), what, "") for name, what in problems]
            raise PydanticCustomError("component", "{what}", {"what": "wrong options", "inner": inner})
        return self

    def _foreign(self) -> list[tuple[str, str]]:
        known = DEFAULT_OPTIONS.get(self.kind, PLUGIN_OPTIONS)
        given = [name for name, neutral in self.ADDED.items() if getattr(self, name) != neutral and name not in known]
        owners = {name: [kind for kind, options in DEFAULT_OPTIONS.items() if name in options] for name in given}
        return [(name, f"is no option of kind: {self.kind}, but of {', '.join(owners[name])}.") for name in given]

    def _too_small(self) -> list[tuple[str, str]]:
        own = BUILT_IN_SPECIALS.get(self.kind, ())
        least = len(own) + len(self.specials) + (BYTES if self.kind == "bpe" else 1)
        if self.vocabulary is None or self.vocabulary >= least:
            return []
        return [("vocabulary", f"should be at least {least} for kind: {self.kind}, is {self.vocabulary}.")]

    def _specials_twice(self) -> list[tuple[str, str]]:
        own = BUILT_IN_SPECIALS.get(self.kind, ())
        twice = [name for at, name in enumerate(self.specials) if name in (*own, *self.specials[:at]) or not name]
        return [("specials", f"{name!r} is there already, or empty. Leave it out.") for name in twice]

    def _specials_of_text(self) -> list[tuple[str, str]]:
        """Where single characters are pieces, text needs each of them for itself."""
        if self.kind not in ("bpe", "wordpiece"):
            return []
        inside = CONTINUATION if self.kind == "wordpiece" else ""
        short = [name for name in self.specials if len(name.removeprefix(inside)) == 1]
        return [("specials", f"{name!r} is a character of text. Name a longer one, as <|{name}|>.") for name in short]

    def _no_file(self) -> list[tuple[str, str]]:
        if self.kind != "file":
            return []
        if self.path is None:
            return [("path", "is missing. Write the folder or the tokenizer.json to be taken.")]
        try:
            tokenizer_file.read(self.path)
        except UserError as error:
            return [("path", str(error))]
        return []


def tokenizer_params(section: Tokenizer, seed: int) -> dict[str, Any]:
    """What enters the fingerprint: the section; of a file what it holds and not where it lies; what parts words."""
    found = section.model_dump(mode="json")
    if section.kind == "word":
        return {**found, "segmenter": chinese_words.identity(), "unicode": unicode.version()}
    if section.path is not None:
        return {
            **{name: value for name, value in found.items() if name != "path"},
            "sha256": tokenizer_file.read(section.path).sha256,
        }
    return found


def tokenizer_files(section: Tokenizer) -> list[SourceFiles]:
    """Where the file lies whose content `tokenizer_params` names."""
    if section.path is None:
        return []
    found = tokenizer_file.read(section.path)
    return [
        {
            "source": "tokenizer",
            "reader": "file",
            "files": [{"path": str(found.path.absolute()), "name": found.path.name, "sha256": found.sha256}],
        }
    ]


class Pack(Section):
    """Rows of `length` tokens; about `validation` of each language's documents, at least one, is held out."""

    length: int = Field(1024, ge=2)
    validation: float = Field(0.005, gt=0, lt=1)
