"""What the labels of atoms mean: symbols, numbers, isotopes, and ghost atoms, which are refused."""

import re

import pytest

from nnqmc.errors import InputError
from nnqmc.system import molecule
from nnqmc.system.elements import SYMBOLS
from nnqmc.system.labels import element


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_every_symbol_means_itself_in_any_case_and_with_a_number(symbol):
    assert element(symbol) == element(str(SYMBOLS.index(symbol) + 1)) == (symbol, "")
    assert element(symbol.lower()) == (symbol, "")
    assert element(symbol.upper())[0] == symbol
    assert element(f"{symbol}12") == (symbol, f"'{symbol}12' as {symbol}")


@pytest.mark.parametrize(
    ("label", "symbol", "said"),
    [
        ("C1", "C", "'C1' as C"),
        ("h2", "H", "'h2' as H"),
        ("H@1", "H", "'H@1' as H"),
        ("O_3", "O", "'O_3' as O"),
        ("CA", "Ca", "'CA' as Ca"),
        ("XE_1", "Xe", "'XE_1' as Xe"),
        ("D", "H", "'D' as H, since nuclei are clamped and isotopes make no difference"),
        ("t1", "H", "'t1' as H, since nuclei are clamped and isotopes make no difference"),
        ("13C", "C", "'13C' as C, since nuclei are clamped and isotopes make no difference"),
        ("H(Iso=2)", "H", "'H(Iso=2)' as H, since nuclei are clamped and isotopes make no difference"),
    ],
)
def test_other_labels_are_read_and_said(label, symbol, said, caplog):
    assert element(label) == (symbol, said)
    assert molecule(f"{label} 0 0 0").symbols == (symbol,)
    assert f"the text given: read {said}" in caplog.text


@pytest.mark.parametrize(
    "label", ["@H", "ghost-H", "GHOST_He", "ghost", "Gh", "Gh(H)", "X", "X1", "X-H", "XX", "Xx", "Du", "Bq", "H-Bq",
              "HBq", "H:", "0", "XH", "X:He1", "x_1", "xx-H", "H_gh", "H(Bq)", "Gh_1", "DUM", "dummy1"]
)
def test_ghost_atoms_are_refused_by_that_word(label):
    with pytest.raises(InputError, match="marks a ghost or dummy atom, which has no nucleus"):
        molecule(f"He 0 0 0; {label} 0 0 2", unit="bohr")


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ("Tv", "'Tv' marks a lattice vector"),
        ("CA1", "'CA1' could be an atom of Ca or one of C with a name of its own; write 'Ca' or 'C'."),
        ("HG21", "write 'Hg' or 'H'"),
        ("Na+", "unknown element 'Na+': did you mean Na"),
        ("Qq", "unknown element 'Qq'"),
        ("119", "119 is no atomic number"),
        ("9" * 400, "is no atomic number"),
        ("\u00e9", "unknown element"),
    ],
)
def test_labels_that_could_mean_anything_are_refused(label, message):
    with pytest.raises(InputError, match=re.escape(message)):
        element(label)


def test_many_labels_make_one_short_message(caplog):
    molecule("\n".join(f"C{i} 0 0 {3 * i}" for i in range(9)), unit="bohr")
    assert [record.getMessage() for record in caplog.records] == [
        "the text given: read 'C0' as C, 'C1' as C, 'C2' as C, 'C3' as C, and 5 more"]
