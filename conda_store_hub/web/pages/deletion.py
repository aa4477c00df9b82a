"""What pages have in common that ask before something is deleted: what goes, and who uses it."""

from __future__ import annotations

from dataclasses import dataclass

from conda_store_hub.core.errors import CondaStoreHubError
from conda_store_hub.web.contexts import ConfirmContext, Dated
from conda_store_hub.web.page import PageHandler
from conda_store_hub.web.rendering import show_count

_FORCE = ("force", "yes")


@dataclass(frozen=True, kw_only=True, slots=True)
class Deletion:
    """What is asked for: `place` is its address below ours, `back` where nothing happens.

    `is_used`: somebody uses it, or it is being built; who deletes it all the same was told so.
    """

    title: str
    text: str
    consequences: tuple[str | Dated, ...]
    place: str
    back: str
    is_used: bool
    here: str = ""
    fields: tuple[tuple[str, str], ...] = ()


def is_forced(handler: PageHandler) -> bool:
    """Tell whether the page that asked has named who uses it."""
    name, value = _FORCE
    return handler.get_body_argument(name, "") == value


def ask(handler: PageHandler, deletion: Deletion, error: CondaStoreHubError | None) -> None:
    """Show what would go; with what stood against it, if anything did."""
    handler.show(
        ConfirmContext(
            layout=handler.lay_out(deletion.title, deletion.here),
            text=deletion.text,
            consequences=deletion.consequences,
            action=f"{handler.prefix}{deletion.place}delete/",
            button="Delete it all the same" if deletion.is_used else "Delete it",
            back=f"{handler.prefix}{deletion.back}",
            fields=(*deletion.fields, _FORCE) if deletion.is_used else deletion.fields,
            error=error.public_message if error else "",
        )
    )


def list_uses(busy: int, used: int) -> tuple[str, ...]:
    """Say what would be cut short: builds that are queued or running, and who uses what is there."""
    says: list[str] = []
    if busy:
        says.append(f"{show_count(busy, 'build')} queued or running will be cancelled.")
    if used:
        users = show_count(used, "kernel or program", "kernels or programs")
        says.append(f"It is in use by {users}, which will break.")
    return tuple(says)
