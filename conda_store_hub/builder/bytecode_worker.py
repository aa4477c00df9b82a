"""Compiles Python files; run as a script by the environment's own Python, 3.7 or newer, which has nothing of ours.

Standard input is a JSON object: `parent` (the process to end with), `by_time` (bytecode that is compared with its
source's time; else it is never compared), and `jobs`: lists of the source's path, the path to write, and the name that
goes into the code. Standard output gets a line for each job, in order: `+`, or `-` for one that does not compile.
"""

from __future__ import annotations

import gc
import importlib.util
import json
import marshal
import os
import sys

_MAGIC = importlib.util.MAGIC_NUMBER
_UNCHECKED_HASH = b"\1\0\0\0"  # PEP 552
_BY_TIME = b"\0\0\0\0"
_FLUSH_EVERY = 20


def main() -> None:
    """Describe the interpreter, or do the jobs."""
    if sys.argv[1:] == ["describe"]:
        json.dump({"tag": sys.implementation.cache_tag, "magic": _MAGIC.hex()}, sys.stdout)
        return
    request = json.load(sys.stdin)
    # Code has few cycles: looking for them costs a tenth of the time.
    gc.disable()
    for number, (source, target, name) in enumerate(request["jobs"]):
        if os.getppid() != request["parent"]:
            os._exit(1)
        sys.stdout.write("+\n" if _compile(source, target, name, request["by_time"]) else "-\n")
        if number % _FLUSH_EVERY == 0:
            sys.stdout.flush()


def _compile(source: str, target: str, name: str, by_time: bool) -> bool:
    try:
        with open(source, "rb") as file:  # noqa: PTH123 - thousands of files, and no pathlib otherwise
            text = file.read()
            status = os.fstat(file.fileno())
        code = marshal.dumps(compile(text, name, "exec", dont_inherit=True))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    if by_time:
        head = _BY_TIME + _number(status.st_mtime) + _number(status.st_size)
    else:
        head = _UNCHECKED_HASH + importlib.util.source_hash(text)
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o444)
    with os.fdopen(descriptor, "wb") as out:
        out.write(_MAGIC + head + code)
    return True


def _number(value: float) -> bytes:
    return (int(value) & 0xFFFFFFFF).to_bytes(4, "little")


if __name__ == "__main__":
    main()
