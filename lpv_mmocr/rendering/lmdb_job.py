"""Rendering a whole LMDB with many processes, so that it can be interrupted and continued."""

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

from ..datasets.lmdb_environment import NUM_SAMPLES_KEY, image_key, label_key, writing
from ..whole_files import partial_of
from .processes import single_threaded_opencv, worker_pool
from .recipe import differing_settings, write_recipe
from .renderer import WordRenderer

CHUNK = 250
FIRST_MAP_SIZE = 1 << 28
RECIPE_FILE = "render.json"
_NOT_OURS = (
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
    """Renders pictures into an LMDB: ``num-samples``, ``image-%09d``, ``label-%09d`` from 1.

    Pictures go into ``OUT.partial``, in order and one transaction per chunk; the finished folder
    is renamed. A run that was interrupted is continued behind its last full chunk, so its result
    equals that of an uninterrupted one, whatever the number of workers.

    Args:
        out: Folder of the LMDB.
        count: Number of pictures.
        seed: Seed of the set.
        make_renderer: Makes the renderer; called once in every worker process.
        recipe: Everything that the pictures depend on, as JSON data. It is kept beside the data,
            and an interrupted run is only continued with an equal one.
        workers: Number of processes.
        on_start: Called once with the number of pictures that an earlier run left.
        on_progress: Called with the number of pictures just finished.

    Returns:
        False when the finished LMDB was there already.

    Raises:
        ChildProcessError: If a worker process dies.
        OSError: If it cannot be written, such as on a full disk; the same call continues.
        FileExistsError: If ``out`` or its partial folder holds something else, or another run is
            writing there.
        ValueError: If ``count`` or ``workers`` is not positive, ``seed`` is negative, or the recipe
            of what is there is damaged.
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
    partial = partial_of(out)
    if partial.exists():
        _check_recipe(partial, recipe, "give --restart, or delete it, to start again")
    else:
        partial.mkdir(parents=True)
        # The recipe goes first: a folder without one is never mistaken for ours.
        write_recipe(partial / RECIPE_FILE, recipe)
    with _only_run_in(partial):
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
    """Deletes what an interrupted run left for ``out``.

    Args:
        out: Folder of the LMDB.

    Raises:
        FileExistsError: If the run is not interrupted at all, but writing there, or something else
            has the name.
    """
    partial = partial_of(Path(out))
    if (partial / RECIPE_FILE).is_file():
        with _only_run_in(partial):
            shutil.rmtree(partial, ignore_errors=True)
    elif partial.is_dir() and not any(partial.iterdir()):
        partial.rmdir()  # a run that ended at once may have left it
    elif partial.exists():
        raise FileExistsError(f"{partial} {_NOT_OURS}")


@contextlib.contextmanager
def _only_run_in(partial: Path) -> Iterator[None]:
    """Refuses a folder in which another run is writing, and keeps other runs out of it.

    The lock is the system's: it ends with the process, however that ends.
    """
    # For writing: on network drives a file that is open for reading alone cannot be locked so.
    with open(partial / RECIPE_FILE, "r+b") as handle:
        try:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FileExistsError(
                f"another run is writing in {partial}; wait for it, or choose another --out"
            ) from None
        except (ImportError, OSError):
            pass  # Where locks do not exist (Windows, some network drives) nobody is kept out.
        yield


def _check_recipe(folder: Path, recipe: dict, advice: str) -> None:
    file = folder / RECIPE_FILE
    if not file.is_file():
        raise FileExistsError(f"{folder} {_NOT_OURS}")
    differing = differing_settings(file, recipe)
    if differing:
        raise FileExistsError(
            f"{folder} was made with other settings ({', '.join(differing)}); {advice}"
        )


def _rendered(
    chunks: list[tuple[int, int, int]], make_renderer: Callable[[], WordRenderer], workers: int
) -> Iterator[tuple[int, list[tuple[bytes, str]]]]:
    """Yields chunks in order, rendered by one or more processes."""
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
    """Yields chunks in order, of which at most ``ahead`` are rendered before they are asked for."""
    waiting: deque[Future] = deque()
    for chunk in chunks:
        waiting.append(executor.submit(_render_chunk, chunk))
        if len(waiting) > ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _start_worker(make_renderer: Callable[[], WordRenderer]) -> None:
    global _worker_renderer
    cv2.setNumThreads(1)  # A spawned worker has OpenCV's default.
    _worker_renderer = make_renderer()


def _render_chunk(chunk: tuple[int, int, int]) -> tuple[int, list[tuple[bytes, str]]]:
    seed, first, last = chunk
    words = (_worker_renderer(seed, index) for index in range(first, last))
    return first, [(word.jpeg, word.label) for word in words]


def _store(env: lmdb.Environment, first: int, words: list[tuple[bytes, str]]) -> None:
    while True:
        try:
            with writing(env.path()), env.begin(write=True) as txn:
                for number, (jpeg, label) in enumerate(words, start=first + 1):
                    txn.put(image_key(number), jpeg)
                    txn.put(label_key(number), label.encode("utf-8"))
                txn.put(NUM_SAMPLES_KEY, b"%d" % (first + len(words)))
            return
        except lmdb.MapFullError:
            env.set_mapsize(2 * env.info()["map_size"])
