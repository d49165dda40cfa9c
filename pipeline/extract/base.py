"""The base class of extractors: the HTML of a page becomes its main text, in a process that may be killed.

To add one, subclass `Extractor`, implement `extract`, and add its name, section and class to the table in
`__init__.py`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from importlib.util import find_spec
from typing import Generic, TypeVar

from pydantic import BaseModel

from pipeline.core.errors import UserError

Options = TypeVar("Options", bound=BaseModel)
FOR_EVERY_PAGE = ("resiliparse", "brotli")  # the detector of charsets; what many servers compress with
INSTALL = "pip install 'bloomery[web]'"


class Extractor(ABC, Generic[Options]):
    """Extracts text. It must be deterministic, and may crash or hang: only its page is lost."""

    def __init__(self, options: Options) -> None:
        self.options = options

    @abstractmethod
    def extract(self, html: str) -> str:
        """The text of a page; empty if it has none."""


def check_installed(section: type[BaseModel]) -> None:
    """Check that the modules of an extractor can be imported, and those that every page may need; imports none.

    Raises: UserError with the pip command.
    """
    modules = dict.fromkeys((*FOR_EVERY_PAGE, *getattr(section, "LIBRARIES", ())))
    missing = [name for name in modules if find_spec(name) is None]
    if missing:
        raise UserError(f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not installed: {INSTALL}")
