# Two commands do everything on a machine with Python, a C compiler and make:
#   make demo    set-up, build, and the main job
#   make test    set-up, build, and the whole suite
# Everything lives in .venv (compiled), .venv-pure (uncompiled) and build/. Installs are real ones, not editable, so what is tested is what a
# user gets. Stamp files remember what is done: the second run of anything starts at once.

PYTHON ?= python3
VENV ?= .venv
PURE ?= .venv-pure
SANITIZED ?= .venv-asan
# Test processes: one per core.
WORKERS ?= auto
# How long the fuzzer and the soak go on.
SECONDS ?= 300
MINUTES ?= 3
# Passed on to pytest, benchmarks and the demo: make test ARGS="-k timers"
ARGS ?=
# Rows of the benchmarks, with blanks between them: make bench-compare BASE=main~20 ROWS="task.* sync.lock"
ROWS ?=
rows = $(foreach row,$(ROWS),--rows '$(row)')

SHELL := /bin/bash
.DELETE_ON_ERROR:
.NOTPARALLEL:
.DEFAULT_GOAL := help

export PIP_DISABLE_PIP_VERSION_CHECK = 1
# Images of containers set it. pytest keeps the tests as it has rewritten them; else each of its processes would rewrite them anew.
unexport PYTHONDONTWRITEBYTECODE

SOURCES := pyproject.toml setup.py LICENSE README.md $(shell find src -name '*.py' -o -name '*.pyx' -o -name '*.pxd' -o -name '*.h' -o -name py.typed)
# Errors only: how a build failed is an error, a mirror that lacks something is not.
PIP_INSTALL = -m pip install -qq
# The package without its dependencies or an isolated build: the build tools are in the environment already, and build/ keeps the rest.
PACKAGE = --no-deps --no-build-isolation --force-reinstall .
SPREAD = -n $(WORKERS) --maxprocesses 8 --dist worksteal
PYTEST = -m pytest $(SPREAD)
# On cede's loop, and then with asyncio's names on cede's as well.
BOTH_WAYS = -m tests.libraries.both_ways $(SPREAD)

# requirements NAME...: prints what pyproject.toml lists under [build-system] ("build"), or as an extra of that name
define REQUIREMENTS
import sys, tomllib
with open("pyproject.toml", "rb") as file:
    project = tomllib.load(file)
lists = {**project["project"]["optional-dependencies"], "build": project["build-system"]["requires"]}
lists["build-pure"] = [item for item in lists["build"] if not item.lower().startswith("cython")]
print(*(item for name in sys.argv[1:] for item in lists[name]), sep="\n")
endef
export REQUIREMENTS

# Where the compiler is missing or does not work the package is installed uncompiled, and pip hides what it was told of that: it is told each
# time that the install is used.
define UNCOMPILED
import importlib.util, json, pathlib
told = json.loads(pathlib.Path(importlib.util.find_spec("cede").origin).with_name("_build.json").read_text())
if told["mode"] != "compiled":
    print("== cede is UNCOMPILED here, and slower:", told["reason"])
endef
export UNCOMPILED
tell_uncompiled = @"$(VENV)/bin/python" -c "$$UNCOMPILED"

# The Python of that environment, with Redis and PostgreSQL running.
with_services = "$(1)/bin/python" tests/libraries/services.py run "$(1)/bin/python"

define install_lists
	@"$(1)/bin/python" -c "$$REQUIREMENTS" $(2) > "$@.txt"
	@"$(1)/bin/python" $(PIP_INSTALL) -r "$@.txt"
	@touch "$@"
endef

.PHONY: help
help:  ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# --- set-up -----------------------------------------------------------------------------------------------------------------

%/.python:
	@echo "== environment $*"
	@"$(PYTHON)" -c 'import sys; sys.exit("cede needs Python 3.11 or later, $(PYTHON) is " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	@"$(PYTHON)" -m venv "$*" || { echo "$(PYTHON) cannot make a virtual environment (on Debian and Ubuntu: apt install python3-venv)" >&2; exit 1; }
	@touch "$@"

$(VENV)/.deps: pyproject.toml | $(VENV)/.python
	@echo "== build and test tools into $(VENV)"
	$(call install_lists,$(VENV),build test)

$(PURE)/.deps: pyproject.toml | $(PURE)/.python
	@echo "== test tools into $(PURE)"
	$(call install_lists,$(PURE),build-pure test)

$(VENV)/.deps-lint: pyproject.toml | $(VENV)/.python
	@echo "== lint tools into $(VENV)"
	$(call install_lists,$(VENV),lint)

$(VENV)/.deps-bench: pyproject.toml | $(VENV)/.python
	@echo "== peers to measure against into $(VENV)"
	$(call install_lists,$(VENV),bench)

