# From text to correlation figures: what a study file asks for, as files.
#
#   snakemake --cores all                                   the default study, config.yaml
#   snakemake --cores all --configfile studies/own_text.yaml
#   snakemake -n                                            what is missing
#
# The stages, in order, are in rules/; each rule calls the script of its name in scripts/.

import os
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.utils import min_version

min_version("9.0")

# The folder of this file, also when it is reached by a link, `include` or `module`.
PROJECT = Path(workflow.included_stack[-1].get_path_or_uri(secret_free=True)).resolve().parent
sys.path.insert(0, str(PROJECT / "scripts"))

from ontogeny.origins import change, files_below, note
from ontogeny.paths import Paths, project_path
from ontogeny.published.revisions import read_revisions
from ontogeny.scoring.stimuli.binomials import WORDS, spelled
from ontogeny.study import StudyError, load_files, load_study, views
from ontogeny.study.corpora import DerivedCorpus, InsertCorpus, InterventionCorpus
from ontogeny.study.derivation import sources_of
from ontogeny.study.downloads import DOWNLOAD
from ontogeny.study.models import TOKENIZER_FILES
from ontogeny.study.resolved import packed, resolved_study
from ontogeny.study.runs import seed_families
from ontogeny.study.schedule import reported_steps, segments
from ontogeny.inputs import check_inputs, checkpoint_steps, matching_files

# A file given with --configfile is the whole study: nothing of the default is mixed in.
if not workflow.overwrite_configfiles:

    configfile: str(PROJECT / "config.yaml")


try:
    if workflow.modifier.skip_configfile:  # a module: whoever uses it gives the study
        study = load_study(config, workflow.config_settings.config)
    else:  # Snakemake would merge files in its own way, and without a word about scales
        files = workflow.overwrite_configfiles or [PROJECT / "config.yaml"]
        study = load_files(files, workflow.config_settings.config)
    if workflow.is_main_process:  # jobs parse this file too, and need not check it again
        for line in check_inputs(study):
            print(f"warning: {line}", file=sys.stderr)
except StudyError as error:
    raise WorkflowError(str(error)) from None

P = Paths(f"results/{study.study}", study.score_files)

# Jobs use the Python that runs Snakemake, also when its environment is not activated.
os.environ.update(PATH=f"{Path(sys.executable).parent}{os.pathsep}{os.getenv('PATH', '')}")


for stage in (
    *("common", "reports", "downloads", "corpus", "tokenizer", "train", "hub", "score", "released"),
    *("exposure", "analysis", "about", "across_runs", "figures", "stale"),
):

    include: str(PROJECT / f"rules/{stage}.smk")


onsuccess:
    print(f"Results: {P.root}/ (tables/, figures/)", file=sys.stderr)


rule all:
    default_target: True
    input:
        rules.tables.input,
        rules.figures.input,
        weights_of_unscored_runs,
