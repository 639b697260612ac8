import numpy as np
import pytest

from ontogeny.scoring.plan import make_plan
from ontogeny.scoring.trie import build_trie, ramps


def random_strings(seed, count=80, longest=9):
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 3, rng.integers(1, longest + 1)).tolist() for _ in range(count)]


def trie_of(strings, share=True):
    ids = np.concatenate(strings).astype(np.int32)
    return build_trie(ids, np.cumsum([0, *map(len, strings)]), share)


def path(trie, node):
    """Tokens to a node, by its parents alone."""
    tokens = []
    while node >= 0:
        tokens.append(int(trie.tokens[node]))
        node = trie.parents[node]
    return tokens[::-1]


@pytest.mark.parametrize("seed", range(5))
def test_a_trie_holds_each_prefix_once_and_each_string(seed):
    strings = random_strings(seed)
    trie = trie_of(strings)
    prefixes = {tuple(s[: n + 1]) for s in strings for n in range(len(s))}
    assert sorted(map(tuple, (path(trie, node) for node in range(len(trie))))) == sorted(prefixes)
    assert [path(trie, leaf) for leaf in trie.leaves] == strings
    assert trie.lengths.tolist() == [len(string) for string in strings]
    assert trie.depths.tolist() == [len(path(trie, node)) - 1 for node in range(len(trie))]


@pytest.mark.parametrize("seed", range(5))
def test_ends_tell_who_is_whose_ancestor(seed):
    trie = trie_of(random_strings(seed))
    for a in range(len(trie)):
        for b in range(len(trie)):
            known = path(trie, b)[: trie.depths[a] + 1] == path(trie, a)
            assert (a <= b < trie.ends[a]) == known


def test_without_sharing_each_string_has_nodes_of_its_own():
    strings = random_strings(0)
    trie = trie_of(strings, share=False)
    assert len(trie) == sum(map(len, strings))
    assert [path(trie, leaf) for leaf in trie.leaves] == strings


def test_paths_and_sums_follow_the_parents():
    trie = trie_of(random_strings(1))
    nodes, starts = trie.paths(trie.leaves)
    parts = [trie.tokens[part].tolist() for part in np.split(nodes, starts[1:-1])]
    assert parts == [path(trie, leaf) for leaf in trie.leaves]
    values = np.random.default_rng(1).normal(size=len(trie)).astype(np.float32)
    sums = trie.sums(values)
    for node in range(len(trie)):
        way, expected = node, 0.0
        while way >= 0:
            expected += float(values[way])
            way = trie.parents[way]
        assert sums[node] == pytest.approx(expected, abs=1e-12)


def test_large_token_ids_and_long_strings():
    strings = [[2**31 - 1, 256, 255], [2**31 - 1, 256], [65_536] * 3000, [1, 2**24]]
    trie = trie_of(strings)
    assert [path(trie, leaf) for leaf in trie.leaves] == strings
    assert len(trie) == 3 + 3000 + 2


def test_strings_are_compared_in_pieces(monkeypatch):
    strings = random_strings(2, count=50)
    whole = trie_of(strings)
    monkeypatch.setattr("ontogeny.scoring.trie.COMPARED_AT_ONCE", 7)
    pieces = trie_of(strings)
    assert np.array_equal(pieces.tokens, whole.tokens)
    assert np.array_equal(pieces.depths, whole.depths)
    assert np.array_equal(pieces.leaves, whole.leaves)


@pytest.mark.parametrize("width", [None, 9, 12, 64])
@pytest.mark.parametrize("share", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_rows_hold_each_inner_node_once_with_all_its_ancestors(seed, share, width):
    trie = trie_of(random_strings(seed), share)
    plan = make_plan(trie, width)
    inner = {int(node) for node in trie.parents if node >= 0}
    assert plan.inner.tolist() == sorted(inner)
    fresh = []
    for row in range(plan.rows):
        nodes = plan.slots[row][plan.slots[row] >= 0]
        assert len(nodes) <= plan.width
        assert (np.diff(nodes) > 0).all()
        for node in nodes:
            above = trie.parents[node]
            assert above < 0 or above in nodes
        lead = trie.depths[plan.inner[plan.firsts[row]]]
        fresh += nodes[lead:].tolist()
        assert nodes[lead:].tolist() == plan.inner[plan.firsts[row] : plan.firsts[row + 1]].tolist()
    assert fresh == sorted(inner)


def test_edges_are_all_that_is_predicted_by_what_predicts_it():
    trie = trie_of(random_strings(3))
    plan = make_plan(trie)
    assert sorted(plan.edges.tolist()) == np.flatnonzero(trie.depths > 0).tolist()
    for i, node in enumerate(plan.inner):
        followers = plan.edges[plan.bounds[i] : plan.bounds[i + 1]]
        assert followers.tolist() == np.flatnonzero(trie.parents == node).tolist()


def test_long_strings_make_wide_rows():
    strings = [[1] * 500, [2] * 3]
    assert make_plan(trie_of(strings)).width == 512
    with pytest.raises(ValueError, match="rows of 64 tokens can't hold a string that needs 499"):
        make_plan(trie_of(strings), 64)
    assert make_plan(trie_of([[1] * 9000])).width == 8999


def test_ramps():
    assert ramps(np.array([3, 1, 2])).tolist() == [0, 1, 2, 0, 0, 1]
