"""A machine for the few pickle instructions that PyTorch's state dicts are made of. It cannot call anything.

Pickle is a program: its instructions may name any function and call it. This machine knows only instructions that
build plain values (numbers, texts, lists, tuples, dictionaries), and three that go beyond: GLOBAL gives a name of a
closed table (`Globals`), REDUCE applies what that table says of the name, and BINPERSID asks the caller for a storage.
Every other name and every other instruction is refused. Values are only moved, never copied or compared as wholes. What
a program costs is bounded by the number of its instructions: of a byte each, they make objects of a hundred.
Source of the instructions: Lib/pickletools.py of https://github.com/python/cpython.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Any

from cnnfast.formats.contents import Refused
from cnnfast.formats.strict_json import short

MAX_PROGRAM = 2**24  # bytes; a tensor takes about 200
MAX_INSTRUCTIONS = 2**20  # of all programs of a file; a tensor takes about 60
_MAX_TEXT = 2**20  # bytes of one text

Globals = Mapping[str, Any]  # "module.name" -> a function of the arguments, or a plain value


class Machine:
    """Runs pickle programs that lie in some bytes, one after the other.

    Args:
        data: the programs, perhaps with other bytes behind them.
        known: what a program may name.
        persistent: makes the value of a persistent id.
        at: where in `data` the first program begins.
    """

    def __init__(self, data: Any, known: Globals, persistent: Callable[[Any], Any], at: int = 0):
        self._data, self._known, self._persistent = data, known, persistent
        self.at = at
        self._left = MAX_INSTRUCTIONS

    def run(self) -> Any:
        """The value of the program at `at`, which moves behind it. ValueError for all that is refused."""
        self._end = min(len(self._data), self.at + MAX_PROGRAM)
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}
        while True:
            self._left -= 1
            if self._left < 0:
                raise Refused(f"the pickle has more than {MAX_INSTRUCTIONS} instructions")
            code = self._byte()
            if code == _STOP:
                if len(self._stack) != 1 or self._marks:
                    raise Refused("the pickle ends with other than one value")
                return self._pop()
            instruction = _INSTRUCTIONS.get(code)
            if instruction is None:
                raise Refused(f"the pickle has the instruction 0x{code:02x}{_name(code)}, which no state dict needs")
            instruction(self)

    # The program's bytes

    def _take(self, count: int) -> bytes:
        if not 0 <= count <= self._end - self.at:
            raise Refused("the pickle is cut off or too long")
        self.at += count
        return bytes(self._data[self.at - count : self.at])

    def _byte(self) -> int:
        return self._take(1)[0]

    def _unsigned(self, count: int) -> int:
        return int.from_bytes(self._take(count), "little")

    def _text(self, count: int) -> str:
        if count > _MAX_TEXT:
            raise Refused(f"the pickle has a text of {count} bytes")
        return self._take(count).decode("utf-8")

    def _line(self) -> str:
        """A text that ends with a newline: a module or a name."""
        window = bytes(self._data[self.at : min(self._end, self.at + 1000)])
        length = window.find(b"\n")
        if length < 0:
            raise Refused("the pickle has an endless name")
        return self._take(length + 1)[:-1].decode("utf-8")

    # The stack

    def _push(self, value: Any) -> None:
        self._stack.append(value)

    def _pop(self) -> Any:
        if len(self._stack) <= (self._marks[-1] if self._marks else 0):
            raise Refused("the pickle takes a value that is not there")
        return self._stack.pop()

    def _top(self, kind: type) -> Any:
        """The value that stays on the stack, which must be a list or a dictionary."""
        if len(self._stack) <= (self._marks[-1] if self._marks else 0) or type(self._stack[-1]) is not kind:
            raise Refused(f"the pickle adds to something that is no {kind.__name__}")
        return self._stack[-1]

    def _since_mark(self) -> list[Any]:
        if not self._marks:
            raise Refused("the pickle has no mark where one is needed")
        at = self._marks.pop()
        values = self._stack[at:]
        del self._stack[at:]
        return values

    # Instructions

    def _tuple(self, count: int) -> None:
        values = [self._pop() for _ in range(count)]
        self._push(tuple(reversed(values)))

    def _set_items(self, items: list[Any]) -> None:
        target = self._top(dict)
        if len(items) % 2:
            raise Refused("the pickle has a key without a value")
        for key, value in zip(items[::2], items[1::2], strict=True):
            if type(key) not in (str, int, float, bool, type(None)):
                raise Refused(
                    f"the pickle has a dictionary's key that is neither text nor number: {type(key).__name__}"
                )
            target[key] = value

    def _append(self, values: list[Any]) -> None:
        self._top(list).extend(values)

    def _set_item(self) -> None:
        value, key = self._pop(), self._pop()
        self._set_items([key, value])

    def _global(self, module: Any, name: Any) -> None:
        full = f"{module}.{name}" if type(module) is str and type(name) is str else "a name that is no text"
        if full not in self._known:
            raise Refused(
                f"the pickle names {short(full)}, which is not among what a state dict needs. Nothing was run. "
                "Save the state dict alone: torch.save(model.state_dict(), path)"
            )
        self._push(self._known[full])

    def _stack_global(self) -> None:
        name, module = self._pop(), self._pop()
        self._global(module, name)

    def _reduce(self) -> None:
        arguments, function = self._pop(), self._pop()
        if type(arguments) is not tuple or not isinstance(function, Rebuild):
            raise Refused("the pickle calls something that is no function of PyTorch's tensors")
        self._push(function.make(*function.checked(arguments)))

    def _build(self) -> None:
        """Attributes of an object: those that PyTorch gives an ordered dictionary (`_metadata`) say nothing here."""
        attributes = self._pop()
        self._top(dict)
        if type(attributes) is not dict:
            raise Refused("the pickle sets the state of an object by something other than a dictionary")

    def _put(self, key: int) -> None:
        if len(self._stack) <= (self._marks[-1] if self._marks else 0):
            raise Refused("the pickle remembers a value that is not there")
        self._memo[key] = self._stack[-1]

    def _get(self, key: int) -> None:
        if key not in self._memo:
            raise Refused(f"the pickle recalls value {key}, which it never stored")
        self._push(self._memo[key])


class Rebuild:
    """What REDUCE does for a name of the table: a function of a known number of arguments, made here.

    Args:
        make: the function.
        least, most: how many arguments it takes.
    """

    def __init__(self, make: Callable[..., Any], least: int, most: int):
        self.make, self._least, self._most = make, least, most

    def checked(self, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        if not self._least <= len(arguments) <= self._most:
            raise Refused(f"the pickle calls a function with {len(arguments)} arguments")
        return arguments


def _protocol(machine: Machine) -> None:
    version = machine._byte()
    if not 2 <= version <= 5:
        raise Refused(f"the pickle has protocol {version}, expected 2 to 5")


_STOP = 0x2E
_INSTRUCTIONS: dict[int, Callable[[Machine], None]] = {
    0x80: _protocol,
    0x95: lambda m: _ignore(m._take(8)),  # FRAME: a hint for buffering
    0x28: lambda m: m._marks.append(len(m._stack)),  # MARK
    # constants
    0x4E: lambda m: m._push(None),  # NONE
    0x88: lambda m: m._push(True),  # NEWTRUE
    0x89: lambda m: m._push(False),  # NEWFALSE
    0x4A: lambda m: m._push(int.from_bytes(m._take(4), "little", signed=True)),  # BININT
    0x4B: lambda m: m._push(m._byte()),  # BININT1
    0x4D: lambda m: m._push(m._unsigned(2)),  # BININT2
    0x8A: lambda m: m._push(int.from_bytes(m._take(m._byte()), "little", signed=True)),  # LONG1
    0x47: lambda m: m._push(struct.unpack(">d", m._take(8))[0]),  # BINFLOAT
    0x58: lambda m: m._push(m._text(m._unsigned(4))),  # BINUNICODE
    0x8C: lambda m: m._push(m._text(m._byte())),  # SHORT_BINUNICODE
    0x54: lambda m: m._push(m._text(m._unsigned(4))),  # BINSTRING, of Python 2
    0x55: lambda m: m._push(m._text(m._byte())),  # SHORT_BINSTRING
    # containers
    0x7D: lambda m: m._push({}),  # EMPTY_DICT
    0x5D: lambda m: m._push([]),  # EMPTY_LIST
    0x29: lambda m: m._push(()),  # EMPTY_TUPLE
    0x85: lambda m: m._tuple(1),  # TUPLE1
    0x86: lambda m: m._tuple(2),  # TUPLE2
    0x87: lambda m: m._tuple(3),  # TUPLE3
    0x74: lambda m: m._push(tuple(m._since_mark())),  # TUPLE
    0x73: lambda m: m._set_item(),  # SETITEM
    0x75: lambda m: m._set_items(m._since_mark()),  # SETITEMS
    0x61: lambda m: m._append([m._pop()]),  # APPEND
    0x65: lambda m: m._append(m._since_mark()),  # APPENDS
    # the memo
    0x71: lambda m: m._put(m._byte()),  # BINPUT
    0x72: lambda m: m._put(m._unsigned(4)),  # LONG_BINPUT
    0x94: lambda m: m._put(len(m._memo)),  # MEMOIZE
    0x68: lambda m: m._get(m._byte()),  # BINGET
    0x6A: lambda m: m._get(m._unsigned(4)),  # LONG_BINGET
    # what is not a plain value
    0x63: lambda m: m._global(m._line(), m._line()),  # GLOBAL
    0x93: lambda m: m._stack_global(),  # STACK_GLOBAL
    0x52: lambda m: m._reduce(),  # REDUCE
    0x62: lambda m: m._build(),  # BUILD
    0x51: lambda m: m._push(m._persistent(m._pop())),  # BINPERSID
}
_REFUSED_NAMES = {0x69: "INST", 0x6F: "OBJ", 0x81: "NEWOBJ", 0x92: "NEWOBJ_EX", 0x82: "EXT1", 0x50: "PERSID"}


def _ignore(_: bytes) -> None:
    pass


def _name(code: int) -> str:
    return f" ({_REFUSED_NAMES[code]})" if code in _REFUSED_NAMES else ""
