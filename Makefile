# Sets up the virtual environment and runs the chain, the tests and the checks; `make help` lists the targets.

PYTHON ?= python3.11
UPGRADE ?= --upgrade
VENV := .venv
BIN := $(VENV)/bin
LOCKED := requirements $(addprefix requirements-,dev torch formats pipelines pipelines-test serving micro supply uv)
INSTALL := $(BIN)/uv pip install --require-hashes --python

export PATH := $(CURDIR)/$(BIN):$(PATH)
export TF_CPP_MIN_LOG_LEVEL ?= 2
unexport PYTHONDONTWRITEBYTECODE # each stage is a process: it would compile its imports again

# ARCHIVE of Speech Commands and DIGITS of spoken digits, else synthesized speech; TASK where words of `commands` are missing
SYSTEMS = python -m systems $(addprefix --archive ,$(ARCHIVE)) $(addprefix --digits ,$(DIGITS)) $(addprefix --task ,$(TASK))

.PHONY: help repro compare compare-systems systems serve test test-slow test-torch test-formats test-pipelines test-serving test-micro test-browser test-engines test-storage test-load test-kills check benchmark docs lock supply engines clean fuzz

help: ## list the targets
	@grep -E '^[a-z%-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

repro: $(VENV)/run ## run the whole chain on the corpus of params.yaml and print what came out
	python -m reproduce

serve: $(VENV)/run ## a page with a microphone at http://localhost:5000; RECORD=FOLDER lets it learn words of your own
	python -m serving.web exports/cnn $(addprefix --record ,$(RECORD))

compare: $(VENV)/run ## compare the evaluated models on a page, comparison/results.html
	python -m training.compare

compare-systems: $(VENV)/run ## likewise all systems that have run
	python -m training.compare $(dir $(wildcard build/systems/*/*/dvc.lock build/systems/*/*/*/dvc.lock))

test: $(VENV)/dev ## the quick tests
	python -m pytest -m "not slow and not browser and not load and not engines and not storage" -n 2 --dist loadfile

test-slow: $(VENV)/dev ## the tests that take longer
	python -m pytest -m slow -n 2 --dist loadfile

test-storage: $(VENV)/dev ## stages, readers and DVC on object storage, with a server on this machine
	python -m pytest -m "storage and not slow" tests/test_storage.py tests/test_storage_training.py

test-kills: $(VENV)/dev ## kill each stage KILLS times, 50 unless said otherwise, and compare what comes out
	KILLS=$(or $(KILLS),50) python -m pytest tests/test_kills.py -s

test-torch: $(VENV)/dev $(VENV)-torch/dev ## the tests of the PyTorch reader and of Lhotse's, in an environment without TensorFlow and Beam
	$(VENV)-torch/bin/python -m pytest --noconftest tests/test_torch_dataset.py tests/test_examples.py \
		tests/test_export_lhotse.py
	TORCH_PYTHON=$(CURDIR)/$(VENV)-torch/bin/python $(BIN)/python -m pytest tests/test_storage_torch.py

test-formats: $(VENV)-formats/dev ## exports by the readers of Grain and TensorFlow Datasets, in an environment without TensorFlow and Beam
	$(VENV)-formats/bin/python -m pytest --noconftest tests/test_export_array_record.py

test-pipelines: $(VENV)-pipelines/dev ## the pipelines' bytes and the libraries of clouds, in an environment without TensorFlow
	$(VENV)-pipelines/bin/python -m pytest --noconftest -m "not slow" tests/test_pipelines_environment.py tests/test_dataflow.py \
		tests/test_requirements.py tests/test_shard_hashes.py tests/test_google_storage.py

test-serving: $(VENV)/dev $(VENV)-serving/run ## decoding and serving with an export, in an environment without TensorFlow and Beam
	SERVING_PYTHON=$(CURDIR)/$(VENV)-serving/bin/python $(BIN)/python -m pytest \
		tests/test_serving_image.py tests/test_serving_export.py tests/test_web_server.py -k "image or environment"

test-micro: $(VENV)/dev $(VENV)-micro/run ## an export by LiteRT for Microcontrollers, in an environment of its own
	MICRO_PYTHON=$(CURDIR)/$(VENV)-micro/bin/python $(BIN)/python -m pytest tests/test_micro_export.py

test-browser: $(VENV)/dev ## the page in Chromium, with what `make repro` makes
	python -m pytest -m browser tests/test_web_page.py tests/test_web_words.py

test-engines: $(VENV)/dev ## the same bytes on Prism, on Flink, with kills, and on Hadoop's storage; what it needs is built or downloaded once
	python -m pytest -m engines