$(VENV)/.deps-conformance: pyproject.toml | $(VENV)/.python
	@echo "== what the suites of uvloop and AnyIO need, into $(VENV)"
	$(call install_lists,$(VENV),conformance)

%/.deps-libraries: pyproject.toml tests/libraries/wheels.py | %/.deps
	@echo "== the libraries that are tested on cede, into $*"
	@"$*/bin/python" -c "$$REQUIREMENTS" libraries > "$@.txt"
	@"$*/bin/python" tests/libraries/wheels.py "$@.txt"
	@touch "$@"

%/.deps-cluster: pyproject.toml tests/libraries/wheels.py | %/.deps
	@echo "== Dask's distributed into $*"
	@"$*/bin/python" -c "$$REQUIREMENTS" cluster > "$@.txt"
	@"$*/bin/python" tests/libraries/wheels.py "$@.txt"
	@touch "$@"

$(VENV)/.installed: $(VENV)/.deps $(SOURCES)
	@echo "== cede, compiled, into $(VENV) (about a minute the first time)"
	@touch "$@.begun" # what is edited while the compiler runs must count as newer
	@"$(VENV)/bin/python" $(PIP_INSTALL) $(PACKAGE)
	@mv "$@.begun" "$@"

$(PURE)/.installed: $(PURE)/.deps $(SOURCES)
	@echo "== cede, uncompiled, into $(PURE)"
	@touch "$@.begun"
	@CEDE_PURE=1 "$(PURE)/bin/python" $(PIP_INSTALL) $(PACKAGE)
	@mv "$@.begun" "$@"

.PHONY: build
build: $(VENV)/.installed  ## compile cede and install it into .venv
	$(tell_uncompiled)
	@echo "cede is built: $(VENV)/bin/cede"

# --- what it is for -----------------------------------------------------------------------------------------------------------

.PHONY: demo
demo: $(VENV)/.installed  ## chat server with 1,000 clients, on cede and on asyncio
	$(tell_uncompiled)
	@"$(VENV)/bin/python" examples/demo/main.py $(ARGS)

# by_apt PROGRAM, WHAT THERE IS WITHOUT IT: a program that no wheel brings. Its package has the same name. Without it the rest runs all the same.
define by_apt
	@command -v $(1) >/dev/null || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && echo "== $(1), by apt" \
		&& { apt-get install -y -qq $(1) || { apt-get update -qq && apt-get install -y -qq $(1); }; } >/dev/null 2>&1; } \
		|| echo "$(1) is not installed: $(2) (on Debian and Ubuntu: apt install $(1))"
	@touch "$@"
endef

# The load of the web rows.
%/.wrk: | %/.python
	$(call by_apt,wrk,the web rows will be left out)

# What shows that a driver in Python makes no system call.
%/.strace: | %/.python
	$(call by_apt,strace,the tests that look at system calls will be left out)

.PHONY: bench
bench: $(VENV)/.installed $(VENV)/.deps-bench $(VENV)/.wrk  ## measure cede beside its peers, write benchmarks/results
	@"$(VENV)/bin/python" -m benchmarks $(rows) $(ARGS)

# Each in an environment that `make matrix` uses too, and looked for as there.
IMPORT_PYTHONS ?= 3.13 3.14
define LOOK_FOR
import sys
from tests.matrix.pythons import NotFound, find
try:
    found = find(sys.argv[1])
except NotFound as error:
    sys.exit(f"Python {sys.argv[1]}: not measured, {error}")
print(*found.prefix, "make --no-print-directory bench ROWS=install.*", f"PYTHON={found.command} VENV=.venv-{sys.argv[1]}")
endef
export LOOK_FOR

.PHONY: bench-import
bench-import:  ## what an import takes, on Python 3.13 and 3.14 where they are, else on this one
	@found=; for version in $(IMPORT_PYTHONS); do \
		measure="$$("$(PYTHON)" -c "$$LOOK_FOR" "$$version")" || continue; \
		found=1; $$measure || exit 1; \
	done; [ -n "$$found" ] || $(MAKE) --no-print-directory bench ROWS='install.*'

# make bench-compare BASE=main~20 ROWS="task.*"; ARGS=--help tells the rest.
.PHONY: bench-compare
bench-compare: $(VENV)/.deps $(VENV)/.deps-bench $(VENV)/.wrk  ## measure what cede costs here beside what it cost at BASE=commit
	@"$(VENV)/bin/python" -m benchmarks.compare $(BASE) $(rows) $(ARGS)

# --- tests ------------------------------------------------------------------------------------------------------------------

