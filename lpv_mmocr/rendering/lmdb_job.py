"""Resumable rendering of a complete LMDB with many processes."""

from __future__ import annotations

import contextlib
import shutil
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import cv2
import lmdb

from ..atomic_files import partial_path
from ..datasets.lmdb_environment import (
    NUM_SAMPLES_KEY,
    TruncatedLMDBError,
    image_key,
    label_key,
    require_whole,
    writing,
)
from ..datasets.lmdb_writer import put_all
from .processes import single_threaded_opencv, worker_pool
from .recipe import differing_settings, write_recipe
from .renderer import WordRenderer

CHUNK = 250
FIRST_MAP_SIZE = 1 << 28
RECIPE_FILE = "render.json"
_FOREIGN_FOLDER = (
    f"exists and was not made by this tool (it has no {RECIPE_FILE}): delete it yourself, or "
    "choose another --out"
)

_worker_renderer: WordRenderer | None = None


def render_lmdb(
    out: str | Path,
    *,
    count: int,
    seed: int,
    make_renderer: Callable[[], WordRenderer],
    recipe: dict,
    workers: int = 1,
    on_start: Callable[[int], None] = lambda done: None,
    on_progress: Callable[[int], None] = lambda steps: None,
) -> bool:
    """Render images into an LMDB: ``num-samples``, ``image-%09d``, ``label-%09d`` from 1.

    Images go into ``OUT.partial``, in order and with one transaction per chunk; the finished
    folder is renamed. An interrupted run resumes after its last complete chunk, so its result
    equals that of an uninterrupted one, regardless of the number of workers.

    Args:
        out: Folder of the LMDB.
        count: Number of images.
        seed: Seed of the set.
        make_renderer: Factory of the renderer, called once in every process that renders.
        recipe: Everything that the images depend on, as JSON data. It is stored with the data,
            and an interrupted run is only resumed with an equal one.
        workers: Number of processes.
        on_start: Callback, called once with the number of images left by an earlier run.
        on_progress: Callback, called with the number of images just finished.

    Returns:
        False if the finished LMDB already exists, otherwise True.

    Raises:
        ChildProcessError: If a worker process dies.
        OSError: If the LMDB cannot be written, e.g. on a full disk; the same call resumes.
        FileExistsError: If ``out`` or its partial folder holds something else or was made with
            another recipe, or another run is writing there.
        ValueError: If ``count`` or ``workers`` is not positive, ``seed`` is negative, or the
            existing recipe is damaged.
    """
    if count < 1 or workers < 1:
        raise ValueError(f"count and workers must be positive, got {count} and {workers}")
    if seed < 0:
        raise ValueError(f"seed must not be negative, got {seed}")
    out = Path(out)
    recipe = {**recipe, "count": count, "seed": seed}
    if out.exists():
        _check_recipe(out, recipe, "choose another --out or delete it")
        return False
    partial = partial_path(out)
    if _is_empty(partial):
        raise FileExistsError(
            f"{partial} is empty, perhaps left by a run that ended immediately: give --restart, "
            "or delete it"
        )
    if partial.exists():
        _check_recipe(partial, recipe, "give --restart, or delete it, to start again")
    else:
        partial.mkdir(parents=True)
        # The recipe comes first: a folder without one is never mistaken for ours.
        write_recipe(partial / RECIPE_FILE, recipe)
    with _only_run_in(partial):
        _require_whole(partial)
        with writing(partial):
            env = lmdb.open(str(partial), map_size=FIRST_MAP_SIZE, meminit=False)
        try:
            with env.begin() as txn:
                done = int(txn.get(NUM_SAMPLES_KEY, b"0"))
            on_start(done)
            chunks = [(seed, k, min(k + CHUNK, count)) for k in range(done, count, CHUNK)]
            for first, words in _rendered(chunks, make_renderer, workers):
                _store(env, first, words)
                on_progress(len(words))
        finally:
            env.close()
        (partial / "lock.mdb").unlink(missing_ok=True)
        partial.rename(out)
    return True


