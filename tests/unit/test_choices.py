"""What people have chosen, as a reference that preferences are compared with."""

import numpy as np
import pytest
from pydantic import ValidationError

from ontogeny.analysis.groups import read_items
from ontogeny.study.probes import BinomialsProbe

HEADER = "Word1,Word2,Attested,OverallFreq,GenPref"
REFERENCES = {"human": {"column": "GenPref"}}


@pytest.fixture
def read(tmp_path):
    stimuli = tmp_path / "items.csv"
    rows = ["bread,butter,1,9,0.6", "Cats,dogs,1,5,0.4", "gnus,yaks,0,0,0.5"]
    stimuli.write_text("\n".join([HEADER, *rows]) + "\n")
    responses = tmp_path / "responses.csv"
    answers = ["bread,butter,alpha"] * 3 + ["bread,butter,nonalpha", "cats,dogs,nonalpha"]
    responses.write_text("\n".join(["Word1,Word2,resp", *answers]) + "\n")

    def read(**keys):
        keys = {"type": "binomials", "items": str(stimuli), "references": REFERENCES, **keys}
        return read_items(BinomialsProbe(**keys).model_dump_json(), str(stimuli))

    read.responses = str(responses)
    return read


def test_the_share_of_people_is_a_reference(read):
    items = read(responses=read.responses)
    choices = items.references["choices"]
    assert choices.midpoint == 0.5
    np.testing.assert_array_equal(choices.values, [3 / 4, 0, np.nan])  # nobody saw the last
    sets = {(group, reference): n.tolist() for group, reference, n in items.sets()}
    assert sets["all", "choices"] == [0, 1]
    assert sets["all", "human"] == [0, 1, 2]
    assert ("nonce", "choices") not in sets


def test_without_responses_there_is_none(read):
    assert list(read().references) == ["human"]


def test_its_name_is_taken():
    with pytest.raises(ValidationError, match="'choices' is what people have chosen"):
        BinomialsProbe(type="binomials", items="i.csv", references={"choices": {"column": "c"}})
