# make demo         from a clean clone to a moving arm        make bench        all figures, as one table
# make test         everything that is tested                 make bench-NAME   one of them (benchmarks/NAME.py)
# make test-fast    what starts no process
# make lint         style, layers, types                      make train-demo   the policy of the demo, from nothing
# make setup        only the environment, .venv               make lock         new exact versions of what is installed
# make test-lerobot-0.6   what concerns LeRobot, on LeRobot 0.6
# make colcon       both packages, by colcon                  make clean        remove everything that make made
#
# PYTHON=... chooses the interpreter of .venv (3.12 or 3.13), ARGS="..." is handed to the command behind a target.

VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv pip install --python $(BIN)/python
STAMPS := $(VENV)/stamps

# The ROS wheels re-execute Python once with their library path, guarded by this variable: it must not be inherited
# from another environment's Python.
unexport _ROS_WHEELS_BOOTSTRAP_COMPLETE

.PHONY: demo test test-fast test-lerobot-0.6 lint bench setup colcon lock train-demo clean
.DEFAULT_GOAL := demo

demo: setup
	$(BIN)/prana demo $(ARGS)

# Side by side, one more than there are processors, because tests of processes wait most of the time, and at most five;
# then what measures time, with the machine to itself. pytest's status 5: nothing was chosen.
SIDE_BY_SIDE := -n $$(( $$(nproc) < 4 ? $$(nproc) + 1 : 5 )) --dist=worksteal

test: setup
	@status=0; \
	$(BIN)/python -m pytest -m "not real_time" $(SIDE_BY_SIDE) $(ARGS) || [ $$? = 5 ] || status=1; \
	$(BIN)/python -m pytest -m real_time $(ARGS) || [ $$? = 5 ] || status=1; \
	exit $$status

test-fast: setup
	$(BIN)/python -m pytest -m "not real_time and not process" $(SIDE_BY_SIDE) $(ARGS)

# LeRobot 0.6 lies in a folder of its own, which is looked into before .venv.
LEROBOT_0_6 := .venv-lerobot-0.6
LEROBOT_0_6_TESTS := test/policies test/cameras/test_lerobot_camera.py test/training/test_lerobot_train.py \
	test/training/test_lerobot_eval.py

test-lerobot-0.6: setup $(LEROBOT_0_6)/installed
	PYTHONPATH=$(CURDIR)/$(LEROBOT_0_6) $(BIN)/python -m pytest $(LEROBOT_0_6_TESTS) $(ARGS)

$(LEROBOT_0_6)/installed: requirements/lerobot-0.6.txt | $(BIN)/uv
	rm -rf $(LEROBOT_0_6)
	$(UV) --quiet --no-deps --target $(LEROBOT_0_6) --requirement $<
	@touch $@

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy

bench: setup
	$(BIN)/python -m benchmarks $(ARGS)

bench-%: setup
	$(BIN)/python -m benchmarks.$* $(ARGS)

colcon: setup
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/colcon build $(ARGS)

train-demo: setup outputs/demos/both/meta/info.json
	PYTHON=$(BIN)/python training/train_twin.sh prana_v2 outputs/demos/both outputs/train/twin_prana_v2 $(ARGS)

outputs/demos/both/meta/info.json: | setup
	$(BIN)/python training/make_demos.py --episodes 1200 --scenes hard,hard,standard --repo-id local/both --root outputs/demos/both

lock: $(BIN)/uv
	$(BIN)/uv pip compile --quiet --universal --upgrade --python $(BIN)/python \
		requirements/prana.in --output-file requirements/prana.lock

clean:
	rm -rf $(VENV) $(LEROBOT_0_6) build install log outputs .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

# -- The environment: each step leaves a stamp and is repeated when what it was made from changes ----------------------

setup: $(STAMPS)/project $(STAMPS)/system

FIND_PYTHON = for python in "$(PYTHON)" python3.12 python3.13 \
		$$HOME/.pyenv/versions/3.12*/bin/python $$HOME/.pyenv/versions/3.13*/bin/python python3; do \
		"$$python" -c 'import ensurepip, sys, venv; sys.exit(not (3, 12) <= sys.version_info < (3, 14))' \
			2>/dev/null && break; python=; done

$(BIN)/uv:
	@$(FIND_PYTHON); \
	[ -n "$$python" ] || { echo "No Python 3.12 or 3.13 with venv was found: install one (on Ubuntu 24.04:" \
		"sudo apt-get install python3.12-venv) or name it: make PYTHON=/path/to/python3.12"; exit 1; }; \
	echo "$(VENV) from $$("$$python" --version)"; \
	"$$python" -m venv $(VENV)
	$(BIN)/python -m pip install --quiet uv
	@mkdir -p $(STAMPS)

# Compiled here and once: where PYTHONDONTWRITEBYTECODE is set, every process would compile PyTorch anew.
$(STAMPS)/requirements: requirements/prana.lock | $(BIN)/uv
	@echo "Installing the locked requirements"
	$(UV) --compile-bytecode --requirement $<
	@mkdir -p $(STAMPS) && touch $@

# Built with the locked ROS packages of .venv, not with the newest ones of an isolated build.
$(STAMPS)/prana_msgs: $(shell find prana_msgs -type f) $(STAMPS)/requirements
	@echo "Building prana_msgs"
	$(UV) --quiet --no-build-isolation --no-deps --reinstall-package prana_msgs ./prana_msgs
	@touch $@

PLUGIN := training/lerobot_policy_prana

$(STAMPS)/project: setup.py setup.cfg pyproject.toml $(shell find $(PLUGIN) -name '*.py' -o -name '*.toml') $(STAMPS)/prana_msgs
	$(UV) --quiet --no-build-isolation --no-deps --reinstall-package lerobot_policy_prana --editable . ./$(PLUGIN)
	@touch $@

# The twin renders through EGL: a GPU's or Mesa's.
EGL_PACKAGES := libegl1 libgl1-mesa-dri libopengl0
EGL_WORKS = MUJOCO_GL=egl $(BIN)/python -c \
	'import mujoco; context = mujoco.GLContext(8, 8); context.make_current(); context.free()' >/dev/null 2>&1

$(STAMPS)/system: | $(STAMPS)/requirements
	@$(EGL_WORKS) || { \
		echo "Installing $(EGL_PACKAGES)"; \
		if [ "$$(id -u)" = 0 ]; then as_root=; else as_root="sudo -n"; fi; \
		{ $$as_root apt-get update -qq && $$as_root apt-get install -qq --yes $(EGL_PACKAGES); } >/dev/null 2>&1; \
		$(EGL_WORKS); \
	} || { echo "The twin's cameras need EGL. Please type: sudo apt-get install $(EGL_PACKAGES)"; exit 1; }
	@touch $@
