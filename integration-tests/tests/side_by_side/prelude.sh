# What all scripts have. The runner sets:
#   N        a name that no other case has; names made of it ("${N}b") are normalised too
#   P        the option that names the directory of the containers
#   LXCPATH  that directory
#   W        the script's own directory
#   ROOTFS   a root of busybox, whose /sbin/init ends on SIGPWR
#   BASIC    a configuration with that root, without a network
#   HOST     a configuration with the host's files

# Prints the exit code of a command behind its output.
rc() { "$@"; echo "rc=$?"; }

# Prints the exit code alone.
quiet() { "$@" >/dev/null 2>&1; echo "rc=$?"; }

# Tries a command until it succeeds, for ten seconds at most.
poll() {
    tries=0
    until "$@" >/dev/null 2>&1; do
        tries=$((tries + 1))
        [ "$tries" -lt 200 ] || { echo "never: $*"; return 1; }
        sleep 0.05
    done
}

# Whether a file has a line with this text.
has() { grep -q -e "$2" "$1"; }

# The state of a container.
state() { lxc-info $P -n "$1" -sH; }

# Whether it is in a state; the answer of becomes.
is_in() { [ "$(state "$1")" = "$2" ]; }

# Waits until it is in a state.
becomes() { poll is_in "$1" "$2"; }

# Makes a configuration of another and further lines, and prints where it is.
conf() {
    made=$(mktemp "$W/conf.XXXXXX")
    cat "$1" >"$made"
    shift
    printf '%s\n' "$@" >>"$made"
    echo "$made"
}

# A stored container with a configuration.
create() { lxc-create $P -n "$1" -t none -f "$2" >/dev/null || echo "create rc=$?"; }

# The same, started.
up() {
    create "$1" "$2"
    lxc-start $P -n "$1" || echo "start rc=$?"
}

# Every number as one sign.
digits() { sed -E 's/[0-9]+(\.[0-9]+)?/#/g'; }

# Starts a monitor of the containers whose names match, and waits until it listens: until it has seen one that is made for that.
watch() {
    lxc-monitor $P -n "$1|${N}probe" >"$W/seen" 2>/dev/null &
    poll probe
}

# One that is made for the monitor to be seen.
probe() {
    lxc-execute $P -n "${N}probe" -f "$BASIC" -- /bin/true
    has "$W/seen" "${N}probe.*STOPPED"
}

# What the monitor has said of others, without what it has said twice.
told() { grep -v "${N}probe" "$W/seen" | uniq; }
