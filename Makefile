# `make run` and `make test` on a fresh machine make .venv first; afterwards they use it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: run baselines cluster report docs test robust arrivals bench bench-gpu attack sentences format common clean

run: $(VENV)/run-ready
	$(BIN)/python GenNet/main.py
	$(BIN)/python DesNet/main.py

# Several workers on this machine, for example RUN='DesNet/main.py --category egret'.
WORKERS ?= 2
RUN ?= GenNet/main.py
cluster: $(VENV)/run-ready
	$(BIN)/python cluster.py --workers $(WORKERS) $(RUN)

# Every model on the same images, of which each holds out every fourth; then all in one table.
CATEGORY ?= lion_tiger
SIZE ?= 64
RNN_SIZE := $(if $(filter 64,$(SIZE)),32,$(SIZE))
SHARED := --category $(CATEGORY) --name $(CATEGORY)_fourth --holdout fourth
baselines: $(VENV)/run-ready
	$(BIN)/python GenNet/main.py $(SHARED) --image_size $(SIZE)
	$(BIN)/python GenNet/likelihood.py output/GenNet/$(CATEGORY)_fourth
	$(BIN)/python DesNet/main.py $(SHARED) --image_size $(SIZE)
	$(BIN)/python DesNet/likelihood.py output/DesNet/$(CATEGORY)_fourth
	for model in autoencoder denoising vae gan pixelcnn rbm; do \
		$(BIN)/python Baselines/main.py $$model $(SHARED) --image_size $(SIZE) || exit $$?; done
	$(BIN)/python Baselines/main.py pixelrnn $(SHARED) --image_size $(RNN_SIZE)
	$(BIN)/python Baselines/main.py boltzmann
	$(BIN)/python compare.py --category $(CATEGORY)

# One page of every run under output/.
report: $(VENV)/run-ready
	$(BIN)/python report.py

test: $(VENV)/test-ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	cd GenNet && ../$(BIN)/mypy --config-file ../pyproject.toml *.py common/*.py ../data/*.py
	cd DesNet && ../$(BIN)/mypy --config-file ../pyproject.toml *.py
	cd Baselines && ../$(BIN)/mypy --config-file ../pyproject.toml *.py
	$(BIN)/mypy report.py compare.py cluster.py benchmarks/bench.py benchmarks/gpu.py benchmarks/robust.py benchmarks/arrivals.py attacks/attack.py docs/make.py
	$(BIN)/python -m pytest

# Every picture and figure of the README and docs/, from the code that is committed: two hours,
# and an hour and a half more for those of photographs, if PHOTOGRAPHS is their folder.
docs: $(VENV)/test-ready
	$(BIN)/python docs/make.py
	$(BIN)/python docs/make.py --families
	$(if $(PHOTOGRAPHS),$(BIN)/python docs/make.py --photographs $(PHOTOGRAPHS))

# Beside PyTorch, on this machine: about 35 minutes.  BENCH holds flags of benchmarks/bench.py.
bench: $(VENV)/bench-ready
	$(BIN)/python benchmarks/bench.py $(BENCH)
	$(BIN)/python benchmarks/scaling.py

# Both models with default flags on folders that no default is tuned to: an hour.
robust: $(VENV)/run-ready
	$(BIN)/python benchmarks/robust.py $(ROBUST)

# Where new chains of DesNet arrive, and whether they stay: two hours and a half.  ARRIVALS holds flags.
arrivals: $(VENV)/run-ready
	$(BIN)/python benchmarks/arrivals.py $(ARRIVALS)

# The same steps on a GPU, for which TensorFlow and PyTorch are to be installed for CUDA.
bench-gpu: $(VENV)/bench-ready
	$(BIN)/python benchmarks/gpu.py $(BENCH)

# All that the commands can say, in one list.
sentences: $(VENV)/test-ready
	$(BIN)/python tests/sentences.py

# Damage, kills and full disks: takes minutes.  ATTACK holds flags of attacks/attack.py.
attack: $(VENV)/attack-ready
	$(BIN)/python attacks/attack.py $(ATTACK)

format: $(VENV)/test-ready
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# What both models share is edited in GenNet/common and copied to DesNet/common.
common:
	mkdir -p DesNet/common
	rm -f DesNet/common/*.py
	cp GenNet/common/*.py DesNet/common/

clean:
	rm -rf $(VENV)

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/run-ready: requirements.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet -r requirements.txt
	touch $@

# With npm, axe-core as well, which looks at the report; without it, those tests are skipped.
$(VENV)/test-ready: tests/requirements.txt attacks/requirements.txt requirements.txt \
		tests/package-lock.json | $(BIN)/python
	$(BIN)/python -m pip install --quiet -r tests/requirements.txt
	if command -v npm > /dev/null; then npm ci --prefix tests --silent --no-audit --no-fund \
		|| echo "npm could not fetch axe-core: its tests are skipped"; fi
	touch $@

$(VENV)/attack-ready: attacks/requirements.txt requirements.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet -r attacks/requirements.txt
	touch $@

$(VENV)/bench-ready: benchmarks/requirements.txt requirements.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet -r benchmarks/requirements.txt
	touch $@
