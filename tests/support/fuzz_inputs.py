"""Inputs that a person, a broken disk or a stranger might hand to the program, by kind, as hypothesis strategies."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from hypothesis import strategies as st

from fuzz_files import hdf5_attempts, result_attempts, toml_attempts
from fuzz_ground import BLOCKED, DONE, OCCUPIED, Attempt

NAMES = ("LiH", "H2", "He", "water", "O2", "N2", "H", "Li+", "H-", "Fe", "Ca^2+", "CO", "Co", "co", "CH2", "ammonia")
_SYMBOLS = ("H", "He", "Li", "C", "N", "O", "h", "HE", "Fe", "Og", "Xx", "1", "8", "119", "0", "-1", "D", "H1", "é", "")
_NUMBERS = ("0", "1.4", "-0.7", "1e3", "1d0", "1D-1", "1e999", "-1e999", "1e-999", "nan", "inf", "-Infinity", "0x1",
            "1_0", "٣", "1,5", "..", ".", "+", "1e", "--1", "9" * 400, "0." + "3" * 400, "1e9999999")
_WHOLE = ("0", "1", "-1", "+2", "2", "3", "-3", "1.0", "1e1", "1_000", "٣", "0x2", "nan", "inf", "", " 1", "one", "-0",
          "9" * 25, "-" + "9" * 25, "9" * 5000, "1000001", "- 1", "True")
_UNITS = ("bohr", "angstrom", "bohr", "angstrom", "bohr", "angstrom", "au", "A", "Å", "nm", "", "BOHR ", "bohr\n")
_OPTIONS = ("--out", "--charge", "--spin", "--unit", "--preset", "--walkers", "--steps", "--target-error", "--max-time",
            "--optimizer", "--wavefunction", "--observe", "--set", "--seed", "--quiet", "--no-cache", "--config",
            "--key-file", "--help", "--version", "--max-steps", "--max", "--seeds", "--wakers", "-h", "-x", "--",
            "--charge=1", "--set=a", "--=", "-")
_SETTINGS = ("objective.clip=4", "objective.clip=-1", "train.walkers=1", "optimizer.name=adam", "optimizer.name=x",
             "a.b=c", "train.chunk_size=none", "scf.basis=../../x", "scf.basis=sto-3g", "wavefunction.layers=1", "=",
             "a", ".=.", "objective.clip=[[[[", "seed=-1", "max_time=0", "preset=quick", "system.charge=1",
             "objective.clip=1979-05-27", "wavefunction.size=huge", "wavefunction.size=[1]", "evaluate.observe=,x",
             "sampler.acceptance=2", "objective.clip={a=1}", "optimizer.delay=nan", "train.steps=0")

_COMMENTS = ('Lattice="1 0 0"', "Properties=pos:R:3", 'pbc="F F F"', "Properties=species:S:1:pos:R:3:z:I:1")

text = st.text(max_size=40)
"""Anything: control characters, other alphabets, halves of surrogate pairs left out."""

dirty = st.text(st.one_of(st.characters(), st.sampled_from("\0\x1b\x85\u2028\ufeff\u202e '\"\\;=.-/~$")), max_size=30)


def _spoiled(words: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Words with a character put in, replaced or left out somewhere."""

    def spoil(parts: tuple[str, int, str]) -> str:
        word, place, new = parts
        cut = place % (len(word) + 1)
        return word[:cut] + new + word[cut + place % 2:]

    return st.tuples(words, st.integers(0, 99), st.one_of(st.just(""), dirty.map(lambda t: t[:3]))).map(spoil)


numbers = st.one_of(st.sampled_from(_NUMBERS), st.floats().map(repr), st.floats(-9, 9).map(lambda x: f"{x:.3f}"), dirty)
whole = st.one_of(st.sampled_from(_WHOLE), st.integers(-12, 12).map(str), st.integers().map(str), st.floats().map(repr))
_good = st.floats(-5.0, 5.0).map(lambda x: f"{x:.2f}")
_atom = st.tuples(st.sampled_from(("H", "He", "Li", "C", "O")), _good, _good, _good).map(" ".join)
_wild_atom = st.tuples(st.one_of(st.sampled_from(_SYMBOLS), dirty), numbers, numbers, numbers).map(" ".join)
_near = st.floats(-1.0, 1.0)
_good_rows = st.lists(st.tuples(st.sampled_from(("H", "He", "Li", "C", "O")), _near, _near, _near), min_size=1,
                      max_size=5).map(lambda atoms: [f"{symbol} {x:.2f} {y:.2f} {z + 3 * i:.2f}"
                                                     for i, (symbol, x, y, z) in enumerate(atoms)])
"""Atoms in a row, none on top of another."""
_rows = st.one_of(_good_rows, st.lists(st.one_of(_atom, _atom, _atom, _wild_atom), max_size=6))
sources = st.one_of(st.sampled_from(NAMES), _spoiled(st.sampled_from(NAMES)), text, dirty,
                    st.tuples(_rows, st.sampled_from((";", "\n", "; ", ",", "\r\n", "\u2028"))).map(
                        lambda pair: pair[1].join(pair[0])))


def _one_word(word: str) -> str:
    """A shell hands over no zero byte."""
    return word.replace("\0", "")


def _options(**values: st.SearchStrategy[str]) -> st.SearchStrategy[tuple[str, ...]]:
    """Any of the options, each with a value, as --name=value or in two words."""
    choices = [st.one_of(st.just(()), value.map(lambda v, n=name: (f"--{n}", _one_word(v))),
                         value.map(lambda v, n=name: (f"--{n}={_one_word(v)}",))) for name, value in values.items()]
    return st.tuples(*choices).map(lambda parts: sum(parts, ()))


