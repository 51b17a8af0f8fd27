"""What an executor puts in the place of modules of which it needs next to nothing: see `lean`.

Each has what is used here, and loads the real module when it is asked for more. Its import is what they save: typing, re, enum
(behind re, signal and socket), json, logging, collections, threading, ctypes, httptools, and what pymesos imports for Python 2 are
half of an executor's start.
"""

from __future__ import annotations

import _collections  # type: ignore[import-not-found]  # typeshed has none
import _collections_abc
import _ctypes
import _json
import _signal  # type: ignore[import-not-found]  # typeshed has none
import _socket
import _struct
import _thread
import sys

from daqsched_executor.answer import HttpParser

TYPE_CHECKING = False  # typing is one of them
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import ModuleType
    from typing import Any
else:
    ModuleType = type(sys)


class Deferred(ModuleType):
    """Stands for a module until an attribute of it is asked for that it does not have."""

    def __init__(self, name: str, has: Mapping[str, Any] | None = None) -> None:
        super().__init__(name)
        self.__dict__.update(has or {})

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # the import machinery looks at these; they are no use of the module
            raise AttributeError(name)
        real = loaded(self.__name__)
        self.__dict__.update(real.__dict__)
        return getattr(real, name)


def loaded(name: str) -> ModuleType:
    """The real module."""
    if isinstance(sys.modules.get(name), Deferred):
        del sys.modules[name]
    __import__(name)
    real = sys.modules[name]
    for part in [
        one for one in sys.modules if one.startswith(f"{name}.")
    ]:  # what was there before it can't be imported again
        vars(real).setdefault(part[len(name) + 1 :], sys.modules[part])
    return real


def called(name: str, function: str) -> Callable[..., Any]:
    """A function that its module is loaded for when it is called."""
    return lambda *args, **options: getattr(loaded(name), function)(*args, **options)


# ---------------------------------------------------------------------------------------- typing


class _Subscribed:
    """Any[int], Optional[str]: evaluated where a class is made, and of no meaning here."""

    def __getitem__(self, of: Any) -> Any:
        return self

    def __or__(self, other: Any) -> Any:
        return self

    __ror__ = __or__


class _Fields(tuple):  # type: ignore[type-arg]  # fields of any type
    """NamedTuple of typing, cheap to define: its fields are those of the class that inherits it."""

    __slots__ = ()
    _fields: tuple[str, ...] = ()
    _field_defaults: dict[str, Any] = {}

    def __init_subclass__(cls) -> None:
        names = tuple(cls.__dict__.get("__annotations__", ()))
        if not names:
            return
        cls._fields = cls.__match_args__ = names  # type: ignore[misc, attr-defined]  # from Python 3.10 on
        cls._field_defaults = {name: cls.__dict__[name] for name in names if name in cls.__dict__}
        for at, name in enumerate(names):
            setattr(cls, name, _collections._tuplegetter(at, None))

    def __new__(cls, *args: Any, **named: Any) -> Any:
        known, defaults = cls._fields, cls._field_defaults
        if named or len(args) < len(known):
            try:
                args += tuple(named.pop(name) if name in named else defaults[name] for name in known[len(args) :])
            except KeyError as missing:
                raise TypeError(f"{cls.__name__}() missing the argument {missing}") from None
        if named or len(args) != len(known):
            raise TypeError(f"{cls.__name__} takes {', '.join(known)}, not {args!r} and {named!r}")
        return tuple.__new__(cls, args)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in zip(self._fields, self))})"

    def __getnewargs__(self) -> tuple[Any, ...]:
        return tuple(self)

    @classmethod
    def _make(cls, values: Any) -> Any:
        return cls(*values)

    def _replace(self, **changes: Any) -> Any:
        return type(self)(**{**self._asdict(), **changes})

    def _asdict(self) -> dict[str, Any]:
        return dict(zip(self._fields, self))


class _Nothing:
    """A base class that says nothing at run time: Protocol, Generic."""

    def __class_getitem__(cls, of: Any) -> type:
        return cls


def _typing() -> Deferred:
    words = dict.fromkeys(("Any", "Optional", "Union", "Callable", "Tuple", "List", "Dict", "Mapping"), _Subscribed())
    more = {
        "TextIO": _Subscribed(),
        "TypeVar": lambda name, *args, **options: _Subscribed(),
        "runtime_checkable": lambda kind: kind,
    }
    classes = {"NamedTuple": _Fields, "Protocol": _Nothing, "Generic": _Nothing, "TYPE_CHECKING": False}
    return Deferred("typing", {**words, **more, **classes, "cast": lambda kind, value: value})


# ---------------------------------------------------------------------------------------- json


class _Reading:  # what `make_scanner` really takes
    """What the compiled half of `json` asks for, as `json.JSONDecoder()` has it."""

    strict, object_hook, object_pairs_hook, parse_float, parse_int = True, None, None, float, int

    def __init__(self) -> None:
        self.memo: dict[str, str] = {}
        self.parse_constant = {"-Infinity": -float("inf"), "Infinity": float("inf"), "NaN": float("nan")}.__getitem__


def loads(text: str | bytes | bytearray, **options: Any) -> Any:
    """As `json.loads`, which says what is wrong with a text that is none."""
    try:
        if not options:
            read = text if isinstance(text, str) else text.decode()
            value, end = _json.make_scanner(_Reading())(  # type: ignore[arg-type]  # all that it reads of a decoder
                read, len(read) - len(read.lstrip(" \t\n\r"))
            )
            if not read[end:].strip(" \t\n\r"):
                return value
    except Exception:  # whatever it was, the real one words it
        pass
    return loaded("json").loads(text, **options)


