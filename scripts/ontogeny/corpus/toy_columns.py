"""The columns of the toy language's items.csv. Apart from `toy`, which takes a while to import:
studies are checked against them before any job."""

from pathlib import Path

import yaml


def item_columns(folder: Path) -> list[str]:
    """The names of the columns, of which one for each constraint planted in `folder`."""
    planted = yaml.safe_load((folder / "planted.yaml").read_text(encoding="utf-8"))
    return [
        *("Word1", "Word2", "Alpha", "Nonalpha", "Kind", "OverallFreq"),
        *planted["constraints"],
        *("RelFreq", "GenPref", "TruePreference", "Attested"),
    ]
