"""The Python interpreter of this QGIS, which may not be ``sys.executable``: on Windows and macOS that is QGIS itself.

Everything is decided from values that a test can give for another system.
"""

from __future__ import annotations

import ntpath
import os
import platform
import posixpath
import subprocess  # nosec B404 # runs the interpreter found here, with a list of arguments and no shell
import sys
from collections.abc import Callable
from dataclasses import dataclass, field

from .language import tr

NO_WINDOW: int = getattr(subprocess, "CREATE_NO_WINDOW", 0)  # keeps Windows from opening a console
_PROBE = "import sys; print('%d.%d' % sys.version_info[:2])"


@dataclass(frozen=True)
class Host:
    """What decides where the interpreter lies.

    Attributes:
        system: ``Linux``, ``Windows`` or ``Darwin``.
        executable: ``sys.executable``.
        prefix, base_prefix: those of ``sys``.
        version: (major, minor) of the running Python.
        environment: environment variables.
    """

    system: str
    executable: str
    prefix: str
    base_prefix: str
    version: tuple[int, int]
    environment: dict[str, str] = field(default_factory=dict)

    @classmethod
    def here(cls) -> Host:
        """Those of the running process."""
        version = (sys.version_info.major, sys.version_info.minor)
        return cls(platform.system(), sys.executable or "", sys.prefix, sys.base_prefix, version, dict(os.environ))

    def candidates(self) -> list[str]:
        """Paths where the interpreter may lie, the likeliest first, each once."""
        major, minor = self.version
        found: list[str] = []
        if self.system == "Windows":
            join, base, folder = ntpath.join, ntpath.basename, ntpath.dirname
            name = base(self.executable).lower()
            if name.startswith("python"):
                # pythonw has no console to write to; python.exe lies beside it.
                found.append(join(folder(self.executable), "python.exe"))
            for prefix in (self.prefix, self.base_prefix):
                found += [join(prefix, "python.exe"), join(prefix, "python3.exe")]
            root = self.environment.get("OSGEO4W_ROOT", "")
            if root:
                found += [
                    join(root, "apps", f"Python{major}{minor}", "python.exe"),
                    join(root, "bin", "python3.exe"),
                ]
            return list(dict.fromkeys(found))
        join, base, folder = posixpath.join, posixpath.basename, posixpath.dirname
        if base(self.executable).lower().startswith("python"):
            found.append(self.executable)
        names = (f"python{major}.{minor}", f"python{major}", "python")
        for prefix in (self.prefix, self.base_prefix):
            found += [join(prefix, "bin", one) for one in names]
        if self.system == "Darwin":
            # QGIS.app/Contents/MacOS holds the binary; the interpreter lies in its bin or in Frameworks.
            contents = folder(folder(self.executable))
            found += [join(contents, "MacOS", "bin", one) for one in names]
            found += [join(contents, "Frameworks", "bin", one) for one in names]
        else:
            found += [join("/usr/bin", one) for one in names]
        return list(dict.fromkeys(found))


class NoInterpreterError(Exception):
    """No interpreter of the right version was found; the text says what to do."""


def find_interpreter(
    host: Host, exists: Callable[[str], bool] = os.path.isfile, version_of: Callable[[str], str] | None = None
) -> str:
    """The interpreter whose version is that of the running Python.

    Args:
        host: where to look.
        exists: tells whether a path is a file.
        version_of: runs an interpreter and gives ``major.minor``; empty text when it does not run.

    Raises:
        NoInterpreterError: with a sentence that says what was tried.
    """
    version_of = version_of or probe
    wanted = f"{host.version[0]}.{host.version[1]}"
    others: list[str] = []
    for candidate in host.candidates():
        if not exists(candidate):
            continue
        found = version_of(candidate)
        if found == wanted:
            return candidate
        others.append(f"{candidate} ({found or 'does not run'})")
    seen = tr(" Found: {others}.").format(others=", ".join(others)) if others else ""
    raise NoInterpreterError(
        tr(
            "No Python {wanted} was found beside QGIS.{seen} Install the packages by hand with the command that "
            "'Status' shows, or use the random forest."
        ).format(wanted=wanted, seen=seen)
    )


def probe(path: str) -> str:
    """``major.minor`` of an interpreter, or empty text when it does not run."""
    try:
        done = subprocess.run(  # nosec B603 # a path found above, a constant program
            [path, "-E", "-c", _PROBE], capture_output=True, text=True, timeout=20, check=False, creationflags=NO_WINDOW
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
