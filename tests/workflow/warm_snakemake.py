"""What each call of Snakemake does before it reads a Snakefile: imports, and a look for plugins. A
process that has imported this can be forked for each call."""

import smart_open
from snakemake.cli import get_argument_parser
from snakemake.workflow import Workflow

import ontogeny.inputs
import ontogeny.study.views

__all__ = ["Workflow", "ontogeny", "smart_open"]

get_argument_parser()