def _described(kind: str, found: st.SearchStrategy[str], options: st.SearchStrategy[tuple[str, ...]]
               ) -> st.SearchStrategy[Attempt]:
    """A system, shown or begun where nothing may be written."""
    def words(parts: tuple[str, tuple[str, ...], int]) -> Attempt:
        source, more, number = parts
        command = ("info", _one_word(source)) if number else ("run", _one_word(source), "--out", OCCUPIED)
        return Attempt(kind, (*command, *more))

    return st.tuples(found, options, st.integers(0, 15)).map(words)


molecules = _described("molecules", sources, _options(unit=st.sampled_from(_UNITS)))
charges = _described("charges and spins", st.sampled_from((*NAMES, "H 0 0 0", "O 0 0 0; H 0 0 1.8")),
                     _options(charge=whole, spin=whole, unit=st.sampled_from(_UNITS)))


@st.composite
def xyz_attempts(draw: st.DrawFn) -> Attempt:
    """A file in the xyz format, right, nearly right or not at all, in any encoding."""
    rows = draw(_rows)
    right = st.just(str(len(rows)))
    count = draw(st.one_of(right, right, right, whole, dirty))
    comment = draw(st.one_of(st.just(""), text, st.sampled_from(_COMMENTS)))
    end = draw(st.sampled_from(("\n", "\n", "\n", "\r\n", "\r", "\u2028", "\x0c")))
    content = end.join([count, comment, *rows]) if draw(st.integers(0, 3)) else end.join(rows)
    encoding = draw(st.sampled_from(("utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16")))
    raw = content.encode(encoding, "surrogatepass")
    if draw(st.integers(0, 4)) == 0:
        place = draw(st.integers(0, len(raw)))
        raw = raw[:place] + draw(st.binary(max_size=8)) + raw[place + draw(st.integers(0, 3)):]
    if draw(st.integers(0, 9)) == 0:
        raw = draw(st.binary(max_size=200))
    more = draw(_options(unit=st.sampled_from(_UNITS), charge=st.integers(-2, 2).map(str)))
    return Attempt("xyz files", ("info", "given.xyz", *more), {"given.xyz": raw})


_places = st.one_of(st.sampled_from((OCCUPIED, BLOCKED, DONE, f"{BLOCKED}/x")),
                    dirty.map(lambda t: f"{BLOCKED}/{t}"), st.just(f"{BLOCKED}/" + "x" * 5000))
"""Where nothing can be written, whatever follows."""

_VALUES: Mapping[str, st.SearchStrategy[str]] = MappingProxyType({
    "--out": _places, "--config": st.one_of(_places, st.sampled_from((f"{DONE}/config.toml", "no.toml", "/dev/null"))),
    "--key-file": st.one_of(_places, st.sampled_from((f"{DONE}/config.toml", f"{OCCUPIED}/notes.txt", "/dev/null"))),
    "--set": st.one_of(st.sampled_from(_SETTINGS), _spoiled(st.sampled_from(_SETTINGS)), dirty),
    "--preset": st.one_of(st.sampled_from(("quick", "standard", "accurate", "ladder", "ferminet", "fast")), dirty),
    "--optimizer": st.one_of(st.sampled_from(("adam", "spring", "min_sr", "kfac")), dirty),
    "--seeds": st.one_of(st.sampled_from(("0", "0,1", "1,1", ",", "a", "9" * 5000)), dirty), "--max": sources,
})


_options_and_misspelt = st.one_of(st.sampled_from(_OPTIONS), st.sampled_from(_OPTIONS),
                                  _spoiled(st.sampled_from(_OPTIONS)))


@st.composite
def command_attempts(draw: st.DrawFn) -> Attempt:
    """Words in an order that may make sense."""
    commands = ("run", "run", "run", "resume", "evaluate", "report", "list", "info", "bench", "doctor")
    command = draw(st.one_of(st.sampled_from(commands), _spoiled(st.sampled_from(commands))))
    words: list[str] = [command]
    if command == "doctor":
        words.append("--no-such-option")  # it would compute
    if command == "bench":
        words += [draw(st.sampled_from(("atoms", "molecules", "x"))), "--max", "H"]
    elif draw(st.integers(0, 7)):
        words.append(draw(st.sampled_from(NAMES) if command in ("run", "info") else _places))
    for _ in range(draw(st.integers(0, 4))):
        words.append(option := draw(_options_and_misspelt))
        if draw(st.integers(0, 9)):
            words.append(draw(_VALUES.get(option, st.one_of(whole, numbers, dirty))))
    if draw(st.integers(0, 4)) == 0:
        words.insert(draw(st.integers(0, len(words))), draw(dirty))
    if "bench" in words:
        words += ["--out", BLOCKED]  # a folder of other files would do for it
    return Attempt("command lines", tuple(_guarded([_one_word(word) for word in words])))


def _guarded(words: list[str]) -> list[str]:
    """No place for files but those that are taken: what comes after the last --out is what counts."""
    taken = {OCCUPIED, DONE, BLOCKED}
    safe = [word for word in words if not word.startswith("--out=")]
    for number, word in enumerate(safe[:-1]):
        if word == "--out" and safe[number + 1].partition("/")[0] not in taken:
            safe[number + 1] = OCCUPIED
    return safe


KINDS: Mapping[str, Callable[[bytes], st.SearchStrategy[Attempt]]] = MappingProxyType({
    "molecules": lambda originals: molecules,
    "charges and spins": lambda originals: charges,
    "xyz files": lambda originals: xyz_attempts(),
    "TOML files": toml_attempts,
    "command lines": lambda originals: command_attempts(),
    "HDF5 files": hdf5_attempts,
    "result files": result_attempts,
})
"""Kind -> strategy, given the files of the ground by name."""

