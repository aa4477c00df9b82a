"""The administrator's own check of specifications: asked when one is submitted, and before anything is built."""

from __future__ import annotations

import logging

from conda_store_hub.core.errors import PolicyRefusedError
from conda_store_hub.services.rules import BuildRules, Proposal

_LONGEST_SENTENCE = 1_000


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
