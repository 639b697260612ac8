"""Where a study's own checkpoints are published."""

import string

from pydantic import Field, field_validator

from ontogeny.study.section import Section

FIELDS = {"study", "run"}


class Publish(Section):
    """Repositories on the Hub that `snakemake publish` uploads the runs trained here to, one for
    each run: a commit and a tag `step-12` for each checkpoint, and a model card."""

    repo: str = Field(
        description="A run's repository, from `{study}` and `{run}`: `owner/{study}-{run}`. "
        "`{run}` is needed where there are several runs."
    )
    private: bool = Field(
        False, description="Make repositories that only the owner sees. An existing one stays."
    )
    license: str | None = Field(
        None, description="Licence in the model card, by the Hub's name for it: `mit`, `cc-by-4.0`."
    )

    @field_validator("repo")
    @classmethod
    def is_a_template(cls, repo: str) -> str:
        try:
            parts = list(string.Formatter().parse(repo))
        except ValueError:
            parts = [("", "", "", None)]
        bare = all(
            name is None or (name in FIELDS and not form and not conversion)
            for _, name, form, conversion in parts
        )
        if not bare or repo.count("/") != 1:
            raise ValueError(f"{repo!r} should be like 'owner/{{study}}-{{run}}'")
        return repo

    def repo_of(self, study: str, run: str) -> str:
        """The repository of one run."""
        return self.repo.format(study=study, run=run)