def dumps(value: Any, **options: Any) -> str:
    """As `json.dumps`."""
    known = {"separators": None, "sort_keys": False, "allow_nan": True, **options}
    if len(known) > 3:
        return str(loaded("json").dumps(value, **options))
    item, key = known["separators"] or (", ", ": ")

    def default(value: Any) -> Any:
        raise TypeError(f"Object of type {value.__class__.__name__} is not JSON serializable")

    write = _json.make_encoder(
        {}, default, _json.encode_basestring_ascii, None, key, item, known["sort_keys"], False, known["allow_nan"]
    )
    return "".join(write(value, 0))


# ---------------------------------------------------------------------------------------- ctypes


class _Int(_ctypes._SimpleCData):  # type: ignore[type-arg]  # it has none at run time
    """c_int."""

    _type_ = "i"


class _UnsignedLong(_ctypes._SimpleCData):  # type: ignore[type-arg]  # as above
    """c_ulong; c_size_t is one on each Linux."""

    _type_ = "L"


class _Pointer(_ctypes._SimpleCData):  # type: ignore[type-arg]  # as above
    """c_void_p."""

    _type_ = "P"


class _Function(_ctypes.CFuncPtr):
    """As a CDLL with ``use_errno`` has it."""

    _flags_ = _ctypes.FUNCFLAG_CDECL | _ctypes.FUNCFLAG_USE_ERRNO
    _restype_ = _Int


class _Library:
    """``CDLL(None, use_errno=True)``, and no other."""

    def __init__(self, name: None, use_errno: bool) -> None:
        if name is not None or not use_errno:
            raise TypeError("the C library alone, and with errno")
        self._handle = _ctypes.dlopen(name, _ctypes.RTLD_LOCAL)  # type: ignore[arg-type]  # what we are made of

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        found = _Function((name, self))  # type: ignore[arg-type]  # that it has a handle is what counts
        setattr(self, name, found)
        return found


def _foreign_functions() -> Deferred:
    kinds = {"c_ulong": _UnsignedLong, "c_size_t": _UnsignedLong, "c_void_p": _Pointer}
    return Deferred("ctypes", {"CDLL": _Library, "get_errno": _ctypes.get_errno, **kinds})


# ---------------------------------------------------------------------------------------- socket, re, logging


class _Socket(_socket.socket):
    """`socket.socket`, as far as one is used here."""

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *what: Any) -> None:
        self.close()


class _Pattern:
    """Compiled when it is used."""

    def __init__(self, *args: Any) -> None:
        self._args = args

    def __getattr__(self, name: str) -> Any:
        found = getattr(loaded("re").compile(*self._args), name)
        setattr(self, name, found)  # the next time it is here
        return found


class _Logger:
    """Made when something is logged."""

    def __init__(self, name: str | None = None) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        return getattr(loaded("logging").getLogger(self._name), name)


def _public(of: ModuleType) -> dict[str, Any]:
    return {name: value for name, value in vars(of).items() if not name.startswith("__")}


def all_of_them() -> dict[str, ModuleType]:
    """By the names that they are imported under."""
    later = {name: Deferred(name) for name in ("inspect", "ipaddress", "random", "traceback", "uuid")}
    http = {"OK": 200, "TEMPORARY_REDIRECT": 307, "SERVICE_UNAVAILABLE": 503}
    # a class that the executor never makes one of: its requests go through `run.call`
    client = Deferred("http.client", {**http, "HTTPConnection": called("http.client", "HTTPConnection")})
    python2 = ModuleType("six.moves")
    python2.__dict__.update({"_thread": _thread, "http_client": client})
    urls = {"urlparse": called("urllib.parse", "urlparse")}
    answer = ModuleType("http_parser.http")
    answer.__dict__["HttpParser"] = HttpParser
    containers = {name: getattr(_collections, name) for name in ("OrderedDict", "defaultdict", "deque")}
    containers["abc"] = _collections_abc
    return {
        **later,
        "addict": Deferred("addict", {"Dict": called("addict", "Dict")}),
        "ctypes": _foreign_functions(),
        "collections": Deferred("collections", containers),
        "collections.abc": _collections_abc,
        "http.client": client,
        "http_parser": ModuleType("http_parser"),
        "http_parser.http": answer,
        "json": Deferred("json", {"loads": loads, "dumps": dumps}),
        "logging": Deferred("logging", {"getLogger": _Logger}),
        "re": Deferred("re", {"compile": _Pattern, "MULTILINE": 8}),
        "signal": Deferred("signal", _public(_signal)),
        "six": Deferred("six", {"reraise": called("six", "reraise"), "moves": python2}),
        "six.moves": python2,
        "six.moves.http_client": client,
        "six.moves.urllib": ModuleType("six.moves.urllib"),  # before its part, which becomes an attribute of it
        "six.moves.urllib.parse": Deferred("urllib.parse", urls),
        "socket": Deferred("socket", {**_public(_socket), "socket": _Socket}),
        "struct": Deferred("struct", _public(_struct)),
        "threading": Deferred(
            "threading", {"RLock": _thread.RLock, "Thread": called("threading", "Thread"), "_shutdown": int}
        ),
        "typing": _typing(),
    }