.PHONY: test
test: compiled-test pure-test  ## the whole suite, on the compiled and on the pure install

.PHONY: compiled-test
compiled-test: $(VENV)/.installed $(VENV)/.strace  ## the suite on the compiled install
	@echo "== tests, compiled"
	$(tell_uncompiled)
	@"$(VENV)/bin/python" $(PYTEST) --ignore tests/leaks --ignore tests/libraries --ignore tests/cluster $(ARGS)

.PHONY: pure-test
pure-test: $(PURE)/.installed $(PURE)/.strace  ## the suite on the pure install
	@echo "== tests, pure"
	@"$(PURE)/bin/python" $(PYTEST) --ignore tests/leaks --ignore tests/libraries --ignore tests/cluster $(ARGS)

# Apart from the suite for what they need: two dozen libraries, and two services.
.PHONY: test-libraries
test-libraries: $(VENV)/.installed $(VENV)/.deps-libraries  ## aiohttp, uvicorn, asyncpg and others at work on cede, both ways, with Redis and PostgreSQL
	@echo "== libraries at work"
	@$(call with_services,$(VENV)) $(BOTH_WAYS) tests/libraries $(ARGS)

.PHONY: pure-test-libraries
pure-test-libraries: $(PURE)/.installed $(PURE)/.deps-libraries  ## the same on the pure install
	@echo "== libraries at work, pure"
	@$(call with_services,$(PURE)) $(BOTH_WAYS) tests/libraries $(ARGS)

.PHONY: test-services
test-services: $(VENV)/.installed $(VENV)/.deps-libraries  ## of these, the tests that need Redis or PostgreSQL
	@echo "== libraries at work with Redis and PostgreSQL"
	@$(call with_services,$(VENV)) -m tests.libraries.both_ways $(addprefix tests/libraries/test_,redis.py asyncpg.py psycopg.py) $(ARGS)

# Apart from the suite for what it needs, and one after the other: each test starts processes of its own.
.PHONY: test-cluster
test-cluster: $(VENV)/.installed $(VENV)/.deps-cluster  ## work on a cluster of real processes, some of which are killed
	@echo "== cluster"
	@"$(VENV)/bin/python" -m pytest tests/cluster $(ARGS)

.PHONY: services
services:  ## start Redis and PostgreSQL for the tests (installed if missing), print their addresses
	@"$(PYTHON)" tests/libraries/services.py up

.PHONY: services-down
services-down:  ## stop them
	@"$(PYTHON)" tests/libraries/services.py down

.PHONY: conformance
conformance: $(VENV)/.installed $(VENV)/.deps-conformance  ## CPython's, uvloop's and AnyIO's own tests, run against cede
	@"$(VENV)/bin/python" -m tests.conformance $(ARGS)

.PHONY: suites
suites: $(VENV)/.installed  ## seventeen libraries' own suites, on asyncio and under `cede run`
	@"$(VENV)/bin/python" -m tests.suites $(ARGS)

# Which Pythons, and where they are looked for: tests/matrix/pythons.py. make matrix ARGS="3.13 --quick", PYTHONS="python3.12 /opt/python3.14/bin/python3",
# MATRIX_RUN_3_14="docker run --rm -v $PWD:/cede -w /cede python:3.14".
.PHONY: matrix
matrix:  ## the suite and the suites of others, on every Python at hand
	@"$(PYTHON)" -m tests.matrix --venv "$(VENV)" $(ARGS)

.PHONY: leaks
leaks: $(VENV)/.installed  ## the tests under a debug allocator, then the reference-leak loop
	@echo "== tests, under PYTHONMALLOC=debug"
	@PYTHONMALLOC=debug "$(VENV)/bin/python" $(PYTEST) $(NOT_SLOW) $(ARGS)
	@$(MAKE) --no-print-directory leak-loops

.PHONY: leak-loops
leak-loops: $(VENV)/.installed  ## the reference-leak loop alone
	@echo "== reference leaks"
	@"$(VENV)/bin/python" $(PYTEST) tests/leaks $(ARGS)

# What is freed is to be seen at once: the interpreter's own allocator and all free lists are out of the way, and freed memory is overwritten,
# so that code without instrumentation stumbles over it too. Leaks are not looked for here: the interpreter leaves much of what it has to the end
# of its process, where the sanitizer cannot tell it from a leak (`make leaks` and `make soak` look for them).
# UndefinedBehaviorSanitizer sees what was compiled with it, which is cede's own code alone: nothing of CPython's has to be suppressed.
SANITIZE = -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer -g -O1 -DCYTHON_USE_FREELISTS=0
UNDER_SANITIZERS = env PYTHONMALLOC=malloc UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 \
	ASAN_OPTIONS=detect_leaks=0:handle_abort=1:allocator_may_return_null=1:max_free_fill_size=65536:free_fill_byte=219:max_allocation_size_mb=3000 \
	LD_PRELOAD="$$(ldd "$$(find "$(SANITIZED)"/lib/python*/site-packages/cede -name '*.so' | sort | head -n 1)" | awk '/lib(a|ub)san/ { print $$3 }' | xargs)"
