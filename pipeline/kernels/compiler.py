"""Compiles kernels with numba: without the GIL, without bounds checks or fast-math, cached on disk.

The cache is in NUMBA_CACHE_DIR or XDG_CACHE_HOME (~/.cache) or, if neither is writable, in a temporary folder of the
process. Its name contains a hash of all kernel sources, because numba notices a changed file but not a change in a file
that it calls. The first use compiles what it calls, once for all processes of the machine: `bench_compile.py` says for
how long. Later processes load in milliseconds.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import tempfile
from collections.abc import Callable
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import numba
from numba import _dynfunc
from numba.core import compiler_lock, entrypoints
from numba.core.caching import FunctionCache
from numba.core.compiler import Compiler
from numba.core.registry import CPUDispatcher, cpu_target
from numba.core.types.misc import unliteral

from pipeline.kernels.first_use import compiling

F = TypeVar("F", bound=Callable[..., object])
Untyped: TypeAlias = Any
"""What numba passes to the methods that are overridden here: it has no types."""
LOCK_FILE = "compiling.lock"


class SharedCache(FunctionCache):  # type: ignore[misc]
    """Of several processes that need a kernel for the first time, one compiles it; the others wait, and load it."""

    compilation: ExitStack | None = None  # around the outermost kernel that is compiled now, if one is
    has_lock = False

    def load_overload(self, sig: Untyped, target_context: Untyped) -> Untyped:
        loaded = super().load_overload(sig, target_context)
        compilation = SharedCache.compilation
        if loaded is not None or compilation is None or SharedCache.has_lock:
            return loaded
        SharedCache.has_lock = True
        compilation.callback(setattr, SharedCache, "has_lock", False)
        compilation.enter_context(compiling())
        _lock_file(compilation, Path(self.cache_path).parent)
        return super().load_overload(sig, target_context)


class Kernel(CPUDispatcher):  # type: ignore[misc]
    """A kernel that Python calls."""

    def get_call_template(self, args: Untyped, kws: Untyped) -> Untyped:
        return super().get_call_template(_without_literals(args), kws)

    def compile(self, sig: Untyped) -> Untyped:
        """Load or compile the kernel for the types of `sig`. numba allows one thread at a time, which may nest."""
        with compiler_lock.global_compiler_lock, ExitStack() as compilation:
            if SharedCache.compilation is None:
                SharedCache.compilation = compilation
                compilation.callback(setattr, SharedCache, "compilation", None)
            return super().compile(sig)


class InnerKernel(CPUDispatcher):  # type: ignore[misc]
    """A function that only kernels call: without the code that reads Python objects, which takes longest to compile."""

    def __call__(self, *args: object) -> object:
        raise TypeError(f"{self.__name__} is called by kernels only. Call its py_func, or decorate it with @kernel.")

    def get_call_template(self, args: Untyped, kws: Untyped) -> Untyped:
        return super().get_call_template(_without_literals(args), kws)


class InnerCompiler(Compiler):  # type: ignore[misc]
    """Neither optimizes nor emits a function that only kernels call: that happens once, in the kernel around it."""

    def __init__(self, typingctx: Untyped, targetctx: Untyped, library: Untyped, *rest: Untyped) -> None:
        library = library or targetctx.codegen().create_library("inner")
        library._optimize_final_module = _do_nothing
        library._finalize_final_module = partial(setattr, library, "_finalized", True)
        super().__init__(typingctx, targetctx.subtarget(get_executable=_no_executable), library, *rest)


def _do_nothing() -> None:
    pass


def _no_executable(library: Untyped, fndesc: Untyped, env: Untyped) -> Untyped:
    return _dynfunc.make_function(fndesc.lookup_module(), fndesc.qualname, "", 0, env, (library,))


# no kernel is called from C
OPTIONS = {"nogil": True, "boundscheck": False, "error_model": "numpy", "no_cfunc_wrapper": True}
INNER_OPTIONS = {**OPTIONS, "no_cpython_wrapper": True, "pipeline_class": InnerCompiler}


def kernel(function: F) -> F:
    """Compile a function that is called from Python."""
    return _compiled(function, Kernel, cache=True, **OPTIONS)


def inlined(function: F) -> F:
    """Compile a function that is inlined into the kernels that call it."""
    return _compiled(function, InnerKernel, forceinline=True, **INNER_OPTIONS)


def bare_kernel(function: F) -> F:
    """Compile a function that is called from Python and allocates nothing, without numba's runtime.

    With the runtime, arrays are reference-counted: where numba cannot prove a pair of counts superfluous, as in inlined
    functions with loops, each use costs two atomic operations (12 times the time of a look-up in a hash table). The
    caller holds the arguments, so they stay alive.
    """
    return _compiled(function, Kernel, cache=True, _nrt=False, **OPTIONS)


def reordered_kernel(function: F) -> F:
    """A bare kernel whose sums of floats the compiler may reorder: faster, with last bits that depend on the processor.

    For what need not be the same on every machine, such as a bf16 training step; no kernel of the data plane.
    """
    return _compiled(function, Kernel, cache=True, _nrt=False, fastmath={"reassoc", "contract", "nsz"}, **OPTIONS)


def compiled_in(folder: Path, compile_kernel: Callable[[F], F], function: F) -> F:
    """A kernel of another folder of kernels: its cache is named by a hash of the sources there."""
    before = numba.config.CACHE_DIR
    # numba reads it when a function is decorated, and notices changes of that function's own file alone
    numba.config.CACHE_DIR = str(cache_folder(folder))
    try:
        return compile_kernel(function)
    finally:
        numba.config.CACHE_DIR = before


def inner_kernel(function: F) -> F:
    """Compile a function that only kernels call, and that is not inlined."""
    return _compiled(function, InnerKernel, **INNER_OPTIONS)


def bare_inner(function: F) -> F:
    """Compile a function that only bare kernels call, and that is not inlined unless that pays."""
    return _compiled(function, InnerKernel, _nrt=False, **INNER_OPTIONS)


def bare_inlined(function: F) -> F:
    """Compile a function that is inlined into bare kernels."""
    return _compiled(function, InnerKernel, forceinline=True, _nrt=False, **INNER_OPTIONS)


def _compiled(function: F, kind: type[CPUDispatcher], **options: object) -> F:
    compiled: F = numba.njit(**options)(function)
    if isinstance(compiled, CPUDispatcher):  # with NUMBA_DISABLE_JIT it is the function itself
        compiled.__class__ = kind
        if kind is Kernel:
            compiled._cache = SharedCache(function)
    return compiled


def _without_literals(args: Untyped) -> tuple[Untyped, ...]:
    """The types of a call. A variable that begins as 0 has the type "0" first: a version of its own, never used."""
    return tuple(unliteral(argument) for argument in args)


def _lock_file(stack: ExitStack, folder: Path) -> None:
    """Wait until no other process compiles. Without locks, as on some network disks, each compiles for itself."""
    with suppress(OSError):
        descriptor = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        stack.callback(os.close, descriptor)
        fcntl.flock(descriptor, fcntl.LOCK_EX)


def load_target() -> None:
    """Load what numba knows of types and of this processor, which the first kernel of a process otherwise does: 0.2 s.

    A process that is about to be forked does it once for its forks. Libraries that extend numba are left out: no kernel
    of ours uses them.
    """
    entrypoints._already_initialized = True
    cpu_target.typing_context.refresh()
    cpu_target.target_context.refresh()


def cache_folder(sources: Path = Path(__file__).parent) -> Path:
    """A writable folder for compiled kernels. Its name contains a hash of their sources."""
    name = f"bloomery-kernels-{_sources_hash(sources)}"
    for base in _bases():
        folder = base / name
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(folder, os.W_OK | os.X_OK):
            return folder
    return Path(tempfile.mkdtemp(prefix=name))


def _bases() -> list[Path]:
    configured = [os.environ.get(name) for name in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME")]
    home = os.path.expanduser("~")  # noqa: PTH111 - Path.home() raises where there is no home
    return [Path(base) for base in configured if base] + ([Path(home) / ".cache"] if home != "~" else [])


def _sources_hash(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:8]


# must be set before the first kernel is decorated, when numba reads it
numba.config.CACHE_DIR = str(cache_folder())
