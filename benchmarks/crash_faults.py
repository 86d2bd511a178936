"""The faults: each function injects one of them, lets the run continue, and says how it ended."""

from __future__ import annotations

import errno
import os
import random
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from crash_arena import STAGES, STEPS, Arena, checkpoint_steps, contents, is_intact, mount, run_words, unmount
from crash_child import Child, call, clock_jump, file_size_limit, killed_at, other_cache, refused_at

SURVIVED, CLEAR_ERROR, LOST = "survived", "clear error", "LOST"


class Finding(NamedTuple):
    """How a run ended, what exactly was done to it, and how many processes were killed."""

    outcome: str
    detail: str
    kills: int = 0


def kill(arena: Arena, rng: random.Random) -> Finding:
    """Kill the process at a random moment of a random stage, and often the resumed run as well, even repeatedly."""
    directory, (stage, words) = arena.fresh(), rng.choice(list(STAGES.items()))
    child = Child(run_words(directory))
    child.wait_for(words)
    child.watch(rng.uniform(0.0, arena.reference.seconds[stage]))
    child.send(signal.SIGKILL)
    if child.end().code != -signal.SIGKILL:
        return _judge(arena.differences(directory), "over before the kill")
    details = [f"in {stage}"]
    while rng.random() < 0.9 and (directory / "config.toml").exists():
        stages = list(STAGES)[3 if checkpoint_steps(directory) else 1:]
        child, stage = Child(["resume", str(directory)]), rng.choice(stages)
        child.wait_for(STAGES[stage])
        child.watch(rng.uniform(0.0, arena.reference.seconds[stage]))
        child.send(signal.SIGKILL)
        if child.end().code != -signal.SIGKILL:
            break
        details.append(f"in {stage} after resume")
    return _judge(arena.settle(directory), ", ".join(details), len(details))


