"""`python -m conda_store_hub`: the service's commands, or what to install for them."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the `conda-store-hub` command; exit status 1 in words where only the base is installed."""
    try:
        from conda_store_hub.app import main as run
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("conda_store_hub"):
            raise
        sys.exit(f"The service is not installed here ({error.name} is missing): pip install 'conda-store-hub[server]'")
    run()


if __name__ == "__main__":
    main()
