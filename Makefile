# Lull's commands. `make demo` and `make test` are all a fresh machine with a Swift 6 toolchain needs.

PREFIX ?= /usr/local
BUILD := swift build -c release --static-swift-stdlib --product lull
TEST_SCRATCH := .build-tests
TEST_TARGETS := FormatsTests TextTests EngineTests LanguageTests LibraryTests NotebookTests
SHELL := /bin/bash
MODEL := models/SmolLM2-135M-Instruct.Q4_1.gguf
WHISPER := models/whisper-tiny.en/model.bin models/whisper-base/model.bin
PYTHON ?= python3

.PHONY: help demo test quick-test build setup bench format lint install clean

help:
	@echo "make demo     set up, build, and run notebooks/tour.ipynb with a real language model"
	@echo "make test     set up, build, and run every test"
	@echo "make build    build ./lull"
	@echo "make bench    compare speed with NumPy, MLX, CPython and llama.cpp (installs them in .venv-bench)"
	@echo "make format   format the Swift sources; make lint checks them"
	@echo "make install PREFIX=$(PREFIX)"

setup:
	@scripts/setup

build: setup
	$(BUILD)

$(MODEL):
	@scripts/fetch-model $(MODEL)

models/whisper-%/model.bin:
	@scripts/fetch-whisper $* models/whisper-$*

demo: build $(MODEL)
	@mkdir -p out
	./lull run notebooks/tour.ipynb -o out/tour.ipynb
	@echo "The executed notebook is out/tour.ipynb"

# One process a target: the language and the engine each belong to one thread of a process.
test: build lint $(MODEL) $(WHISPER) .venv/ready
	swift build -c release --build-tests --scratch-path $(TEST_SCRATCH) -Xswiftc -enable-testing
	@set -e; for target in $(TEST_TARGETS); do \
	  echo "== $$target"; \
	  swift test -c release --skip-build --scratch-path $(TEST_SCRATCH) -Xswiftc -enable-testing \
	    --filter "^$$target\." 2>&1 | grep -E "Test run with|✘|recorded an issue|error|crash" | tail -40; \
	  test "$${PIPESTATUS[0]}" = 0; \
	done
	.venv/bin/python -m pytest -q Tests/cli
	.venv/bin/python -m pytest -q Tests/jupyter

quick-test: build $(WHISPER) .venv/ready
	.venv/bin/python -m pytest -q -x Tests/cli

.venv/ready: Tests/requirements.txt
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install -q -r Tests/requirements.txt
	@touch $@

bench: build $(MODEL)
	@benchmarks/run

format:
	swift format --in-place --parallel -r Sources Tests Package.swift

lint:
	swift format lint --strict --parallel -r Sources Tests Package.swift

install: build
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/lib/lull
	install -m 755 .build/release/lull $(DESTDIR)$(PREFIX)/bin/lull
	rm -rf $(DESTDIR)$(PREFIX)/lib/lull/stdlib
	cp -R stdlib $(DESTDIR)$(PREFIX)/lib/lull/stdlib
	rm -rf $(DESTDIR)$(PREFIX)/lib/lull/docs
	cp -R docs $(DESTDIR)$(PREFIX)/lib/lull/docs

clean:
	rm -rf .build $(TEST_SCRATCH) .venv .venv-bench out
