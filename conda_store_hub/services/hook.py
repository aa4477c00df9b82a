"""The administrator's own check of specifications: asked when one is submitted, and before anything is built."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor

from conda_store_hub.core.errors import PolicyRefusedError
from conda_store_hub.services.rules import BuildRules, Proposal

_LONGEST_SENTENCE = 1_000
_LONGEST_SECONDS = 30.0
# Threads of its own: a check that never answers holds up those who wait for it, and nobody else.
_threads = ThreadPoolExecutor(8, thread_name_prefix="validate_specification")


async def ask_in_time(proposal: Proposal, rules: BuildRules, log: logging.Logger) -> None:
    """Do what `ask` does, in a thread and not for longer than half a minute."""
    if rules.hook is None:
        return
    asked = asyncio.get_running_loop().run_in_executor(_threads, ask, proposal, rules, log)
    try:
        async with asyncio.timeout(_LONGEST_SECONDS):
            await asked
    except TimeoutError:
        log.error("validate_specification did not answer about “%s/%s”", proposal.namespace, proposal.environment)  # noqa: TRY400
        raise PolicyRefusedError(
            "This service's own check of specifications did not answer, so nothing is built;"
            " try again, or tell its administrators."
        ) from None


def ask(proposal: Proposal, rules: BuildRules, log: logging.Logger) -> None:
    """Ask the administrator's own check; raise PolicyRefusedError with its sentence, or when it fails itself."""
    if rules.hook is None:
        return
    try:
        sentence = _sentence(rules.hook(proposal))
    except PolicyRefusedError:
        raise
    except (Exception, SystemExit) as exc:
        log.exception("validate_specification failed on “%s/%s”", proposal.namespace, proposal.environment)
        raise PolicyRefusedError(
            "This service's own check of specifications failed, so nothing is built;"
            " its administrators find the reason in the log."
        ) from exc
    if sentence is not None:
        raise PolicyRefusedError(sentence[:_LONGEST_SENTENCE] or None)


def _sentence(answer: object) -> str | None:
    if answer is None or isinstance(answer, str):
        return answer
    raise TypeError(f"validate_specification returned {type(answer).__name__}, not None or a sentence")
