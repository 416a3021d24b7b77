# `make help` lists what there is to do. `make demo` and `make test` see to everything they need.
SHELL := /bin/bash
.DEFAULT_GOAL := help
SWIFT_BIN := $(dir $(shell command -v swift))
PREFIX ?= /usr/local
PROGRAMS := teleport tctl tsh
# The commit that the programs name in `version`; Sources/Programs/Version.swift reads it back. The mark tells it from a linker's own ID.
REVISION := $(shell git rev-parse --verify HEAD 2>/dev/null)
REVISION_MARK := 676974
# Where the linker finds libstdc++ as an archive before it finds the shared one: to load that takes 1.5 of the 11 ms in which tsh starts.
ARCHIVES := .build/archives
LIBSTDCXX := $(lastword $(sort $(wildcard /usr/lib/gcc/*/*/libstdc++.a)))
# Swift's own linker packs the 50,000 relocations of a program into 10 KiB: 1.1 MiB less to read at its start, and of a daemon in memory.
LINKER := -Xswiftc -use-ld=lld -Xlinker -z -Xlinker pack-relative-relocs
SOURCES := Sources Tests Package.swift
.PHONY: help deps build demo test lint format tidy bench load soak fuzz coverage asan tsan install clean

help: ## Show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

deps: ## Install the Debian packages that are missing
	@scripts/deps

build: deps ## Leave teleport, tctl and tsh in .build/release
	@mkdir -p $(ARCHIVES)$(if $(LIBSTDCXX), && ln -sf $(LIBSTDCXX) $(ARCHIVES)/)
	swift build -c release --static-swift-stdlib --disable-local-rpath $(LINKER) -Xlinker -L$(CURDIR)/$(ARCHIVES) $(if $(REVISION),-Xlinker --build-id=0x$(REVISION)$(REVISION_MARK))

demo: build ## Two sites, a tunnel, and commands through it; KEEP=1 leaves them running
	KEEP=$(KEEP) scripts/demo

test: deps build ## Every test; FILTER=Name runs some
	FILTER='$(FILTER)' scripts/test

lint: ## Format and style rules of the formatter
	swift format lint --strict --parallel --recursive $(SOURCES)

format: ## Rewrite files to the format
	swift format --in-place --parallel --recursive $(SOURCES)

tidy: deps ## The rules of the house: layers and banned constructs
	swift test --disable-xctest --filter TidyTests

bench: build ## Figures beside those of OpenSSH, and the goals; ARGS='--rounds 3 --figures "true|echo" --json FILE'
	scripts/bench $(ARGS)

load: build ## SITES=1000 sites on one proxy for MINUTES=0.25, and what they cost it
	scripts/load

soak: build ## Sessions and reconnects by the ten thousand, and whether any process keeps something of them; ARGS=--help
	scripts/soak $(ARGS)

fuzz: deps ## TARGET=packet-reader FOR=60 (seconds); no TARGET lists them
	FUZZ=1 swift build -c release --scratch-path .build-fuzz -Xswiftc -use-ld=lld --product Fuzz
	SWIFT_BACKTRACE=enable=no .build-fuzz/release/Fuzz $(if $(TARGET),$(TARGET) -max_total_time=$(or $(FOR),60))

coverage: deps build ## Line coverage of Sources, a line a file
	swift test --disable-xctest --enable-code-coverage >/dev/null
	$(SWIFT_BIN)llvm-cov report .build/debug/*.xctest -instr-profile .build/debug/codecov/default.profdata Sources

asan: deps build ## Tests under AddressSanitizer and LeakSanitizer
	swift test --disable-xctest --sanitize address --scratch-path .build-asan $(if $(FILTER),--filter $(FILTER))

tsan: deps build ## Tests under ThreadSanitizer
	swift test --disable-xctest --sanitize thread --scratch-path .build-tsan $(if $(FILTER),--filter $(FILTER))

install: build ## Copy the programs to PREFIX/bin (DESTDIR is honoured)
	install -d $(DESTDIR)$(PREFIX)/bin
	install -m 0755 $(PROGRAMS:%=.build/release/%) $(DESTDIR)$(PREFIX)/bin

clean: ## Remove everything that was built
	rm -rf .build .build-fuzz .build-asan .build-tsan
