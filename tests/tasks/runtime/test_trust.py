"""What the owner of a machine lists as trusted."""

from pathlib import Path

import pytest

from tasks.errors import InputError
from tasks.runtime.context import Context
from tasks.runtime.trust import Trust, address_of, joined, listed

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def test_hub_ids_and_folders_are_listed_between_commas(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "real")
    found = listed(f" nvidia/difix_ref@{COMMIT}, {tmp_path}/link/,,", "UNSEEN_MODELS")
    assert found == {f"nvidia/difix_ref@{COMMIT}", str(tmp_path / "real")}
    assert listed(joined(found), "UNSEEN_MODELS") == found
    assert listed("", "UNSEEN_MODELS") == set()


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("nvidia/difix_ref", "with no revision"),
        ("nvidia/difix_ref@main", "the revision 'main'"),
        (f"nvidia/difix_ref@{COMMIT[:-1]}", "give the commit"),
        (f"nvidia/difix_ref@{COMMIT}0", "give the commit"),
        (f"difix@{COMMIT}", "neither a hub id"),
        (f"./a@{COMMIT}", "neither a hub id"),
        (f"https://evil/a@{COMMIT}", "neither a hub id"),
        (f"a/b\n@{COMMIT}", "neither a hub id"),
        (f"a/b@{COMMIT}\n@", "give the commit"),
        ("models/difix", "with no revision"),
    ],
)
def test_an_entry_without_a_commit_is_refused_in_one_sentence(entry: str, said: str) -> None:
    with pytest.raises(InputError, match=r"^UNSEEN_MODELS: ") as caught:
        listed(entry, "UNSEEN_MODELS")
    assert said in str(caught.value)


def test_trust_is_for_one_commit_and_in_code_or_weights() -> None:
    address, other = address_of("a/b", COMMIT), address_of("a/b", "f" * 40)
    weights, code = Trust(models=frozenset({address})), Trust(code=frozenset({address}))
    assert (weights.loads(address), weights.runs(address)) == (True, False)
    assert (code.loads(address), code.runs(address)) == (True, True)
    assert not weights.loads(other)
    assert not code.runs(other)


def test_nothing_is_trusted_unless_it_is_said_and_inner_computations_keep_the_trust() -> None:
    assert not Context().trust.loads("/")
    trust = Trust(code=frozenset({"/models/difix"}))
    assert Context(trust=trust).nested().trust == trust
    assert Context(trust=trust).part(0.0, 1.0).trust == trust
