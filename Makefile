# Every target is one line. tools/stack.py does the work and needs only Python's standard library.
# Prefer the distribution's Python. tools/bootstrap.py alone chooses the environment's version.
PYTHON := $(firstword $(wildcard /usr/bin/python3) python3)
STACK := $(PYTHON) tools/stack.py

.DEFAULT_GOAL := help
.PHONY: help bootstrap demo test test-fast coverage mutants soak up down restart status logs token check bench docs containers containers-down release reset doctor flowetl reports

help:       ; @$(STACK) --help
bootstrap:  ; @$(STACK) bootstrap
demo:       ; @$(STACK) demo
test:       ; @$(STACK) test $(ARGS)
test-fast:  ; @$(STACK) test-fast $(ARGS)
coverage:   ; @$(STACK) coverage $(ARGS)
mutants:    ; @$(STACK) mutants $(ARGS)
soak:       ; @FLOWKIT_SOAK_MINUTES=$(or $(MINUTES),30) FLOWKIT_SOAK_EXAMPLES=$(or $(EXAMPLES),1000) $(STACK) soak $(ARGS)
up:         ; @$(STACK) up
down:       ; @$(STACK) down
restart:    ; @$(STACK) restart $(SERVICE)
status:     ; @$(STACK) status
logs:       ; @$(STACK) logs $(SERVICE)
flowetl:    ; @$(STACK) flowetl $(ARGS)
reports:    ; @$(STACK) reports $(ARGS)
token:      ; @$(STACK) token
check:      ; @$(STACK) check
bench:      ; @$(STACK) bench $(ARGS)
docs:       ; @$(STACK) docs
containers: ; @$(STACK) containers $(ARGS)
containers-down: ; @$(STACK) containers-down
release:    ; @$(STACK) release
reset:      ; @$(STACK) reset
doctor:     ; @$(STACK) doctor