engines: $(VENV)/dev ## run the stages on ARCHIVE on every engine that can be had here, and print the matrix
	python -m benchmarks.engines $(ARCHIVE)

test-load: $(VENV)/dev ## the server under load and fuzzed, in a short form, with exports/cnn
	python -m pytest -m load tests/test_web_load.py

check: $(VENV)/dev ## lint, format and types
	ruff check .
	ruff format --check .
	mypy

systems: $(VENV)/run ## train and evaluate all published systems, on ARCHIVE, DIGITS and TASK; `python -m systems` lists them
	$(SYSTEMS) all

system-%: $(VENV)/run ## train and evaluate one of them, such as system-lstm
	$(SYSTEMS) $(subst -,_,$*)

fuzz: $(VENV)/dev ## feed every reader of foreign data what a fuzzer makes up, for SECONDS each; TARGET names some
	python tests/fuzz.py $(TARGET) $(addprefix --seconds=,$(SECONDS)) $(addprefix --runs=,$(RUNS)) $(addprefix --seed=,$(SEED)) $(addprefix --found=,$(FOUND))

benchmark: $(VENV)/dev ## time the pipelines on ARCHIVE enlarged to CLIPS clips
	python -m benchmarks.pipelines $(ARCHIVE) --clips $(CLIPS)

docs: $(VENV)/dev ## run what the pages in docs/ show on the stores in data/ and write the output into them
	python -m docs.refresh docs/commands.md docs/reading.md docs/queries.md

lock: ## pin all dependencies again, at their newest; those that are pinned stay with UPGRADE=
	@for name in $(LOCKED); do \
		cp $$name.txt $$name.new 2>/dev/null; \
		uv pip compile --quiet $(UPGRADE) --no-annotate --generate-hashes --output-file $$name.new $$name.in \
			--custom-compile-command "make lock" && mv $$name.new $$name.txt || exit; \
	done

supply: $(VENV)/dev $(VENV)-supply/run ## list what is installed (SBOM, licenses) and ask for known holes in it, in build/supply/
	mkdir -p build/supply
	$(VENV)-supply/bin/cyclonedx-py environment --output-reproducible --output-file build/supply/sbom.json $(BIN)/python
	$(VENV)-supply/bin/pip-licenses --python $(BIN)/python --format=csv --order=license --with-urls \
		--output-file build/supply/licenses.csv
	$(VENV)-supply/bin/pip-audit --require-hashes --disable-pip --requirement requirements-dev.txt \
		--format markdown --output build/supply/holes.md
	@echo "$$(grep --count 'could not be audited' build/supply/holes.md) packages could not be looked up, see build/supply/holes.md"

clean: ## remove data, models and results, but not the cache of DVC
	rm -rf build comparison data models evaluation exports validation dvclive logs

$(VENV)/run: requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements-uv.txt
	$(INSTALL) $(BIN)/python --requirement requirements.txt
	touch $@

$(VENV)/dev: $(VENV)/run requirements-dev.txt
	$(INSTALL) $(BIN)/python --requirement requirements-dev.txt
	touch $@

$(VENV)-torch/dev: $(VENV)/run requirements-torch.txt
	$(PYTHON) -m venv $(VENV)-torch
	$(INSTALL) $(VENV)-torch/bin/python --requirement requirements-torch.txt
	touch $@

$(VENV)-formats/dev: $(VENV)/run requirements-formats.txt
	$(PYTHON) -m venv $(VENV)-formats
	$(INSTALL) $(VENV)-formats/bin/python --requirement requirements-formats.txt
	touch $@

$(VENV)-pipelines/dev: $(VENV)/run requirements-pipelines.txt requirements-pipelines-test.txt
	$(PYTHON) -m venv $(VENV)-pipelines
	$(INSTALL) $(VENV)-pipelines/bin/python \
		--requirement requirements-pipelines.txt --requirement requirements-pipelines-test.txt
	touch $@

$(VENV)-serving/run: $(VENV)/run requirements-serving.txt
	$(PYTHON) -m venv $(VENV)-serving
	$(INSTALL) $(VENV)-serving/bin/python --requirement requirements-serving.txt
	touch $@

$(VENV)-supply/run: $(VENV)/run requirements-supply.txt
	$(PYTHON) -m venv $(VENV)-supply
	$(INSTALL) $(VENV)-supply/bin/python --requirement requirements-supply.txt
	touch $@

$(VENV)-micro/run: $(VENV)/run requirements-micro.txt
	$(PYTHON) -m venv $(VENV)-micro
	$(INSTALL) $(VENV)-micro/bin/python --requirement requirements-micro.txt
	touch $@
