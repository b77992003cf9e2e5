# Each job is `python3 bootstrap.py JOB`, for machines without make. Extra words: make test ARGS="-k import"
PYTHON ?= python3
ARGS ?=
export CASES SAMPLES

.PHONY: setup demo test check bench cases samples soak screenshots
setup demo test check bench cases samples soak screenshots:
	@exec $(PYTHON) bootstrap.py $@ $(ARGS)
