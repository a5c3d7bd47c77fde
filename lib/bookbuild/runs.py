"""What the last run of each chapter gave, and how a new one is made.

A verified run stands in the chapter's notebook.  A failed one never touches it: it is kept in
``_build/failed/<slug>.ipynb`` until the chapter has run well.  So a run that fails at once costs
neither the last verified outputs nor an edit that a reader makes meanwhile.
"""

from __future__ import annotations

import copy
import hashlib
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_notebook

from bookbuild import execution, freshness, pairing, sharing, verification
from bookbuild.locks import locked
from bookbuild.pairing import STAMP
from bookbuild.project import BookError, Chapter, Project
from bookbuild.tally import tally
from bookbuild.verification import Failure


@dataclass(frozen=True)
class Run:
    """One run of a chapter in its present form.

    Parameters
    ----------
    notebook : NotebookNode
        The inputs with the outputs of the run, and its stamp.
    kept : bool
        Whether the run was there already.
    """

    notebook: NotebookNode
    kept: bool = True

    @property
    def stamp(self) -> dict:
        """When, how long and at which setting it ran."""
        return self.notebook.metadata[STAMP]

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.stamp["seconds"]

    @property
    def cost(self) -> tuple[float, int] | None:
        """Seconds of processor time and megabytes of memory, or None if nobody measured them."""
        known = "processor" in self.stamp
        return (self.stamp["processor"], self.stamp["memory"]) if known else None

    @property
    def failure(self) -> Failure | None:
        """Why it is no verified run, or None."""
        facts = self.stamp.get("failure")
        return Failure(**facts) if facts else None

    @property
    def bundle(self) -> dict | None:
        """The rows that it reports; None if it did not come to report them soundly."""
        if self.failure is not None and self.failure.kind != "claims":
            return None
        return freshness.claims_bundle(self.notebook)

    @property
    def is_refused(self) -> bool:
        """Whether the chapter could not run as it is written."""
        return self.failure is not None and self.failure.kind == "refused"

    def __str__(self) -> str:
        """Say what came of it, in words."""
        return self.failure.text if self.failure else str(tally(self.bundle["claims"]))


def failed_file(chapter: Chapter, project: Project) -> Path:
    """Return where the notebook of a failed run is kept."""
    return project.build / "failed" / f"{chapter.slug}.ipynb"


def last_run(chapter: Chapter, project: Project) -> Run | None:
    """Return the last run of the chapter's present form, or None.

    A failed run at the scale and backend asked for now comes before a verified one: it is the later
    of the two, as a run that ends well removes it.
    """
    library = project.root / "lib"
    verified = _read(chapter.notebook)
    failed = _read(failed_file(chapter, project))
    if failed is not None:
        inputs = verified or failed
        if not freshness.is_run_of(failed, inputs, library) or Run(failed).failure is None:
            failed = None
    if verified is not None and not freshness.is_current(verified, library):
        verified = None
    if failed is not None and (verified is None or freshness.as_asked(failed)):
        return Run(failed)
    if verified is None:
        return None
    problem = verification.undeclared(verified, chapter.slug, Run(verified).stamp["scale"])
    if problem is not None:
        verified.metadata[STAMP]["failure"] = asdict(problem)
    return Run(verified)


def prepare(chapter: Chapter, project: Project) -> Run | None:
    """Pair the forms of a chapter; return its failure if it may not run as it is written."""
    try:
        pairing.pair(chapter)
        problem = _refusal(chapter, project)
    except BookError as error:
        problem = str(error)
    if problem is None:
        former = _read(failed_file(chapter, project))
        if former is not None and Run(former).is_refused:
            failed_file(chapter, project).unlink()
        return None
    inputs = _read(chapter.notebook) or _any_form(chapter)
    failure = Failure(problem, kind="refused")
    return _keep_failure(chapter, project, _cleared(inputs), failure, 0.0)


def _refusal(chapter: Chapter, project: Project) -> str | None:
    """Return why a chapter is refused; a page that was accepted once is not parsed again."""
    accepted = project.build / "accepted" / chapter.slug
    rules = Path(verification.__file__).read_bytes()
    digest = hashlib.sha256(rules + chapter.markdown.read_bytes()).hexdigest()
    if accepted.exists() and accepted.read_text() == digest:
        return None
    problem = verification.refusal(chapter)
    if problem is None:
        accepted.parent.mkdir(parents=True, exist_ok=True)
        accepted.write_text(digest)
    return problem


def is_settled(run: Run | None) -> bool:
    """Return whether a run is a verified one at the scale and backend asked for now."""
    return run is not None and run.failure is None and freshness.as_asked(run.notebook)


