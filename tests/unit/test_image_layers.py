"""Which layers an image has: few enough, and the same for what is the same in another environment."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from conda_store_hub.core.image_layers import LayerPlan, plan_layers
from conda_store_hub.core.oci import MOST_BASE_LAYERS, MOST_LAYERS
from conda_store_hub.core.protocol import Package

MOST = MOST_LAYERS - MOST_BASE_LAYERS - 3  # what hides the base's, the pip part, and what is the environment's own


def package(name: str, version: str = "1", **values: object) -> Package:
    given = {"sha256": f"{name}-{version}", "installed_size": 1000, "subdir": "linux-64", **values}
    return Package.model_validate({"manager": "conda", "name": name, "version": version, **given})


def packages(number: int) -> list[Package]:
    """Return packages of many sizes; the largest is the last."""
    return [package(f"p{index:03}", installed_size=1000 * index) for index in range(number)]


def keys(plans: Sequence[LayerPlan]) -> set[str]:
    return {plan.key for plan in plans}


@pytest.mark.parametrize("number", [0, 1, MOST, MOST + 1, 300, 1000])
def test_there_are_never_too_many_and_each_package_is_in_one(number: int) -> None:
    plans = plan_layers(packages(number))
    assert len(plans) <= MOST
    assert sorted(name for plan in plans for name in plan.packages) == [each.name for each in packages(number)]
    assert len(keys(plans)) == len(plans)


def test_the_order_of_what_is_given_does_not_count() -> None:
    assert plan_layers(packages(300)) == plan_layers(packages(300)[::-1])


def test_what_pip_installed_is_in_none_of_them() -> None:
    plans = plan_layers([package("python"), package("tiny", manager="pip")])
    assert [plan.packages for plan in plans] == [("python",)]


@pytest.mark.parametrize("number", [40, 300])
def test_one_package_of_another_version_changes_one_layer(number: int) -> None:
    before = packages(number)
    for changed in (0, number - 1):
        after = [package(each.name, "2", installed_size=each.installed_size) for each in before[changed : changed + 1]]
        others = [each for each in before if each.name != after[0].name]
        assert len(keys(plan_layers(before)) - keys(plan_layers([*others, *after]))) == 1


@pytest.mark.parametrize(("number", "most"), [(40, 0), (MOST - 1, 0), (300, 2)])
@pytest.mark.parametrize("size", [0, 10_000_000])
def test_one_package_more_changes_few_layers(number: int, most: int, size: int) -> None:
    before = plan_layers(packages(number))
    after = plan_layers([*packages(number), package("new", installed_size=size)])
    assert len(keys(before) - keys(after)) <= most


def test_a_python_of_another_version_counts_for_what_is_compiled_for_it_alone() -> None:
    others = [
        package("noarch", subdir="noarch"),
        package("extension", depends=("python >=3.11,<3.12",)),
        package("python-less", depends=("pythonic",)),
    ]
    before, after = (plan_layers([package("python", version), *others]) for version in ("3.11.1", "3.11.2"))
    kept = {name for plan in after for name in plan.packages if plan.key in keys(before)}
    assert kept == {"python-less"}


def test_a_package_without_some_of_its_files_has_a_layer_of_its_own() -> None:
    whole, odd = plan_layers(packages(3)), plan_layers(packages(3), ["p001"])
    assert [one.key == other.key for one, other in zip(whole, odd, strict=True)] == [True, False, True]
    assert odd[1].key == ""


def test_a_package_of_which_no_digest_is_known_shares_no_layer() -> None:
    assert [bool(plan.key) for plan in plan_layers([package("a"), package("b", sha256="")])] == [True, False]
    many = plan_layers([*packages(300), package("b", sha256="", installed_size=0)])
    assert [plan.packages for plan in many if not plan.key] == [
        next(plan.packages for plan in many if "b" in plan.packages)
    ]
