"""Adds the backports of this Debian release to apt, by copying the machine's own entry for the release.

``--print-suite`` prints the suite's name and changes nothing. Needs an administrator otherwise.
"""

import re
import sys
from pathlib import Path

APT = Path("/etc/apt")


def release() -> dict[str, str]:
    """What /etc/os-release says of this machine."""
    lines = Path("/etc/os-release").read_text(encoding="utf-8").splitlines()
    return {key: value.strip('"') for key, _, value in (line.partition("=") for line in lines)}


def backports_entry(codename: str) -> tuple[str, str]:
    """File name and text of the entry for the backports, copied from the release's own.

    Raises:
        SystemExit: if apt has no entry for the release's main archive.
    """
    suite = f"{codename}-backports"
    for path in sorted((APT / "sources.list.d").glob("*.sources")):
        for stanza in re.split(r"\n\s*\n", path.read_text(encoding="utf-8")):
            suites = re.search(r"^Suites:(.*)$", stanza, re.MULTILINE)
            if suites and codename in suites.group(1).split():
                kept = "\n".join(line for line in stanza.splitlines() if not line.startswith("#"))
                return f"{suite}.sources", re.sub(r"(?m)^Suites:.*$", f"Suites: {suite}", kept).strip() + "\n"
    lists = [APT / "sources.list", *sorted((APT / "sources.list.d").glob("*.list"))]
    for path in lists:
        for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
            found = re.match(rf"(deb\s+(?:\[[^]]*\]\s+)?\S+\s+){codename}(\s+.*\bmain\b.*)$", line)
            if found:
                return f"{suite}.list", f"{found.group(1)}{suite}{found.group(2)}\n"
    raise SystemExit(f"setup: apt has no entry for {codename}; add {suite} by hand, then run this again")


def main() -> None:
    """Add the suite, or print its name."""
    machine = release()
    if machine.get("ID") != "debian":
        name = machine.get("PRETTY_NAME", "this system")
        raise SystemExit(f"setup: {name} has no QGIS 3.34 or later; use Debian 12, Ubuntu 24.04 or later")
    codename = machine["VERSION_CODENAME"]
    if "--print-suite" in sys.argv:
        print(f"{codename}-backports")
        return
    name, text = backports_entry(codename)
    (APT / "sources.list.d" / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