def remove_partial(out: str | Path) -> None:
    """Delete what an interrupted run left for ``out``.

    Args:
        out: Folder of the LMDB.

    Raises:
        FileExistsError: If a run is still writing there, or something else has the name.
    """
    partial = partial_path(Path(out))
    if (partial / RECIPE_FILE).is_file():
        with _only_run_in(partial):
            shutil.rmtree(partial, ignore_errors=True)
    elif _is_empty(partial):
        partial.rmdir()
    elif partial.exists():
        raise FileExistsError(f"{partial} {_FOREIGN_FOLDER}")


def _require_whole(partial: Path) -> None:
    """Check that what an interrupted run left can be continued."""
    try:
        require_whole(partial)
    except TruncatedLMDBError as error:
        raise FileExistsError(
            f"{partial} is damaged ({error}): give --restart, or delete it, to start again"
        ) from error


def _is_empty(folder: Path) -> bool:
    """Return whether a path is an empty folder."""
    return folder.is_dir() and not any(folder.iterdir())


@contextlib.contextmanager
def _only_run_in(partial: Path) -> Iterator[None]:
    """Lock a folder against other runs, or fail if another run is writing in it.

    The operating system releases the lock when the process and its forked workers have ended,
    however that happens.
    """
    # For writing: on network drives, a file open only for reading cannot be locked like this.
    with open(partial / RECIPE_FILE, "r+b") as handle:
        try:
            import fcntl

            # Not try_lock, which does not exclude a second run in this process.
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FileExistsError(
                f"another run is writing in {partial}; wait for it, or choose another --out"
            ) from None
        except (ImportError, OSError):
            pass  # Without locks (Windows, some network drives), no run is kept out.
        yield


def _check_recipe(folder: Path, recipe: dict, advice: str) -> None:
    file = folder / RECIPE_FILE
    if not file.is_file():
        raise FileExistsError(f"{folder} {_FOREIGN_FOLDER}")
    differing = differing_settings(file, recipe)
    if differing:
        raise FileExistsError(
            f"{folder} was made with other settings ({', '.join(differing)}); {advice}"
        )


def _rendered(
    chunks: list[tuple[int, int, int]], make_renderer: Callable[[], WordRenderer], workers: int
) -> Iterator[tuple[int, list[tuple[bytes, str]]]]:
    """Yield chunks in order, rendered by one or more processes."""
    if not chunks:
        return
    with single_threaded_opencv():
        if workers == 1:
            _start_worker(make_renderer)
            yield from map(_render_chunk, chunks)
        else:
            executor = worker_pool(workers, _start_worker, (make_renderer,))
            try:
                yield from _in_order(executor, chunks, ahead=4 * workers)
            except BrokenProcessPool:
                raise ChildProcessError(
                    "a worker process died, perhaps for lack of memory; the same command continues"
                ) from None
            finally:
                executor.shutdown(cancel_futures=True)


def _in_order(
    executor: ProcessPoolExecutor, chunks: list[tuple[int, int, int]], ahead: int
) -> Iterator[tuple[int, list[tuple[bytes, str]]]]:
    """Yield chunks in order, rendering at most ``ahead`` of them in advance."""
    waiting: deque[Future] = deque()
    for chunk in chunks:
        waiting.append(executor.submit(_render_chunk, chunk))
        if len(waiting) > ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _start_worker(make_renderer: Callable[[], WordRenderer]) -> None:
    global _worker_renderer
    cv2.setNumThreads(1)  # Spawned workers start with OpenCV's default.
    _worker_renderer = make_renderer()


def _render_chunk(chunk: tuple[int, int, int]) -> tuple[int, list[tuple[bytes, str]]]:
    seed, first, last = chunk
    words = (_worker_renderer(seed, index) for index in range(first, last))
    return first, [(word.jpeg, word.label) for word in words]


def _store(env: lmdb.Environment, first: int, words: list[tuple[bytes, str]]) -> None:
    entries = [(NUM_SAMPLES_KEY, b"%d" % (first + len(words)))]
    for number, (jpeg, label) in enumerate(words, start=first + 1):
        entries += [(image_key(number), jpeg), (label_key(number), label.encode("utf-8"))]
    put_all(env, env.path(), entries)
