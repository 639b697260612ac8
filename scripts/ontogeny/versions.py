"""Which versions make a result: of this project, down to the commit, and of the packages."""

import os
import platform
import re
import subprocess
from importlib.metadata import PackageNotFoundError, version

import ontogeny
from ontogeny.paths import PROJECT

REQUIREMENTS = PROJECT / "envs" / "requirements.txt"


def project_versions() -> dict[str, str]:
    """`ontogeny`, and, where the project is a git checkout, its `commit`: abbreviated, with
    `-dirty` where tracked files have been changed since."""
    commit = _commit()
    return {"ontogeny": ontogeny.__version__, **({"commit": commit} if commit else {})}


def _commit() -> str | None:
    """None without git, and where the project only lies somewhere below another checkout."""
    top = _git("rev-parse", "--show-toplevel")
    if top is None or not PROJECT.samefile(top):
        return None
    return _git("describe", "--always", "--dirty", "--exclude=*")


def _git(*arguments: str) -> str | None:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    try:
        done = subprocess.run(
            ["git", "--no-optional-locks", "-C", str(PROJECT), *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None


def environment() -> str:
    """The packages of envs/requirements.txt with the versions that are installed, a line each in
    the order of their names, below lines with this project's version and Python's."""
    names = re.findall(r"^([\w.-]+)==", REQUIREMENTS.read_text(encoding="utf-8"), re.M)
    lines = [f"# {name} {number}" for name, number in project_versions().items()]
    lines.append(f"# python {platform.python_version()}")
    for name in sorted(names, key=str.lower):
        try:
            lines.append(f"{name}=={version(name)}")
        except PackageNotFoundError:
            continue  # what only a cluster needs, say
    return "".join(f"{line}\n" for line in lines)
