"""The commands behind the Makefile, and those that ask whether the verdicts are worth something."""

from __future__ import annotations

import argparse
import functools
import http.server
import os
import sys
from pathlib import Path

from bookbuild.project import BookError, Project


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return the exit status; what went wrong is said in one sentence."""
    parser = argparse.ArgumentParser(prog="bookbuild", description=__doc__)
    parser.add_argument("--root", type=Path, default=Path.cwd(), help="a folder of the book")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("build", help="build the site; run what changed")
    chapter = commands.add_parser("chapter", help="run and typeset one chapter")
    chapter.add_argument("name", help="the chapter's slug, e.g. ila_sdp")
    first = commands.add_parser("new", help="write the skeleton of a paper's chapter")
    first.add_argument("name", help="the paper's key in book/references.bib")
    serve = commands.add_parser("serve", help="show the site on localhost")
    serve.add_argument("--port", type=int, default=8000)
    commands.add_parser("pdf", help="print the built site as one PDF")
    pair = commands.add_parser("pair", help="bring the three forms of each chapter together")
    pair.add_argument("--keep", type=Path, metavar="FILE", help="take this form of its chapter")
    commands.add_parser("lab", help="open JupyterLab (further arguments are its own)")
    _add_trials(commands, "verdicts", "run chapters under other arithmetic and other seeds", 5)
    _add_trials(commands, "breaks", "run chapters broken on purpose: would they notice?", 0)
    options, others = parser.parse_known_args(arguments)
    if others and options.command != "lab":
        parser.error(f"unrecognized arguments: {' '.join(others)}")
    try:
        # the whole library stands behind these: a syntax error in it is one sentence too
        from bookbuild import breaks, pairing, pdf, site, skeleton, verdicts

        project = Project.find(options.root)
        if options.command == "build":
            site.build(project)
        elif options.command == "chapter":
            site.build(project, only=options.name)
        elif options.command == "new":
            print(f"write {skeleton.new(project, options.name).markdown}")
        elif options.command == "serve":
            _serve(project, options.port)
        elif options.command == "pdf":
            print(f"open {pdf.print_book(project)}")
        elif options.command in ("verdicts", "breaks"):
            report = verdicts.report if options.command == "verdicts" else breaks.report
            return 0 if report(project, options.names, options.seeds, options.jobs) else 1
        elif options.command == "lab":
            from bookbuild import lab  # imports a whole server

            lab.start(project, others)
        elif options.keep:
            chapter = project.chapter(options.keep.stem)
            pairing.pair(chapter, chapter.markdown.with_suffix(options.keep.suffix))
        else:
            for each in project.chapters:
                pairing.pair(each)
    except BookError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except SyntaxError as error:
        print(f"error: {error.filename}, line {error.lineno}: {error.msg}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nstopped; finished chapters are kept", file=sys.stderr)
        return 130
    except OSError as error:
        print(f"error: {_advice(error)}", file=sys.stderr)
        return 1
    return 0


def _add_trials(commands, name: str, words: str, seeds: int) -> None:
    trials = commands.add_parser(name, help=words)
    trials.add_argument("names", nargs="*", help="slugs of the chapters; all of them if none")
    trials.add_argument("--seeds", type=int, default=seeds, help="number of unseen seed offsets")
    trials.add_argument("--jobs", type=int, default=os.cpu_count(), help="trials side by side")


def _advice(error: OSError) -> str:
    import errno

    where = error.filename or "_build"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"the disk is full ({where}); free some room and run the same command again"
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EEXIST):
        return f"{where} cannot be written ({error.strerror}); make _build a writable folder"
    return f"{error}"


def _serve(project: Project, port: int) -> None:
    folder = project.build / "html"
    if not (folder / "index.html").exists():
        raise BookError("there is no site yet; build it with: make book")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", port), handler) as server:
        print(f"http://127.0.0.1:{server.server_port} shows the book; stop it with Ctrl-C")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print()


if __name__ == "__main__":
    sys.exit(main())
