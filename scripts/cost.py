"""What a study costs, before any of it is run: tokens, operations, checkpoints, gigabytes, hours.

Numbers of parameters are counted on the models themselves; the rest follows from the study file.
Nothing is trained or fetched; stimuli that are not here yet are left out, and said to be.
"""

import argparse
from dataclasses import asdict
from pathlib import Path

from ontogeny.command import run
from ontogeny.cost import ProbeSize, RunCost, gpu_hours, probe_sizes, run_costs, total_cost
from ontogeny.files import write_rows
from ontogeny.printing import cell, gigabytes, print_table
from ontogeny.progress import say
from ontogeny.study import Study
from ontogeny.study_arguments import add_study, read_study
from ontogeny.training.speed import PEAK_TFLOPS


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_study(parser)
    parser.add_argument(
        "--device", choices=PEAK_TFLOPS, default="H100", help="GPU (default: %(default)s)"
    )
    parser.add_argument(
        "--mfu",
        type=share,
        default=0.4,
        help="share of its dense bf16 peak that training uses (default: %(default)s)",
    )
    parser.add_argument(
        "--vocabulary",
        type=vocabulary,
        action="append",
        default=[],
        metavar="TOKENIZER=ENTRIES",
        help="entries of a tokenizer of which the study does not tell them; may be repeated",
    )
    parser.add_argument("--csv", type=Path, help="also write the runs' numbers to this CSV")
    args = parser.parse_args()
    study = read_study(args)
    costs = run_costs(study, dict(args.vocabulary))
    peak = PEAK_TFLOPS[args.device]
    hours = {c: c.flops and gpu_hours(c.flops, peak, args.mfu) for c in [*costs, total_cost(costs)]}
    print(f"{study.study}: {args.device} ({peak:g} TFLOP/s) at an MFU of {args.mfu:g}\n")
    print_table(RUN_COLUMNS, [run_cells(cost, hours[cost]) for cost in hours], left=1)
    print("\nAt each checkpoint:\n")
    sizes = probe_sizes(study)
    print_table(PROBE_COLUMNS, [probe_cells(study, name, sizes[name]) for name in sizes], left=2)
    print("\n".join(["", *notes(study, costs, sizes)]))
    if args.csv:
        write_rows(args.csv, [{**asdict(cost), "gpu_hours": hours[cost]} for cost in costs])
        say(f"{args.csv}: {len(costs)} runs")


RUN_COLUMNS = (
    *("run", "parameters", "steps", "tokens", "FLOPs", "GPU hours"),
    *("checkpoints", "in GB", "last state, GB", "score files", "in GB"),
)
PROBE_COLUMNS = ("probe", "type", "strings", "tokens", "rows")


def run_cells(cost: RunCost, hours: float | None) -> list[str]:
    return [
        cost.run,
        *map(cell, (cost.parameters, cost.steps, cost.tokens)),
        "" if cost.flops is None else f"{cost.flops:.2e}",
        cell(hours),
        cell(cost.checkpoints),
        *map(cell, map(gigabytes, (cost.checkpoint_bytes, cost.state_bytes))),
        cell(cost.score_files),
        cell(gigabytes(cost.score_bytes)),
    ]


def probe_cells(study: Study, name: str, size: ProbeSize) -> list[str]:
    return [name, study.probes[name].type, *map(cell, (size.strings, size.tokens, size.rows))]


def notes(study: Study, costs: list[RunCost], sizes: dict[str, ProbeSize]) -> list[str]:
    """What the numbers mean, and what they leave out."""
    kept = "all kept; those that are scored may be deleted"
    if study.keep_checkpoints == "none":
        kept = "removed when they are scored; in GB: those of a segment"
    compressed = "" if study.score_files == "csv" else ", before they are compressed"
    lines = [
        "FLOPs: 6 N + 12 L H T for each token (Chowdhery et al., 2022). GPU hours: for training.",
        f"GB: 10^9 bytes. Checkpoints are fp32 and {kept}.",
        f"Score files: estimated from the lengths of names, texts and numbers{compressed}.",
        "Tokens of strings are known when their index is made.",
        "Not counted: text, token files, tables, figures.",
    ]
    if absent := [name for name, size in sizes.items() if size.rows is None]:
        lines.append(f"Not counted, since the stimuli are not here yet: {', '.join(absent)}.")
    published = [cost.run for cost in costs if cost.flops is None]
    if published:
        lines.append(f"Published, so nothing is trained: {', '.join(published)}.")
    return lines


def share(text: str) -> float:
    value = float(text)
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no share above 0 and up to 1")
    return value


def vocabulary(text: str) -> tuple[str, int]:
    name, _, entries = text.partition("=")
    if not name or not entries.isdecimal() or int(entries) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} should be TOKENIZER=ENTRIES, such as chars=51")
    return name, int(entries)


if __name__ == "__main__":
    run(main, is_job=False)