NOT_SLOW = -m "not slow" --ignore tests/conformance --ignore tests/examples --ignore tests/leaks --ignore tests/libraries --ignore tests/cluster

.PHONY: asan-build
asan-build:
	@echo 'int main(void) { return 0; }' | cc $(SANITIZE) -x c - -o /dev/null 2> /dev/null || \
		{ echo "the C compiler cannot link with AddressSanitizer and UndefinedBehaviorSanitizer (Debian and Ubuntu: apt install gcc; Fedora: dnf install libasan libubsan)" >&2; exit 1; }
	@mkdir -p build/asan
	@printf '[build]\nbuild_base = build/asan\n' > build/asan/distutils.cfg
	@DIST_EXTRA_CONFIG=build/asan/distutils.cfg CFLAGS="$(SANITIZE)" $(MAKE) --no-print-directory VENV="$(SANITIZED)" build

.PHONY: asan
asan: asan-build  ## the tests and the fuzzers on native code built with sanitizers
	@echo "== tests, under AddressSanitizer and UndefinedBehaviorSanitizer"
	@$(UNDER_SANITIZERS) "$(SANITIZED)/bin/python" $(PYTEST) $(NOT_SLOW) $(ARGS)
	@echo "== fuzzers, under both"
	@$(UNDER_SANITIZERS) "$(SANITIZED)/bin/python" -m tests.fuzz.calls 1 2 build/asan/calls
	@$(UNDER_SANITIZERS) "$(SANITIZED)/bin/python" -m tests.fuzz.sequences --seed 1 --programs 100
	@$(UNDER_SANITIZERS) "$(SANITIZED)/bin/python" -m tests.fuzz.reentry --seed 1 --steps 100000

# make reentry STEPS=1000000 ARGS="--seed 7"; make reverted NAME=abort (or list, or all): a mend is taken back in a copy, and has to be missed.
STEPS ?= 100000
NAME ?= all
.PHONY: reentry
reentry: asan-build  ## user code in every place doing what it should not, under sanitizers, for STEPS=100000
	@$(UNDER_SANITIZERS) "$(SANITIZED)/bin/python" -m tests.fuzz.reentry --steps $(STEPS) $(ARGS)

.PHONY: reverted
reverted: asan-build  ## show that the fuzzer finds what the mend NAME=all keeps away
	@$(UNDER_SANITIZERS) CEDE_SANITIZE="$(SANITIZE)" "$(SANITIZED)/bin/python" -m tests.fuzz.reentry --reverted $(NAME) $(ARGS)

.PHONY: fuzz
fuzz: $(VENV)/.installed  ## sequences of calls drawn at random, for SECONDS=300
	@"$(VENV)/bin/python" -m tests.fuzz.sequences --seconds $(SECONDS) --log build/fuzz-program $(ARGS)

# What it finds is printed with its seed: ARGS="--seed 7 --seeds 1" plays one again.
.PHONY: differential
differential: $(VENV)/.installed  ## random programs on asyncio and on cede, for SECONDS=300: equal logs
	@"$(VENV)/bin/python" -m tests.differential --seeds 1000000 --seconds $(SECONDS) $(ARGS)

.PHONY: soak
soak: $(VENV)/.installed  ## servers under load and faults, for MINUTES=3
	@"$(VENV)/bin/python" -m tests.soak $(MINUTES) $(ARGS)

.PHONY: nightly
nightly: $(VENV)/.installed  ## what takes longer than a run of CI may, hours of it: docs/nightly.json keeps what came of it
	@"$(VENV)/bin/python" -m tests.nightly $(ARGS)

.PHONY: lint
lint: $(VENV)/.installed $(VENV)/.deps-lint  ## ruff, mypy (strict) and the floors
	@echo "== ruff"
	@"$(VENV)/bin/python" -m ruff check .
	@echo "== mypy"
	@"$(VENV)/bin/python" -m mypy
	@echo "== floors"
	@"$(VENV)/bin/python" -m pytest -q tests/project/test_floors.py

.PHONY: clean
clean: services-down  ## remove the environments and everything built
	rm -rf "$(VENV)" "$(PURE)" "$(SANITIZED)" .venv-3.* build dist .pytest_cache .ruff_cache src/*.egg-info
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
