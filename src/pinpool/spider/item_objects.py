"""
Objects with named fields, as items: of dataclasses, attrs, pydantic (1 and 2), msgspec, and named tuples.

None of these packages is imported here. What an object is, is seen by the names that its class has.
"""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from pinpool.model import Task


def fields_of(value: object) -> Mapping[str, object] | None:
    """
    The fields of such an object by name, in their order, at one level at least; None if it is anything else.

    pydantic writes its models itself, so that its aliases for reading, its serializers, excluded and computed fields
    count. A field of msgspec that is UNSET is left out. Raises what the user's class raises.
    """
    kind: Any = type(value)
    if kind is type or isinstance(value, type | Task):
        return None
    if hasattr(kind, "__dataclass_fields__"):
        return {field.name: getattr(value, field.name) for field in fields(value)}  # type: ignore[arg-type]
    if (declared := getattr(kind, "__attrs_attrs__", None)) is not None:
        return {field.name: getattr(value, field.name) for field in declared}
    if (names := getattr(kind, "__struct_fields__", None)) is not None:
        given = ((name, getattr(value, name)) for name in names)
        return {name: part for name, part in given if type(part).__name__ != "UnsetType"}
    if hasattr(kind, "__pydantic_fields__") or hasattr(kind, "model_fields"):
        return _mapping(value.model_dump(mode="json"))  # type: ignore[attr-defined]
    if hasattr(kind, "__fields__") and hasattr(kind, "dict"):
        return _mapping(value.dict())  # type: ignore[attr-defined]
    if isinstance(value, tuple) and (names := getattr(kind, "_fields", None)) is not None:
        return dict(zip(names, value, strict=True))
    return None


def _mapping(dumped: object) -> Mapping[str, object] | None:
    return dumped if isinstance(dumped, Mapping) else None
