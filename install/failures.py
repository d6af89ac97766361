"""What went wrong with pip, in one sentence that says what to do."""

from __future__ import annotations

import re

from .language import mark, tr

_CAUSES: tuple[tuple[str, str], ...] = (
    (
        r"No module named (pip|'pip')",
        mark(
            "The Python of QGIS has no pip: on Debian and Ubuntu run 'sudo apt-get install python3-pip', on "
            "Windows add python3-pip in the OSGeo4W setup, then try again."
        ),
    ),
    (
        r"No space left on device|ENOSPC|There is not enough space on the disk|OSError: \[Errno 28\]",
        mark("The disk is full: free the space shown above, or choose another folder, and try again."),
    ),
    (
        r"ProxyError|407 Proxy Authentication|Tunnel connection failed",
        mark(
            "The proxy refused the connection: set it in QGIS (Settings > Options > Network), with user and "
            "password where it asks for them, and try again."
        ),
    ),
    (
        r"CERTIFICATE_VERIFY_FAILED|SSLCertVerificationError|SSLError",
        mark(
            "The connection's certificate was not accepted, as happens behind a company's proxy or with a "
            "wrong clock: set the date, or ask for the proxy's certificate and set PIP_CERT to it, and try "
            "again."
        ),
    ),
    (
        r"WinError 5\b|WinError 32|being used by another process|PermissionError|Permission denied|Errno 13",
        mark(
            "A file could not be written: close other QGIS windows, let the antivirus allow the folder shown "
            "above, and try again."
        ),
    ),
    (
        r"Read-only file system|Errno 30",
        mark("The folder shown above is read-only: choose another profile folder that can be written to."),
    ),
    (
        r"Failed to establish a new connection|Temporary failure in name resolution|getaddrinfo failed|"
        r"Network is unreachable|ConnectTimeoutError|Read timed out|ConnectionResetError|NewConnectionError",
        mark(
            "There is no connection to the package index: check the network and try again, or install from a "
            "folder of wheels."
        ),
    ),
    (
        r"is not a supported wheel on this platform|requires a different Python|Requires-Python",
        mark("There is no package for this Python: update QGIS, or use the random forest, which needs nothing more."),
    ),
    (
        r"No matching distribution found|Could not find a version that satisfies",
        mark(
            "The package was not found for this Python and system: with a folder of wheels, check that it "
            "holds those for this version; else update QGIS or use the random forest."
        ),
    ),
    (
        r"ResolutionImpossible|conflicting dependencies",
        mark(
            "The packages need versions other than those that QGIS holds, which are never changed: update "
            "QGIS, or use the random forest."
        ),
    ),
    (
        r"THESE PACKAGES DO NOT MATCH THE HASHES|IncompleteRead|BadZipFile|is invalid",
        mark("A download was damaged: try again; if it stays, empty pip's cache or check the wheel."),
    ),
    (
        r"MemoryError|Cannot allocate memory|Killed",
        mark("There was not enough memory: close other programs and try again."),
    ),
)

MISSING_RUNTIME = mark(
    "PyTorch is installed but cannot be loaded because Windows lacks the Microsoft Visual C++ runtime: install "
    "'Microsoft Visual C++ 2015-2022 Redistributable (x64)' from Microsoft's site and start QGIS again."
)


def explain(log: str) -> str:
    """One sentence for what pip printed, by the first known cause; else its last line of error."""
    for pattern, sentence in _CAUSES:
        if re.search(pattern, log, re.IGNORECASE):
            return tr(sentence)
    errors = [line.strip() for line in log.splitlines() if re.match(r"\s*(ERROR|error)\b", line)]
    last = errors[-1] if errors else next((x.strip() for x in reversed(log.splitlines()) if x.strip()), "no message")
    sentence = tr("pip ended with: {last}. Send the log with a question to the address in 'About'.")
    return sentence.format(last=last[:300])


def explain_import(error: str, system: str) -> str:
    """One sentence for an error of importing PyTorch after it was installed."""
    if system == "Windows" and re.search(
        r"WinError 126|WinError 1114|DLL load failed|c10\.dll|vcruntime", error, re.IGNORECASE
    ):
        return tr(MISSING_RUNTIME)
    if re.search(r"cannot open shared object file|GLIBC", error):
        sentence = tr(
            "PyTorch is installed but cannot be loaded ({error}): this system is too old or lacks a library; use the "
            "random forest, or a newer system."
        )
    else:
        sentence = tr(
            "PyTorch is installed but cannot be loaded ({error}): remove it, install it again, and start QGIS again."
        )
    return sentence.format(error=error[:200])