def run_chapter(
    chapter: Chapter,
    project: Project,
    *,
    again: bool = False,
    retry: bool = False,
    interrupt: threading.Event | None = None,
) -> Run:
    """Return the run of a chapter at the scale and backend asked for, made now if need be.

    Parameters
    ----------
    chapter : Chapter
        The chapter.
    project : Project
        The book.
    again : bool
        Whether to run it even if a verified run is there.
    retry : bool
        Whether to run it if its last run failed; otherwise that failure stands.
    interrupt : threading.Event, optional
        Ends the run when it is set, with `KeyboardInterrupt`.
    """
    with locked(project.build / "locks" / chapter.slug):
        refused = prepare(chapter, project)
        if refused is not None:
            return refused
        if not again:
            run = last_run(chapter, project)
            if run is not None and freshness.as_asked(run.notebook):
                if run.failure is None or not retry:
                    return run
            shared = sharing.take(chapter, project)
            if shared is not None:
                failed_file(chapter, project).unlink(missing_ok=True)
                return Run(shared)
        return _run_now(chapter, project, interrupt)


def _run_now(chapter: Chapter, project: Project, interrupt: threading.Event | None) -> Run:
    library = project.root / "lib"
    notebook = _cleared(pairing.read(chapter.notebook))
    key = freshness.execution_key(notebook, library, freshness.setting())
    state = freshness.library_state(notebook, library)
    freshness.compile_by_content(notebook, library)
    started = time.perf_counter()
    outcome = execution.run(notebook, library, project.build / "kernels", interrupt)
    seconds = time.perf_counter() - started
    scale = freshness.setting()["scale"]
    failure = Failure(outcome.stopped) if outcome.stopped else None
    failure = failure or verification.failure(notebook, chapter.slug, scale)
    present = _read(chapter.notebook) or notebook
    if freshness.execution_key(present, library, freshness.setting()) != key:
        failure = Failure("the chapter or the library was changed while it ran; run it again")
    elif freshness.library_state(notebook, library) != state:
        failure = Failure("the library was changed and put back while it ran; run it again")
    if failure is not None:
        return _keep_failure(chapter, project, notebook, failure, seconds)
    execution.put_outputs(present, notebook.cells)  # its prose may have been edited meanwhile
    freshness.stamp(present, key, seconds, cost=_cost(outcome))
    pairing.write(chapter.notebook, present)
    failed_file(chapter, project).unlink(missing_ok=True)
    sharing.give(present)
    return Run(present, kept=False)


def _cost(outcome: execution.Outcome) -> dict[str, float]:
    """Return what a stamp says of a run's cost: seconds of processor time, and megabytes."""
    return {"processor": round(outcome.processor, 1), "memory": outcome.memory // 10**6}


def _keep_failure(
    chapter: Chapter, project: Project, notebook: NotebookNode, failure: Failure, seconds: float
) -> Run:
    library = project.root / "lib"
    key = freshness.execution_key(notebook, library, freshness.setting())
    freshness.stamp(notebook, key, seconds, asdict(failure))
    path = failed_file(chapter, project)
    path.parent.mkdir(parents=True, exist_ok=True)
    pairing.write(path, notebook)
    return Run(notebook, kept=False)


def _cleared(notebook: NotebookNode) -> NotebookNode:
    """Return a copy without outputs, without a stamp but for what pairing knows of the inputs."""
    clean = copy.deepcopy(notebook)
    for cell in clean.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    known = clean.metadata.get(STAMP, {})
    clean.metadata[STAMP] = {"inputs": known["inputs"]} if "inputs" in known else {}
    return clean


def shown_file(chapter: Chapter, project: Project) -> Path:
    """Return the notebook that a chapter's page shows: its last run, or its inputs only."""
    return project.build / "shown" / f"{chapter.slug}.ipynb"


def show(chapter: Chapter, run: Run | None, project: Project) -> None:
    """Put the notebook that the page is to show in its place."""
    path = shown_file(chapter, project)
    path.parent.mkdir(parents=True, exist_ok=True)
    text = nbformat.writes(run.notebook if run else _cleared(_any_form(chapter)))
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def read_shown(chapter: Chapter, project: Project) -> Run | None:
    """Return the run that a chapter's page shows, or None if the page shows inputs only."""
    notebook = _read(shown_file(chapter, project))
    if notebook is None or "key" not in notebook.metadata.get(STAMP, {}):
        return None
    return Run(notebook)


def expected_seconds(chapter: Chapter) -> float:
    """Return how long the chapter's last verified run took, of whatever form; else infinity."""
    notebook = _read(chapter.notebook)
    stamp = notebook.metadata.get(STAMP, {}) if notebook is not None else {}
    return float(stamp.get("seconds", "inf"))


def _any_form(chapter: Chapter) -> NotebookNode:
    """Return the chapter's inputs from its Markdown, or nothing if that cannot be read."""
    try:
        return pairing.read(chapter.markdown)
    except BookError:
        return new_notebook()


def _read(path: Path) -> NotebookNode | None:
    try:
        return pairing.read(path) if path.exists() else None
    except BookError:
        return None
