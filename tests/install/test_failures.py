"""Every known failure of pip ends in a sentence that says what to do, never in pip's own words alone."""

import pytest
from landloom.install.failures import MISSING_RUNTIME, explain, explain_import

LOGS = {
    "/usr/bin/python3: No module named pip": "python3-pip",
    "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device": "disk is full",
    "ProxyError('Cannot connect to proxy.', OSError('Tunnel connection failed: 407'))": "proxy",
    "SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED]'))": "certificate",
    "ERROR: [WinError 5] Access is denied: 'C:\\\\torch\\\\lib\\\\c10.dll'": "antivirus",
    "PermissionError: [Errno 13] Permission denied: '/home/x'": "antivirus",
    "OSError: [Errno 30] Read-only file system: '/x'": "read-only",
    "Failed to establish a new connection: [Errno -3] Temporary failure in name resolution": "no connection",
    "ERROR: torch-2.13-cp312-win_amd64.whl is not a supported wheel on this platform.": "this Python",
    "ERROR: No matching distribution found for torch": "not found",
    "ERROR: ResolutionImpossible: for help visit": "versions other than those",
    "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES": "damaged",
    "MemoryError": "not enough memory",
}


@pytest.mark.parametrize("log", LOGS)
def test_a_known_failure_has_its_advice(log) -> None:
    sentence = explain(f"Collecting torch\n{log}\n")
    assert LOGS[log] in sentence
    assert sentence.endswith(".")


def test_an_unknown_failure_shows_the_last_error() -> None:
    assert "something new" in explain("Collecting x\nERROR: something new\nsee above\n")
    assert explain("").endswith(".")


def test_windows_without_the_runtime_is_told_which_to_install() -> None:
    text = "[WinError 126] The specified module could not be found. Error loading c10.dll"
    assert explain_import(text, "Windows") == MISSING_RUNTIME
    assert "older" not in explain_import(text, "Linux")
    assert "too old" in explain_import("version `GLIBC_2.28' not found", "Linux")
