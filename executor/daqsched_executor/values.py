"""What an executor uses of `dataclasses`, made to be cheap to define: `lean` puts it in that module's place.

The library writes the source of five methods for each class and compiles it: 0.4 ms a class, 25 ms of the 70 of an
executor's start (Python 3.11), beside each of thousands of programs. Here all classes share their methods. An instance
takes longer to make, which nobody notices at a few events a second; that it is frozen is not enforced, which the
tests do, as they and the framework use the library.
"""

from __future__ import annotations

from typing import Any, NamedTuple

MISSING: Any = type("MISSING", (), {"__repr__": lambda self: "MISSING"})()


class Field(NamedTuple):
    """One field of a class."""

    name: str
    default: Any = MISSING
    default_factory: Any = MISSING


def field(*, default: Any = MISSING, default_factory: Any = MISSING) -> Any:
    """As `dataclasses.field`, as far as it goes."""
    return Field("", default, default_factory)


def dataclass(cls: Any = None, /, *, frozen: bool = False) -> Any:
    """As `dataclasses.dataclass` for classes that inherit no fields."""
    return (lambda made: _made(made, frozen)) if cls is None else _made(cls, frozen)


def _made(cls: type, frozen: bool) -> type:
    known: dict[str, Field] = {}
    for name in cls.__dict__.get("__annotations__", ()):
        default = cls.__dict__.get(name, MISSING)
        if isinstance(default, Field):
            known[name] = Field(name, default.default, default.default_factory)
            delattr(cls, name)
        else:
            known[name] = Field(name, default, MISSING)
    attributes: dict[str, Any] = {
        "__dataclass_fields__": known,
        "__match_args__": tuple(known),
        "__init__": _init,
        "__repr__": _repr,
        "__eq__": _eq,
        "__hash__": _hash if frozen else None,
    }
    for name, value in attributes.items():
        setattr(cls, name, value)
    return cls


def _init(self: Any, /, *args: Any, **named: Any) -> None:
    known = self.__dataclass_fields__
    values = dict(zip(known, args))
    if len(args) > len(known) or named.keys() & values.keys() or not named.keys() <= known.keys():
        raise TypeError(f"{type(self).__name__} takes {', '.join(known)}, not {args!r} and {named!r}")
    values.update(named)
    if len(values) < len(known):
        for name, one in known.items():
            if name not in values:
                if one.default is not MISSING:
                    values[name] = one.default
                elif one.default_factory is not MISSING:
                    values[name] = one.default_factory()
                else:
                    raise TypeError(f"{type(self).__name__}() missing the argument {name!r}")
    self.__dict__.update(values)


def _repr(self: Any) -> str:
    parts = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__dataclass_fields__)
    return f"{type(self).__qualname__}({parts})"


def _values(self: Any) -> tuple[Any, ...]:
    return tuple(getattr(self, name) for name in self.__dataclass_fields__)


def _eq(self: Any, other: Any) -> Any:
    return _values(self) == _values(other) if type(other) is type(self) else NotImplemented


def _hash(self: Any) -> int:
    return hash(_values(self))


def fields(what: Any) -> tuple[Field, ...]:
    """The fields of a class or an instance."""
    return tuple(what.__dataclass_fields__.values())


def replace(value: Any, /, **changes: Any) -> Any:
    """The value with these fields changed."""
    return type(value)(
        **{name: getattr(value, name) for name in value.__dataclass_fields__ if name not in changes}, **changes
    )


def asdict(value: Any) -> dict[str, Any]:
    """The value as plain containers, all the way down."""
    found: dict[str, Any] = _plain(value)
    return found


def _plain(value: Any) -> Any:
    if hasattr(value, "__dataclass_fields__"):
        return {name: _plain(getattr(value, name)) for name in value.__dataclass_fields__}
    if isinstance(value, (list, tuple)):
        parts = [_plain(one) for one in value]
        made: Any = type(value)
        return made(*parts) if hasattr(value, "_fields") else made(parts)
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    return value
