"""The kernel of a chapter: IPython's, without the settings of this machine.

``python -m bookbuild.kernel -f FILE`` is what ``python -m ipykernel_launcher -f FILE`` is, but for
IPython's configuration and start-up files in the system's folders (``/etc/ipython`` and others) and
in the environment's: no variable names these, so that they cannot be pointed elsewhere.
"""

import sys


def main() -> None:
    """Start a kernel with the arguments of the command line."""
    from ipykernel import kernelapp
    from IPython.core import application

    application.SYSTEM_CONFIG_DIRS.clear()
    application.ENV_CONFIG_DIRS.clear()
    kernelapp.launch_new_instance()


if __name__ == "__main__":
    sys.path[:] = [place for place in sys.path[1:] if place]  # the first is the working folder
    main()
