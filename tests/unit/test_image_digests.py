"""What is named by a digest is looked for by it, in folders and at addresses: nothing else gets into a descriptor."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from conda_store_hub.core.oci import Descriptor, Index, Manifest

GOOD = "sha256:" + "0a" * 32
BAD = ["", "sha256:", "sha256:../../etc/passwd", "/etc/passwd", "..", f"sha512:{'0a' * 64}", GOOD.upper(), f"{GOOD}\n"]


@pytest.mark.parametrize("digest", BAD)
def test_a_descriptor_with_what_is_no_digest_cannot_be_read(digest: str) -> None:
    good = {"mediaType": "a/b", "digest": GOOD, "size": 1}
    bad = good | {"digest": digest}
    assert Descriptor.model_validate(good).digest == GOOD
    for text in ({"config": bad, "layers": []}, {"config": good, "layers": [good, bad]}):
        with pytest.raises(ValidationError):
            Manifest.model_validate_json(json.dumps(text))
    with pytest.raises(ValidationError):
        Index.model_validate_json(json.dumps({"manifests": [bad]}))
