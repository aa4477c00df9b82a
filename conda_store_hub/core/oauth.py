"""How programs log in (OAuth 2.0, RFC 6749, 7636 and 8252): what the service and its one client agree on beforehand."""

from __future__ import annotations

CLIENT_ID = "conda-store"
"""The command line: the only program that there is, and a public one."""

METADATA_PATH = ".well-known/oauth-authorization-server"
AUTHORIZE_PATH = "oauth2/authorize/"
TOKEN_PATH = "oauth2/token/"  # noqa: S105 - no password
REVOKE_PATH = "oauth2/revoke/"
CALLBACK_PATH = "/callback"
"""Where a program that listens on a loopback address is called back."""

CHALLENGE_METHOD = "S256"
MAX_HOST = 64
"""Characters of the name that a program gives of its machine."""
