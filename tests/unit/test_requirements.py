"""What is imported is named, and what is installed is pinned."""

import ast
import re
import sys
from importlib.metadata import PackageNotFoundError, packages_distributions, requires, version

import pytest
from packaging.requirements import Requirement

from ontogeny.paths import PROJECT

ENVS = PROJECT / "envs"


def canonical(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(file):
    """Names and versions of the lines of a file; any other line than NAME==VERSION fails."""
    lines = [line.partition("#")[0].strip() for line in (ENVS / file).read_text().splitlines()]
    found = [
        re.fullmatch(r"([\w.-]+)==([\w.]+)", line)
        for line in lines
        if line and not line.startswith("-")
    ]
    assert None not in found, file
    names = [canonical(match[1]) for match in found]
    assert len(set(names)) == len(names)
    return dict(zip(names, (match[2] for match in found), strict=True))


NAMED = pins("requirements.txt")
FOR_TESTS = pins("requirements-dev.txt")
LOCK = pins("requirements.lock")


def imported(*folders):
    """Packages from elsewhere that the Python files of these folders import, each with a file."""
    found = {}
    for folder in folders:
        for file in sorted((PROJECT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.Import):
                    names = [alias.name for alias in node.names]
                elif isinstance(node, ast.ImportFrom) and not node.level:
                    names = [node.module]
                else:
                    continue
                for name in names:
                    found.setdefault(name.partition(".")[0], file.name)
    own = {
        path.stem for folder in ("scripts", *folders) for path in (PROJECT / folder).rglob("*.py")
    }
    own |= {"ontogeny", *sys.stdlib_module_names}
    return {name: file for name, file in found.items() if name not in own}


def unnamed(packages, named):
    distributions = packages_distributions()
    return {
        name: file
        for name, file in packages.items()
        if not {canonical(of) for of in distributions.get(name, [name])} & set(named)
    }


def test_what_the_scripts_import_is_named():
    packages = imported("scripts")
    assert {"torch", "yaml", "xxhash"} < set(packages)
    assert unnamed(packages, NAMED) == {}


def test_what_tests_and_benchmarks_import_is_named():
    assert unnamed(imported("tests", "benchmarks"), NAMED | FOR_TESTS) == {}


def test_the_lock_agrees_with_what_is_named():
    for name, pinned in (NAMED | FOR_TESTS).items():
        assert LOCK[name] == pinned, name


def test_the_lock_holds_for_both_installations():
    assert "-c requirements.lock" in (ENVS / "requirements.txt").read_text().splitlines()
    assert "-r requirements.txt" in (ENVS / "requirements-dev.txt").read_text().splitlines()


def brought(name, extras, seen):
    """Add what an installed distribution needs on this platform, and what that needs, to `seen`."""
    for line in requires(name) or []:
        needed = Requirement(line)
        marked = [{"extra": extra} for extra in (extras or {""})]
        if needed.marker and not any(map(needed.marker.evaluate, marked)):
            continue
        key = (canonical(needed.name), frozenset(needed.extras))
        if key not in seen:
            seen.add(key)
            brought(*key, seen)


def test_the_lock_pins_all_that_is_brought():
    seen = set()
    for name in NAMED | FOR_TESTS:
        try:
            version(name)
        except PackageNotFoundError:
            pytest.skip(f"{name} is not installed here")
        brought(name, frozenset(), seen)
    names = {name for name, _ in seen}
    # what a torch with CUDA brings, and pins by itself
    names = {name for name in names if not name.startswith(("nvidia-", "cuda-", "triton"))}
    assert len(names) > 80
    assert names - set(LOCK) == set()


def test_the_lock_names_no_place_of_its_own():
    text = (ENVS / "requirements.lock").read_text()
    assert "file:" not in text and " @ " not in text and "+cpu" not in text
