"""What a server says of a file without sending it."""

from __future__ import annotations

import urllib.error
import urllib.request
from email.message import Message

_GONE = (404, 410)


def read_head(address: str, patience: float) -> Message | None:
    """Return the headers of a file, None if there is none.

    Raises OSError or HTTPException if the server does not tell in `patience` seconds, and ValueError for what is
    no address of a web server.
    """
    if not address.startswith(("http://", "https://")):
        raise ValueError("not an address of a web server")
    request = urllib.request.Request(  # noqa: S310 - looked at above
        address, method="HEAD", headers={"User-Agent": "conda-store-hub"}
    )
    try:
        with urllib.request.urlopen(request, timeout=patience) as response:  # noqa: S310
            return response.headers
    except urllib.error.HTTPError as exc:
        exc.close()
        if exc.code in _GONE:
            return None
        raise
