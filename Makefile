# The index of what can be done here. Each target says what it installs before it does; all of them are what CI runs.
.PHONY: run test vm-test upgrade-test fuzz check fmt lint proto-lint deny build bench clean

run: ; @scripts/run                            # install what is missing, build, start an agent, show a first container
test: ; @scripts/test                          # install what the tests need, build, run all of them
vm-test: ; @scripts/vm-test                    # the tests that look at the kernel, in guests with cgroup v2 and systemd, on two kernels
upgrade-test: ; @scripts/upgrade-test          # this build and an earlier one take over from each other, there and back
fuzz: ; @scripts/fuzz                          # every parser, a minute each, with inputs that libFuzzer makes
check: fmt lint proto-lint deny                # everything that needs no root and no kernel
fmt: ; cargo fmt --all --check && cargo fmt --manifest-path fuzz/Cargo.toml --check
lint:
	@scripts/setup fuzz
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cargo clippy --manifest-path fuzz/Cargo.toml --target-dir fuzz/target --lib --bins --locked -- -D warnings
proto-lint: ; @scripts/setup check && .tools/bin/buf lint
deny: ; @scripts/setup check && .tools/bin/cargo-deny check bans licenses sources
build: ; @scripts/build
bench: ; @scripts/bench                        # time of a start, beside LXC's and crun's where they are installed
clean: ; cargo clean && rm -rf .tools fuzz/target