def kill_at_a_file(arena: Arena, rng: random.Random) -> Finding:
    """Kill the process just before a file is opened for writing, renamed or removed."""
    directory, number = arena.fresh(), rng.randint(1, arena.reference.file_events)
    details, outcome = [f"file event {number}"], call(run_words(directory), killed_at(directory, number))
    while outcome.code == -signal.SIGKILL and rng.random() < 0.9 and (directory / "config.toml").exists():
        number = rng.randint(1, arena.reference.file_events // 2)
        outcome = call(["resume", str(directory)], killed_at(directory, number))
        details.append(f"{number} after resume")
    kills = len(details) - (outcome.code != -signal.SIGKILL)
    return _judge(arena.settle(directory), ", ".join(details), kills)


def kill_in_a_write(arena: Arena, rng: random.Random) -> Finding:
    """Let the process die in the middle of writing a file."""
    directory, size = arena.fresh(), rng.randint(500, 40000)
    outcome = call(run_words(directory), file_size_limit(size, is_deadly=True))
    is_killed = outcome.code == -signal.SIGXFSZ
    return _judge(arena.settle(directory), f"after {size} bytes", int(is_killed))


def told_to_stop(arena: Arena, rng: random.Random) -> Finding:
    """Send SIGTERM, SIGINT or SIGUSR1 at a random moment from Hartree-Fock on."""
    directory, stage = arena.fresh(), rng.choice(list(STAGES)[1:])
    number = rng.choice([signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
    child = Child(run_words(directory))
    child.wait_for(STAGES[stage])
    child.watch(rng.uniform(0.0, arena.reference.seconds[stage]))
    child.send(number)
    outcome, detail = child.end(), f"{number.name} in {stage}"
    if outcome.code not in (0, 3):
        return Finding(LOST, f"{detail}: exit code {outcome.code}")
    return _judge(arena.settle(directory), detail)


def full_disk(arena: Arena, rng: random.Random) -> Finding:
    """Use a file system that is too small for the run, and enlarge it before the run is resumed."""
    place, pages = arena.folder / "disk", rng.randint(2, 60)
    place.mkdir(exist_ok=True)
    if not mount(place, f"size={4 * pages}k"):
        return _size_limit(arena, 1024 * pages)
    try:
        directory = place / "run"
        outcome = call(run_words(directory))
        mount(place, "remount,size=64m")
        return _after_refusal(arena, directory, outcome, f"{4 * pages} KiB")
    finally:
        unmount(place)


def _size_limit(arena: Arena, size: int) -> Finding:
    """Limit the size of files, for systems on which no file system may be mounted."""
    directory = arena.fresh()
    outcome = call(run_words(directory), file_size_limit(size, is_deadly=False))
    return _after_refusal(arena, directory, outcome, f"no file beyond {size} bytes")


def refused(arena: Arena, rng: random.Random) -> Finding:
    """Let the operating system refuse to open and rename files, for a while or for good."""
    directory, first = arena.fresh(), rng.randint(1, arena.reference.file_events)
    code = rng.choice([errno.ENOSPC, errno.EROFS, errno.EIO, errno.EDQUOT])
    last = rng.choice([first, first + 3, 10**9])
    outcome = call(run_words(directory), refused_at(directory, first, last, code))
    return _after_refusal(arena, directory, outcome, f"{errno.errorcode[code]}, file events {first} to {last}")


def _after_refusal(arena: Arena, directory: Path, outcome: object, detail: str) -> Finding:
    """Judge a run to which files were refused.

    It has to end well, perhaps without a figure, or with a clear error, and to continue once files are written again.
    """
    if outcome.code and not outcome.is_clear_error:
        return Finding(LOST, f"{detail}: exit code {outcome.code}: {outcome.message}")
    found = arena.settle(directory)
    return Finding(LOST, f"{detail}: {found}") if found else Finding(CLEAR_ERROR if outcome.code else SURVIVED, detail)


def read_only(arena: Arena, rng: random.Random) -> Finding:
    """Make the directory read-only when the run is resumed."""
    source = rng.choice(["half", "early"])
    place = arena.folder / "disk"
    place.mkdir(exist_ok=True)
    is_mounted = mount(place, "size=64m")
    try:
        directory = place / "run" if is_mounted else arena.fresh()
        shutil.copytree(arena.folder / source, directory)
        before = contents(directory)
        _make_writable(place if is_mounted else directory, False, is_mounted)
        outcome = call(["resume", str(directory)])
        is_good = is_intact(outcome, before, directory)
        _make_writable(place if is_mounted else directory, True, is_mounted)
        return _judge(arena.settle(directory) if is_good else outcome.message, source, outcome=CLEAR_ERROR)
    finally:
        unmount(place)


def _make_writable(path: Path, is_wanted: bool, is_mounted: bool) -> None:
    if is_mounted:
        mount(path, f"remount,{'rw' if is_wanted else 'ro'}")
    else:
        path.chmod(0o755 if is_wanted else 0o555)


def _damage(path: Path, rng: random.Random) -> str:
    """Truncate a file or change some of its bytes, and return what was done."""
    data = bytearray(path.read_bytes())
    how = rng.choice(["cut off", "one bit", "zeros", "empty", "garbage"])
    place = rng.randrange(len(data))
    if how == "one bit":
        data[place] ^= 1 << rng.randrange(8)
    elif how == "zeros":
        data[place // 2:place // 2 + 4096] = bytes(len(data[place // 2:place // 2 + 4096]))
        data[-1] ^= 1
    elif how == "garbage":
        data[:] = rng.randbytes(len(data))
    path.write_bytes(data[:{"cut off": place, "empty": 0}.get(how, len(data))])
    return f"{path.name} {how}"


def torn_checkpoint(arena: Arena, rng: random.Random) -> Finding:
    """Damage the newest checkpoint, or the newest two."""
    directory, count = arena.copy("half"), rng.choice([1, 1, 2])
    steps = checkpoint_steps(directory)
    details = [_damage(directory / f"checkpoint-{step:07d}.h5", rng) for step in steps[-count:]]
    return _judge(arena.settle(directory, newest=steps[-count - 1]), ", ".join(details))


def all_checkpoints_torn(arena: Arena, rng: random.Random) -> Finding:
    """Damage every checkpoint, and then restore one of them from a copy."""
    directory = arena.copy("half")
    steps = checkpoint_steps(directory)
    names = [f"checkpoint-{step:07d}.h5" for step in steps]
    details = [_damage(directory / name, rng) for name in names]
    return _restored(arena, directory, names[-1], ", ".join(details), steps[-1])


def damaged_file(arena: Arena, rng: random.Random) -> Finding:
    """Damage train.h5 or config.toml, and then restore it from a copy."""
    directory, name = arena.copy("half"), rng.choice(["train.h5", "config.toml"])
    if name == "config.toml":
        (directory / name).write_bytes((directory / name).read_bytes()[:rng.randint(0, 600)])
        detail = "config.toml cut off"
    else:
        detail = _damage(directory / name, rng)
    return _restored(arena, directory, name, detail)


def _restored(arena: Arena, directory: Path, name: str, detail: str, newest: int | None = None) -> Finding:
    """Expect a clear error that changes no file, and a normal run once the file is restored."""
    before = contents(directory)
    outcome = call(["resume", str(directory)])
    if not is_intact(outcome, before, directory):
        return Finding(LOST, f"{detail}: exit code {outcome.code}: {outcome.message}")
    shutil.copy(arena.folder / "half" / name, directory / name)
    return _judge(arena.settle(directory, newest=newest), detail, outcome=CLEAR_ERROR)


def damaged_by_product(arena: Arena, rng: random.Random) -> Finding:
    """Damage or remove scf.h5 or result.json, which can be computed again."""
    source, name = rng.choice([("early", "scf.h5"), ("undisturbed", "result.json")])
    directory = arena.copy(source)
    if rng.random() < 0.3:
        (directory / name).unlink()
        detail = f"{name} missing"
    else:
        detail = _damage(directory / name, rng)
    return _judge(arena.settle(directory), detail)


def missing_log(arena: Arena, rng: random.Random) -> Finding:
    """Remove train.h5: the learning curve then begins where the run continues, and all other numbers are the same."""
    directory = arena.copy("half")
    first = checkpoint_steps(directory)[-1]
    (directory / "train.h5").unlink()
    outcome = call(["resume", str(directory)])
    found = arena.differences(directory, without=["train.h5"])
    from nnqmc.io import load_series

    series, whole = (load_series(path / "train.h5")[0] for path in (directory, arena.reference.directory))
    same = all((series[name] == whole[name][first:]).all() for name in whole)
    if outcome.code or "train.h5 is missing" not in outcome.text or not same:
        found = found or "no warning, or other rows than before"
    return _judge(found, f"from step {first} of {STEPS} on")


def two_processes(arena: Arena, rng: random.Random) -> Finding:
    """Start a second `run` and a `resume` on the directory of a run that is working or suspended."""
    directory, stage = arena.fresh(), rng.choice(["Hartree-Fock", "pretraining", "compiling", "evaluation"])
    child = Child(run_words(directory))
    child.wait_for(STAGES[stage])
    child.send(signal.SIGSTOP)
    others = [call(words) for words in (["resume", str(directory)], run_words(directory))]
    child.send(signal.SIGCONT)
    outcome = child.end()
    good = all(other.code == 2 and other.is_clear_error for other in others) and outcome.code == 0
    found = arena.differences(directory) if good else " / ".join(each.message for each in (outcome, *others))
    return _judge(found, f"in {stage}", outcome=CLEAR_ERROR)


def clock_jumps(arena: Arena, rng: random.Random) -> Finding:
    """Let both clocks jump, forwards or backwards, by a minute to thirty years."""
    directory = arena.fresh()
    jump, after = rng.choice([-1.0, 1.0]) * 10.0 ** rng.uniform(1.8, 9.0), rng.randint(1, 150)
    outcome = call(run_words(directory), clock_jump(jump, after))
    detail = f"by {jump:.3g} s after {after} looks"
    if outcome.code:
        return Finding(LOST, f"{detail}: exit code {outcome.code}: {outcome.message}")
    return _judge(arena.differences(directory) or _resumable(arena, directory), detail)


def _resumable(arena: Arena, directory: Path) -> str:
    """Return whether files with the times of a faulty clock are accepted again."""
    (directory / "result.json").unlink()
    return arena.settle(directory)


def damaged_cache(arena: Arena, rng: random.Random) -> Finding:
    """Truncate some compiled programs in the cache, as a kill or a full disk leaves them."""
    cache = arena.folder / "cache"
    shutil.rmtree(cache, ignore_errors=True)
    shutil.copytree(os.environ["JAX_COMPILATION_CACHE_DIR"], cache)
    entries = sorted(path for path in cache.iterdir() if path.stat().st_size > 100)
    for path in rng.sample(entries, len(entries) // 3):
        path.write_bytes(path.read_bytes()[:rng.randrange(path.stat().st_size)])
    detail = f"{len(entries) // 3} of {len(entries)} entries"
    return _judge(arena.settle(arena.copy("half"), other_cache(cache)), detail)


def _judge(found: str, detail: str, kills: int = 0, outcome: str = SURVIVED) -> Finding:
    return Finding(LOST, f"{detail}: {found}", kills) if found else Finding(outcome, detail, kills)


KILLS: dict[str, Callable[[Arena, random.Random], Finding]] = {
    "SIGKILL at a random moment": kill,
    "SIGKILL at the opening, renaming or removing of a file": kill_at_a_file,
    "killed in the middle of a write": kill_in_a_write,
}
OTHERS: dict[str, Callable[[Arena, random.Random], Finding]] = {
    "SIGTERM, SIGINT or SIGUSR1": told_to_stop,
    "full disk": full_disk,
    "files refused (ENOSPC, EROFS, EIO, EDQUOT)": refused,
    "read-only directory": read_only,
    "newest checkpoints torn": torn_checkpoint,
    "all checkpoints torn": all_checkpoints_torn,
    "train.h5 or config.toml damaged": damaged_file,
    "scf.h5 or result.json damaged or missing": damaged_by_product,
    "train.h5 missing": missing_log,
    "two processes on one directory": two_processes,
    "clock jumps": clock_jumps,
    "compilation cache damaged": damaged_cache,
}
