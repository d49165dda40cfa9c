"""Lists the parameters that differ between two artifacts of a stage, by their names in the YAML."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pipeline.core.files import JsonObject, JsonValue

MISSING = object()


def differences(old: JsonValue, new: JsonValue, path: str) -> list[str]:
    """ "clean.filters.length.min_units 80 → 100", one per differing value.

    A list of components (names, or one name with its options) is compared by name, any other list by position.
    """
    return list(_compare(old, new, path))


def _compare(old: JsonValue, new: JsonValue, path: str) -> Iterator[str]:
    old, new = _normalized(old), _normalized(new)
    if old == new:
        return
    if isinstance(old, list) and isinstance(new, list):
        yield from _compare_lists(old, new, path)
    elif isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in (*new, *(key for key in old if key not in new)):
            yield from _compare(old.get(key, MISSING), new.get(key, MISSING), f"{path}.{key}" if path else str(key))
    else:
        yield f"{path} {_formatted(old)} → {_formatted(new)}"


def _compare_lists(old: list[JsonValue], new: list[JsonValue], path: str) -> Iterator[str]:
    structured = any(isinstance(item, dict | list) for item in (*old, *new))
    before, after = _by_name(old), _by_name(new)
    if structured and before is not None and after is not None:
        yield from _compare(before, after, path)
        if before == after:
            yield f"{path} order {_formatted(list(before))} → {_formatted(list(after))}"
    elif structured and len(old) == len(new):
        for index, (old_item, new_item) in enumerate(zip(old, new, strict=True)):
            yield from _compare(old_item, new_item, f"{path}[{index}]")
    elif structured:
        yield f"{path} {len(old)} entries → {len(new)}"
    else:
        yield f"{path} {_formatted(old)} → {_formatted(new)}"


def _by_name(items: list[JsonValue]) -> JsonObject | None:
    by_name: JsonObject = {}
    for item in items:
        name, options = item, None
        if isinstance(item := _normalized(item), dict) and len(item) == 1:
            ((name, options),) = item.items()
        if not isinstance(name, str) or name in by_name:
            return None
        by_name[name] = options or {}
    return by_name


def _normalized(value: JsonValue) -> JsonValue:
    """{name: x, options: y} is equivalent to {x: y}."""
    if isinstance(value, Mapping) and set(value) == {"name", "options"}:
        return {value["name"]: value["options"]}
    return value


def _formatted(value: JsonValue) -> str:
    if value is MISSING:
        return "absent"
    if value is None:
        return "none"
    if isinstance(value, Mapping):
        text = ", ".join(f"{key} {item}" for key, item in value.items()) or "present"
    elif isinstance(value, list):
        text = f"[{', '.join(map(str, value))}]"
    else:
        text = str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
    return text if len(text) <= 60 else text[:59] + "…"
