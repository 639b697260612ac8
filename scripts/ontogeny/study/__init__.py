"""The study: what one config file says, checked, and the arithmetic that follows from it."""

from ontogeny.study.errors import StudyError
from ontogeny.study.load import load_files, load_study
from ontogeny.study.models import Study

__all__ = ["Study", "StudyError", "load_files", "load_study"]
