# `make run` and `make test` do all the set-up that they need. What they do stands in scripts/.
.PHONY: run stop test vagrant vagrant-test vagrant-down lint format docs pictures bench faults release clean help

help:
	@echo 'make run     set up everything, bring a local cluster up, run jobs/quickstart.py on it'
	@echo 'make stop    end what make run started'
	@echo 'make test    set up everything, run all the tests'
	@echo 'make vagrant        the same cluster in machines (control, hlt01, hlt02) by Vagrant, and jobs/vagrant.py on it'
	@echo 'make vagrant-test   machines of its own, what befalls them, every line and start counted; nothing is left behind'
	@echo 'make vagrant-down   end the machines, leave nothing behind'
	@echo 'make faults  1,000 random kill -9s for each launcher, 50 of leaders, an hour of fuzz; docs/reliability.md shows the last figures'
	@echo 'make lint    ruff, mypy, tsc, actionlint; make format mends what can be mended'
	@echo 'make docs    make the site of the documentation in build/docs'
	@echo 'make pictures  take the pictures of the README anew'
	@echo 'make bench   measure what docs/performance.md shows'
	@echo 'make release  build HEAD as wheels and packages into dist/ and try them; nothing is published'
	@echo 'make clean   remove virtual environments and caches of this checkout'

run:
	@scripts/run

stop:
	@scripts/stop

test:
	@scripts/test

vagrant:
	@scripts/machines

vagrant-test:
	@scripts/vagrant-test

vagrant-down:
	@scripts/machines down

lint:
	@scripts/setup
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	@scripts/web --check
	@scripts/actionlint

format:
	@scripts/setup
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

docs:
	@scripts/docs

pictures:
	@scripts/setup --tests
	.venv/bin/python scripts/picture

bench:
	@scripts/setup --bench
	.venv/bin/python bench/crew.py
	.venv/bin/python bench/executor.py
	.venv/bin/python bench/engine.py
	.venv/bin/python bench/board.py
	.venv/bin/python bench/scale.py
	.venv/bin/python bench/logs.py
	.venv/bin/python bench/follow.py
	.venv/bin/python bench/webui.py

faults:
	@scripts/setup --tests
	.venv/bin/python -m pytest -q tests/faults --kills 1000 --fuzz-minutes 60 --timeout 14400

release:
	@scripts/release

clean:
	@scripts/writable
	@! .venv/bin/daqcluster env >/dev/null 2>&1 || { echo 'a local cluster is up, and what runs on it uses .venv: make stop first'; exit 1; }
	@! test -e vagrant/.machines.json || { echo 'machines were made, and .venv takes them down: make vagrant-down first'; exit 1; }
	rm -rf .venv .venv-3.* .venv-docs .venv-web framework/daqsched/built dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .run.lock .setup.lock .docs.lock .web.lock .setup.log .web.log .test-*.log
	find . -path ./.git -prune -o -type d \( -name __pycache__ -o -name build -o -name '*.egg-info' \) -prune -exec rm -rf {} +
