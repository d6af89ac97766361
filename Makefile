# Two commands: `make demo` runs the main job on the built-in sample scene, `make test` runs every check and test.
.PHONY: demo test nightly lint types qt6 package screenshots setup-run setup-test clean

PYTHON := .venv/bin/python
export QT_QPA_PLATFORM ?= offscreen

demo: setup-run
	$(PYTHON) scripts/demo.py

# Two processes, each with a QGIS of its own; the tests of a file stay together, since they share what they made. If a
# process is lost, the run ends: a new one in its place has been seen to be waited for in vain.
test: setup-test lint types
	$(PYTHON) -m pytest -n 2 --dist loadfile --max-worker-restart 0

# Kills, faults and fuzzing as in tests/reliability, but more than fifty kills and thousands of examples: about an hour.
nightly: setup-test
	LANDLOOM_NIGHTLY=1 $(PYTHON) -X faulthandler -m pytest -o faulthandler_timeout=0 tests/reliability

lint:
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) scripts/scan_package.py

types:
	sh scripts/check_types

# Against the hints of PyQt6, which it installs in build/; tests/test_qt6.py needs neither and is part of `make test`.
qt6:
	sh scripts/check_qt6

# The zip for the plugin repository, in build/.
package:
	python3 scripts/package.py

# The pictures of the user guide, from the real QGIS window on a screen of its own (qgis, xvfb, imagemagick, chromium).
screenshots:
	$(PYTHON) scripts/screenshots.py

setup-run:
	@sh scripts/setup run

setup-test:
	@sh scripts/setup test

clean:
	rm -rf demo build .pytest_cache .hypothesis .mypy_cache .ruff_cache
