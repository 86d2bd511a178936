"""Which words name what: exact spellings, other cases, ambiguity and suggestions."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnqmc.errors import InputError
from nnqmc.system import molecule
from nnqmc.system.elements import SYMBOLS
from nnqmc.typing import System


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("lih", "LiH"),
        ("h2o", "H2O"),
        ("WATER", "H2O"),
        ("  Lithium   Hydride ", "LiH"),
        ("h-", "H-"),
        ("li+", "Li+"),
        ("CO", "CO"),
        ("Co", "Co"),
        ("HF", "HF"),
        ("Hf", None),
        ("he", "He"),
        ("NE", "Ne"),
        ("CL", "Cl"),
        ("si", "Si"),
    ],
)
def test_names_are_tolerant_of_case(word, name):
    spin = 2 if word == "Hf" else None
    assert molecule(word, spin=spin).name == (name or word)


@pytest.mark.parametrize("symbol", SYMBOLS[:54])
def test_every_tabulated_element_is_a_neutral_atom(symbol):
    system = molecule(symbol)
    assert system.symbols == (symbol,)
    assert system.n_electrons == system.charges[0] == SYMBOLS.index(symbol) + 1


@pytest.mark.parametrize(
    ("word", "symbol", "charge", "spin"), [("O-", "O", -1, 1), ("Ca^2+", "Ca", 2, 0), ("Be+", "Be", 1, 1)]
)
def test_atomic_ions_need_no_entry(word, symbol, charge, spin):
    system = molecule(word)
    assert (system.symbols, system.charge, system.spin, system.name) == ((symbol,), charge, spin, word)


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("co", "'co' can mean several things; write 'CO' or 'Co'."),
        ("hf", "'hf' can mean several things; write 'HF' or 'Hf'."),
        ("nitrogen", "'nitrogen' can mean several things; write 'N' or 'N2'."),
        ("hydrogen", "write 'H' or 'H2'."),
        ("NO", "unknown name 'NO'"),
        ("watr", "unknown name 'watr': did you mean 'water'? `nnqmc list` shows the names"),
        ("LiHH", "did you mean 'LiH'"),
        ("Xz", "unknown name 'Xz'"),
        ("Fe2+", "unknown name 'Fe2+': for the ion of a single atom write 'Fe^2+'. `nnqmc list`"),
        ("Fe+2", "write 'Fe^2+'"),
        ("fe^2+", "write 'Fe^2+'"),
        ("Fe++", "write 'Fe^2+'"),
        ("Fe(2+)", "write 'Fe^2+'"),
        ("Fe^{3+}", "write 'Fe^3+'"),
        ("Fe(III)", "write 'Fe^3+'"),
        ("Fe\u00b2\u207a", "write 'Fe^2+'"),
        ("O2-", "pass the name 'O2' and charge=-1; for the ion of a single atom write 'O^2-'."),
        ("Li+1", "write 'Li+'"),
        ("NH4+", "unknown name 'NH4+': `nnqmc list`"),
        ("He2+", "unknown name 'He2+': `nnqmc list`"),
        ("@H", "'@H' marks a ghost or dummy atom, which has no nucleus"),
        ("ghost-He", "'ghost-He' marks a ghost or dummy atom"),
        ("X", "'X' marks a ghost or dummy atom"),
        ("H2+", "for an ion at this geometry pass the name 'H2' and charge=1."),
        ("oh-", "for an ion at this geometry pass the name 'oh' and charge=-1."),
        ("Q+", "unknown name 'Q+'"),
        ("", "empty text given; pass a name such as 'LiH'"),
        (" \n ", "empty text given"),
        ("2", "unknown name '2'"),
    ],
)
def test_unclear_words_are_refused_with_a_way_out(word, message):
    with pytest.raises(InputError, match=re.escape(message)):
        molecule(word)


@pytest.mark.parametrize("word", ["D", "t"])
def test_an_isotope_of_hydrogen_is_hydrogen(word, caplog):
    assert molecule(word).symbols == ("H",)
    assert f"read '{word}' as H, since nuclei are clamped" in caplog.text


CHEMICAL = st.text(alphabet="HLiCOeNau0123456789 .;,\n+-^eEdD/\\~\t", max_size=40)


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(max_size=60), CHEMICAL), st.sampled_from([None, "bohr", "angstrom"]))
def test_any_text_is_a_molecule_or_a_clear_refusal(text, unit):
    try:
        system = molecule(text, unit=unit)
    except InputError as error:
        assert str(error)
    else:
        assert isinstance(system, System) and system.n_electrons >= 1 and system.n_up >= system.n_down >= 0
