# make test   installs what is missing and passes the tests (about 22 minutes from nothing on two cores)
# make demo   shows the whole loop, with every real part, in about two minutes; where one is not root or not
#             on Debian, or with DEMO=sim, against simulators, and says so
# make long   what takes longer than a test should
#
# Both install Debian packages (they ask first on a terminal; YES=1 answers) and need root, because
# the worker machines of the rig are made of mount and process namespaces. The simulated demo does neither.

CARGO ?= cargo
PROFILE ?= dev
BINARIES = target/$(if $(filter release,$(PROFILE)),release,debug)
INSTALL = tests/rig/install.sh $(if $(YES),--yes)

# of the random walks in make long
WALK_SEED ?= $(shell date +%s)

DEMO ?= $(shell [ "$$(id -u)" = 0 ] && [ -e /etc/debian_version ] && echo rig || echo sim)

# Grafana's own types, which the dashboards are written from
SDK = target/grafana/sdk

# Huawei Cloud's own client, which the simulated cloud is asked with
ECS_SDK = target/sdk

.PHONY: test demo long lint deny build dashboards check-dashboards check-sdk

test: lint
	$(INSTALL)
	@$(MAKE) --no-print-directory check-dashboards
	$(CARGO) build --workspace --bins
	@$(MAKE) --no-print-directory check-sdk
	$(CARGO) test --workspace --exclude obs-scaler
	$(CARGO) test

demo:
ifneq ($(DEMO),sim)
	$(INSTALL)
endif
	$(CARGO) build --workspace --bins --profile $(PROFILE)
	$(BINARIES)/demo --repository . --binaries $(BINARIES) $(if $(filter sim,$(DEMO)),--simulated)

long:
	$(INSTALL)
	PROPTEST_CASES=20000 $(CARGO) test --release --lib policy
	HANDS_SEED=$(WALK_SEED) HANDS_OPS=52 HANDS_JOBS=900 HANDS_MACHINES=6 $(CARGO) test --test it hands_walk -- --nocapture
	WALK_SEED=$(WALK_SEED) WALK_OPS=2000 $(CARGO) test --test it cloud::walk -- --nocapture
	$(CARGO) bench --bench results
	$(CARGO) bench --bench poll
	$(CARGO) bench --bench metrics
	$(CARGO) bench --bench mission
	benches/side-by-side.sh

lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --quiet -- -D warnings
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --no-deps --workspace --quiet
	@if $(CARGO) deny --version >/dev/null 2>&1; then $(MAKE) --no-print-directory deny; \
	else echo "cargo-deny is not installed: licences and bans are not checked (cargo install cargo-deny --locked)"; fi

# it looks at the crates of every platform, and fetches none itself
deny:
	$(CARGO) fetch --locked --quiet
	$(CARGO) deny --offline --log-level error check bans licenses sources

# writes grafana/dashboards/*.json anew from grafana/generate
dashboards: $(SDK)/installed
	cd grafana && ../$(SDK)/bin/python3 -m generate

check-dashboards: $(SDK)/installed
	cd grafana && ../$(SDK)/bin/python3 -B -m generate --check

# the official SDK against a fresh simulator (sim/README.md)
check-sdk: $(ECS_SDK)/installed
	cd sim/sdk && ../../$(ECS_SDK)/bin/python3 -B -m probe $(abspath $(BINARIES))/obs-sim

$(SDK)/installed: grafana/requirements.txt
$(ECS_SDK)/installed: sim/sdk/requirements.txt
$(SDK)/installed $(ECS_SDK)/installed:
	python3 -m venv --clear $(@D)
	$(@D)/bin/pip install --quiet --disable-pip-version-check --requirement $<
	touch $@
