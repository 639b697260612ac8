"""What the sections of a study file have in common."""

import re
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
)

NAME_PATTERN = r"^[a-z0-9][a-z0-9._-]*$"
Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN, max_length=100)]
PART = r"\w(?:[\w.-]*\w)?"
REPO = re.compile(rf"(?!.*(?:--|\.\.|\.git\Z))(?=.{{,96}}\Z){PART}/{PART}", re.ASCII)


def repo_name(name: str) -> str:
    """The name of a repository, if it is one that the Hub takes; raises ValueError if not."""
    if not REPO.fullmatch(name):
        raise ValueError(
            f"{name!r} is no name of a repository on the Hub: owner/name, up to 96 characters, "
            "with letters, digits, '_', and between these '-' and '.'; no '--', no '..', no '.git' "
            "at the end"
        )
    return name


def _no_truth_value(value: Any) -> Any:
    """Pydantic would take `true` for 1."""
    if isinstance(value, bool):
        raise ValueError(f"found {str(value).lower()}, should be a number")
    return value


Repo = Annotated[str, AfterValidator(repo_name)]
# Of every number in a study, and after its bounds, or they are lost to the JSON schema.
NUMBER = BeforeValidator(_no_truth_value)
Count = Annotated[int, Field(gt=0, le=10**15), NUMBER]
Seed = Annotated[int, Field(ge=0, lt=2**32), NUMBER]
Share = Annotated[float, Field(ge=0.0, le=1.0), NUMBER]


class Section(BaseModel):
    """A part of a study file. Unknown keys are errors."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, protected_namespaces=(), allow_inf_nan=False
    )
