# How both layers are built. `sam build` runs `make build-<LogicalId>` in a scratch copy of the layer's folder, with
# ARTIFACTS_DIR set, and with its own environment; the stack's parameters do not reach it. So what to build for comes
# from the environment, and must match the parameters Architecture and PythonRuntime at deployment:
#
#     LIFESTREAM_ARCH=arm64 LIFESTREAM_PYTHON=3.14 sam build
#     sam deploy --parameter-overrides Architecture=arm64 PythonRuntime=python3.14
#
# Only finished wheels for that target are taken, so any host will do: no Docker, no compiler, whatever its Python.
# (Hence --use-container is of no use, and fails: this file lies outside of the folder that a container is given.)

LIFESTREAM_ARCH ?= x86_64
LIFESTREAM_PYTHON ?= 3.13
PIP ?= $(shell python3 -c 'import pip' 2>/dev/null && echo python3 -m pip || echo pip3)

LAYER := $(patsubst %/,%,$(dir $(realpath $(firstword $(MAKEFILE_LIST)))))
PYTHON_DIR = $(ARTIFACTS_DIR)/python

WHEEL_ARCH_x86_64 := x86_64
WHEEL_ARCH_arm64 := aarch64
WHEEL_ARCH := $(WHEEL_ARCH_$(LIFESTREAM_ARCH))
ifeq ($(WHEEL_ARCH),)
$(error LIFESTREAM_ARCH is "$(LIFESTREAM_ARCH)", and must be x86_64 or arm64)
endif
ifeq ($(filter 3.12 3.13 3.14,$(LIFESTREAM_PYTHON)),)
$(error LIFESTREAM_PYTHON is "$(LIFESTREAM_PYTHON)", and must be 3.12, 3.13 or 3.14)
endif

# Amazon Linux 2023, under each of these runtimes, has glibc 2.34; pip takes no platform as implying the older ones.
PLATFORMS := manylinux_2_28 manylinux_2_27 manylinux_2_17 manylinux2014

# --no-deps, because the lock is the whole closure less what excludes.txt leaves out on purpose.
# --no-compile, because it would compile for the host's Python.
define install
	$(PIP) install --quiet --disable-pip-version-check --no-compile --no-deps --require-hashes --only-binary=:all: \
		--implementation cp --python-version $(LIFESTREAM_PYTHON) $(PLATFORMS:%=--platform %_$(WHEEL_ARCH)) \
		--target "$(PYTHON_DIR)" --requirement "$(LAYER)/requirements.txt"
endef

# Never needed at run time: console scripts and their manuals, tests, headers, stubs.
define trim
	rm -rf "$(PYTHON_DIR)/bin" "$(PYTHON_DIR)/share"
	find "$(PYTHON_DIR)" -type d \( -name tests -o -name test -o -name include -o -name __pycache__ \) -prune -exec rm -rf {} +
	find "$(PYTHON_DIR)" -type f \( -name '*.pyi' -o -name '*.h' -o -name 'test_*.py' -o -name 'conftest.py' \) -delete
endef

# Byte code, which only the target's own Python can write. It is worth having: imported by one whole CPU, the
# lifestream layer takes 0.2 s with it and 0.55 s without, the engines 0.5 s and 1.1 s, at every cold start (the layers
# are read-only, so Lambda cannot keep what it compiles). Not dated, because zipping does not keep dates to the second.
TARGET_PYTHON ?= python$(LIFESTREAM_PYTHON)
define compile
	@if $(TARGET_PYTHON) -c '' 2>/dev/null; \
	then $(TARGET_PYTHON) -m compileall -q -j 0 --invalidation-mode unchecked-hash "$(PYTHON_DIR)"; \
	else echo "No $(TARGET_PYTHON) here: the layer has no byte code, and cold starts take longer."; fi
endef

.PHONY: lock
lock: # writes requirements.txt anew; `make lock` in the project's root does so for both layers
	@cd "$(LAYER)" && uv pip compile --quiet requirements.in --output-file requirements.txt $(LOCK_OPTIONS) \
		--universal --python-version 3.11 --generate-hashes --no-emit-index-url --custom-compile-command 'make lock'
