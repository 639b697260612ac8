"""What the unit tests share."""

import pytest
from edited_corpora import write_csv
from phrase_search import ITEMS


@pytest.fixture
def one_thread():
    """One torch thread: tiny models are much slower with several that wait for each other."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def items_file(tmp_path):
    """The awkward items of the tests of occurrences, and which of them are attested."""
    rows = [
        (*sorted((item.word1, item.word2), key=str.casefold), n % 2, "abc"[n % 3])
        for n, item in enumerate(ITEMS)
    ]
    return write_csv(tmp_path / "items.csv", ("Word1", "Word2", "Attested", "Kind"), rows)


@pytest.fixture
def few_items(tmp_path):
    """Four items that are short to tell."""
    pairs = [("bread", "butter"), ("cats", "dogs"), ("ice cream", "jam"), ("salt", "vinegar")]
    rows = [(*pair, 1, "food") for pair in pairs]
    return write_csv(tmp_path / "few.csv", ("Word1", "Word2", "Attested", "Kind"), rows)


@pytest.fixture
def templates(tmp_path):
    """Five sentences that items can be put into."""
    rows = [(f"We {verb} {{binomial}}.",) for verb in ("saw", "had", "liked", "met", "want")]
    return write_csv(tmp_path / "templates.csv", ("template",), rows)
