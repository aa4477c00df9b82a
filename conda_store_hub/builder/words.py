"""Numbers as people read them in the log."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from conda_store_hub.core.protocol import Package


def count(number: int, noun: str) -> str:
    """Return `1 file`, `2 files`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def format_size(size: int) -> str:
    """Return bytes in kB, MB or GB."""
    for factor, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size} B"


def format_seconds(seconds: float) -> str:
    """Return seconds, or minutes and seconds."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{int(seconds) // 60} min {int(seconds) % 60} s"


def format_table(packages: Sequence[Package]) -> Iterator[str]:
    """Yield one line a package: name, version, build, channel, and the bytes to download."""
    rows = [(each.name, each.version, each.build, _short_channel(each), format_size(each.size)) for each in packages]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(4)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row[:4], widths, strict=True)]
        yield f"  {'  '.join(cells)}  {row[4]:>8}"


def _short_channel(package: Package) -> str:
    return "/".join([package.channel.rpartition("/")[2], package.subdir])
