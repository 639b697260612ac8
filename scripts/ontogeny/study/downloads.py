"""Downloads: files that a study fetches from their public home, and references to them."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator, Field, model_validator

from ontogeny.study.errors import StudyError, nearest
from ontogeny.study.section import Count, Repo, Section

DOWNLOAD = "download:"  # what a reference begins with
LOOPBACK = ("localhost", "127.0.0.1", "::1")
FILE_NAME = re.compile(r"[A-Za-z0-9_][\w.+-]*", re.ASCII)
ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
# Where a reference may stand, in the sections of corpora and probes.
CORPUS_KEYS = ("files", "validation_files", "items", "templates", "counts_file")
PROBE_KEYS = ("items", "pairs", "prompts", "responses", "weights")


def address(url: str) -> str:
    """An address that may be fetched from; raises ValueError for any other."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or not re.fullmatch(r"[!-~]+", url):
        raise ValueError(
            f"{url!r} is no address: https://..., with %20 for a space and other characters "
            "written in the same way"
        )
    if parts.scheme != "https" and not (parts.scheme == "http" and host in LOOPBACK):
        raise ValueError(f"{url!r} should begin with https:// (http:// is for this machine only)")
    if parts.username is not None or parts.password is not None:
        raise ValueError("an address with a user's name or password would stand in every log")
    return url


def digest(text: str) -> str:
    """A sha256 in lowercase; raises ValueError for what is none."""
    if not re.fullmatch(r"[0-9a-fA-F]{64}", text):
        raise ValueError(f"{text!r} is no sha256: 64 characters 0-9 and a-f")
    return text.lower()


def file_name(name: str) -> str:
    """A file's name without folders; raises ValueError for any other."""
    if not FILE_NAME.fullmatch(name):
        raise ValueError(
            f"{name!r} is no name of a file here: letters, digits, '_', '.', '+' and '-', no "
            "folders, and no '.' at its beginning"
        )
    return name


def path_in_repository(path: str) -> str:
    """A path below a repository's folder; raises ValueError for any other."""
    if not path.isprintable() or not _stays_below(path):
        raise ValueError(f"{path!r} is no path of a file in a repository")
    return path


class Download(Section):
    """A file that is fetched from its public home into `downloads/NAME/`, which all studies share.

    Exactly one of `url` and `repo` (with `file`).
    """

    url: Annotated[str, AfterValidator(address)] | None = Field(
        None, description="Address of the file, https://..."
    )
    repo: Repo | None = Field(None, description="Repository on the Hub, `owner/name`.")
    repo_type: Literal["dataset", "model"] = Field("dataset", description="Which kind of it.")
    revision: str = Field(
        "main", description="Branch, tag or commit on the Hub; a commit fixes the content."
    )
    file: Annotated[str, AfterValidator(path_in_repository)] | None = Field(
        None, description="Path of the file in the repository."
    )
    sha256: Annotated[str, AfterValidator(digest)] | None = Field(
        None,
        description="What the file must have. Without it the one that is found is printed and "
        "recorded, and from then on the file must have that.",
    )
    bytes: Count | None = Field(None, description="Size that the file must have.")
    save_as: Annotated[str, AfterValidator(file_name)] | None = Field(
        None,
        description="Name of the file in `downloads/NAME/`; by default the last part of the "
        "address or path.",
    )
    path: str | None = Field(
        None,
        description="A copy on this machine, which takes the download's place: nothing is "
        "fetched. In the place of an archive also a folder with what was in it; its name ends with "
        "`/`.",
    )
    note: str | None = Field(None, description="For readers: source, licence.")

    @model_validator(mode="after")
    def has_one_home(self) -> "Download":
        if (self.url is None) == (self.repo is None):
            raise ValueError("give either `url`, or `repo` and `file`")
        if (self.repo is None) != (self.file is None):
            raise ValueError("`repo` and `file` go together")
        if self.url is not None and self.model_fields_set & {"repo_type", "revision"}:
            raise ValueError("`repo_type` and `revision` are for `repo`")
        if not FILE_NAME.fullmatch(self.saved_as):
            raise ValueError(
                f"the address ends with {self.saved_as!r}, which is no plain name of a file; give "
                "one in `save_as`"
            )
        return self

    @property
    def saved_as(self) -> str:
        """Name of the file in the folder of the download."""
        home = unquote(urlsplit(self.url).path) if self.url is not None else self.file
        return self.save_as or (home or "").rsplit("/", 1)[-1]

    @property
    def home(self) -> dict[str, str]:
        """What tells its content apart from others': the keys of its home."""
        keys = ("url",) if self.url is not None else ("repo", "repo_type", "revision", "file")
        return {key: getattr(self, key) for key in keys}


