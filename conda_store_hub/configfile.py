"""`conda_store_hub_config.py`: read, and held against the classes and traits there are; a typo names its line."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

from traitlets.config import Config, Configurable
from traitlets.config.loader import PyFileConfigLoader

from conda_store_hub.core.errors import ConfigurationError


def load(path: Path, classes: Iterable[type[Configurable]]) -> Config:
    """Execute the file and return its configuration; a file that is not there is an empty one.

    Raises ConfigurationError for what cannot run, and for a class or trait that does not exist, with its line.
    """
    if not path.exists():
        return Config()
    text = path.read_text()
    try:
        config = PyFileConfigLoader(path.name, path=str(path.parent)).load_config()
    except SyntaxError as exc:
        raise ConfigurationError(f"{path}: {exc.msg}.", line=exc.lineno) from exc
    except Exception as exc:
        raise ConfigurationError(f"{path}: {type(exc).__name__}: {exc}.", line=_line_of(exc, path)) from exc
    _check(config, path, text, {cls.__name__: cls for cls in classes})
    return config


def _line_of(exc: Exception, path: Path) -> int | None:
    traceback, line = exc.__traceback__, None
    while traceback is not None:
        if traceback.tb_frame.f_code.co_filename == str(path):
            line = traceback.tb_lineno
        traceback = traceback.tb_next
    return line


def _check(config: Config, path: Path, text: str, classes: dict[str, type[Configurable]]) -> None:
    for section, values in config.items():
        cls = classes.get(section)
        if cls is None:
            raise _unknown(path, text, section, None, f"class {section}", classes)
        traits = set(cast("dict[str, Any]", cls.class_traits(config=True)))
        for name in values:
            if name not in traits:
                raise _unknown(path, text, section, name, f"trait {section}.{name}", traits)


def _unknown(
    path: Path, text: str, section: str, name: str | None, what: str, known: Iterable[str]
) -> ConfigurationError:
    near = difflib.get_close_matches(name or section, list(known), n=1)
    hint = f" Did you mean {near[0]}?" if near else f" There are: {', '.join(sorted(known))}."
    return ConfigurationError(f"{path}: there is no {what}.{hint}", line=_place(text, section, name))


def _place(text: str, section: str, name: str | None) -> int | None:
    """Find the line on which `c.SECTION` or `c.SECTION.NAME` is first set."""
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.Attribute):
            continue
        owner = node.value if name is not None else node
        if (name is None or node.attr == name) and isinstance(owner, ast.Attribute) and owner.attr == section:
            return node.lineno
    return None
