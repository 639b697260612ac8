"""What each call of Snakemake does before it reads a Snakefile: imports, and a look for plugins. A
process that has imported this can be forked for each call."""

from snakemake.cli import get_argument_parser
from snakemake.common import parse_uri
from snakemake.workflow import Workflow

import ontogeny.inputs
import ontogeny.study.views

__all__ = ["Workflow", "ontogeny"]

get_argument_parser()
parse_uri("Snakefile")  # imports what reads addresses