def resolved(config: dict[str, Any], downloads: Mapping[str, Download]) -> dict[str, Any]:
    """The study with each reference (`download:NAME`, `download:NAME/MEMBER`) as the path of the
    file that it stands for, as `project_path` takes it. Raises StudyError with a line for each that
    stands for none."""
    problems: list[str] = []

    def resolve(value: Any, place: str, allowed: tuple[str, ...], key: str) -> Any:
        if isinstance(value, dict):
            return {k: resolve(v, f"{place}.{k}", allowed, str(k)) for k, v in value.items()}
        if isinstance(value, list):
            return [resolve(v, f"{place}[{i}]", allowed, key) for i, v in enumerate(value)]
        if not isinstance(value, str) or not value.startswith(DOWNLOAD):
            return value
        try:
            if key not in allowed:
                raise ValueError(f"{value!r} can't stand here; give a path")
            return _file_of(value, downloads)
        except ValueError as error:
            problems.append(f"{place}: {error}")
            return value

    result = dict(config)
    for section in ("corpora", "tokenizers", "probes", "runs"):
        keys = {"corpora": CORPUS_KEYS, "probes": PROBE_KEYS}.get(section, ())
        if section in result:
            result[section] = resolve(result[section], section, keys, "")
    if problems:
        raise StudyError(problems)
    return result


def as_reference(file: str, downloads: Mapping[str, Download]) -> str:
    """The reference that `resolved` replaces by this path; a path that is of no download as it
    is."""
    for name, download in downloads.items():
        place = f"{DOWNLOAD}{name}/{download.saved_as}"
        if file in (place, download.path):
            return f"{DOWNLOAD}{name}"
        folder = download.path if str(download.path).endswith("/") else f"{place}.unpacked/"
        if file.startswith(folder):
            return f"{DOWNLOAD}{name}/{file.removeprefix(folder)}"
    return file


def _stays_below(path: str) -> bool:
    parts = path.split("/")
    return bool(path) and "\\" not in path and not {"", ".", ".."} & set(parts)


def _file_of(reference: str, downloads: Mapping[str, Download]) -> str:
    name, _, member = reference.removeprefix(DOWNLOAD).partition("/")
    if name not in downloads:
        raise ValueError(f"download {name!r} is not defined; {nearest(name, downloads)}")
    download = downloads[name]
    file = download.path or f"{DOWNLOAD}{name}/{download.saved_as}"
    if "/" not in reference:
        return file
    if not _stays_below(member) or not member.isprintable():
        raise ValueError(f"{member!r} is no path of an archive's member")
    if any(character in member for character in "*?[]{}"):
        raise ValueError(f"{member!r} is a pattern; name each member of an archive by itself")
    if file.endswith("/"):
        return file + member
    if not file.lower().endswith(ARCHIVES):
        raise ValueError(
            f"{file.removeprefix(DOWNLOAD)} is no archive ({', '.join(ARCHIVES)}), so it has no "
            f"member {member!r}"
        )
    return f"{DOWNLOAD}{name}/{download.saved_as}.unpacked/{member}"
