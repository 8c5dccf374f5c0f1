# Parts of tests/run: a run's folder and its end, what is missing and gets installed, stages and their times.

fail() { echo "tests/run: $*" >&2; exit 1; }

# --- one run: everything that it starts carries its folder in the environment, and ends with it

begin_run() {
    # nothing here has to survive a power cut: in memory, where there is room, so that no test waits for a disk
    if [ -z "${LOCKSTEP_TEST_RUN:-}" ] && has_room /dev/shm; then
        run=$(mktemp -d -p /dev/shm lockstep-tests.XXXXXX)
    else
        run=$(mktemp -d) # a run within a run: below its folder
    fi
    started=$SECONDS
    chmod 755 "$run"
    mkdir -m 1777 "$run/tmp"
    trap 'totals $? || true; end_run || true' EXIT
    trap 'exit 130' INT # the runner ends well by it, and the next would begin
    # whatever kills this script, also what cannot be caught, and its group: somebody is there to clear up
    set -m
    (
        exec >/dev/null 2>&1 </dev/null
        while [ -e /proc/$$/exe ]; do sleep 1; done
        end_run
    ) &
    set +m
    export LOCKSTEP_TEST_RUN=$run TMPDIR=$run/tmp
}

# Can programs be started there, and is there room for what a run writes, some 3 GiB, beside those who need memory?
has_room() {
    local free memory probe="$1/lockstep-probe.$$" starts=1
    free=$(df --output=avail -B1M "$1" 2>/dev/null | tail -n 1) || return 1
    memory=$(sed -n 's/^MemAvailable: *\([0-9]*\)[0-9]\{3\} kB/\1/p' /proc/meminfo)
    [ "${free:-0}" -ge 8192 ] && [ "${memory:-0}" -ge 8192 ] || return 1
    printf '#!/bin/sh\n' >"$probe" && chmod +x "$probe" && "$probe" && starts=0
    rm -f "$probe"
    return $starts
}

# Processes of this run: by its mark; by where they work, since servers write over their environment; by their command,
# since readers of reports have neither. This script and its watcher began without the mark.
marked() {
    {
        grep -lzxF "LOCKSTEP_TEST_RUN=$run" /proc/[0-9]*/environ || true
        grep -lFf - /proc/[0-9]*/cmdline <<<"$run/" || true # not by its own command
        find /proc/[0-9]* -maxdepth 1 -name cwd -lname "$run/*" || true # a process may have ended meanwhile
    } 2>/dev/null | cut -d / -f 3 | sort -u
}

end_run() {
    [ -d "$run" ] || return 0
    export -n LOCKSTEP_TEST_RUN # what looks for them is none of them
    local signal left
    for signal in INT TERM KILL; do # PostgreSQL ends at once by INT, a shell's children by TERM
        left=$(marked)
        [ -n "$left" ] || break
        kill -s "$signal" $left 2>/dev/null || true
        for _ in $(seq 30); do [ -n "$(marked)" ] || break; sleep 0.1; done
    done
    [ ! -e "$run/policy" ] || rm -f "$policy"
    rm -rf "$run"
}

# Runs a check whose program need not be there; says so if it is not.
where_present() { # where_present PROGRAM COMMAND...
    local program=$1; shift
    if command -v "$program" >/dev/null; then "$@"; else echo "not run, because it is not installed: $program"; fi
}

# --- what is needed

needed=""
need() { # need PROGRAM DEBIAN_PACKAGE
    command -v "$1" >/dev/null || needed="$needed $2"
}
policy=${LOCKSTEP_TEST_POLICY:-/usr/sbin/policy-rc.d}
# Throwaway servers are started by the tests; Debian's own need not run.
start_no_services() {
    [ ! -e "$policy" ] || return 0
    touch "$run/policy"
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod +x "$policy"
}
install_needed() {
    [ -n "$needed" ] || return 0
    command -v apt-get >/dev/null && [ "$(id -u)" = 0 ] || fail "needs these of Debian's packages: install$needed"
    stage "installing$needed"
    start_no_services
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $needed; } >"$run/apt.log" 2>&1 ||
        { tail -n 20 "$run/apt.log"; fail "these of Debian's packages could not be installed:$needed"; }
    if [ -e "$run/policy" ]; then rm -f "$policy" "$run/policy"; fi
}

# --- stages

stages=()
stage() { # stage NAME: begins it, and says how long the last one took
    end_stage
    stage_name=$* stage_began=$SECONDS
    printf '\n== %s\n' "$*"
}
end_stage() {
    [ -z "${stage_name:-}" ] || stages+=("$(printf '%4d s  %s' $((SECONDS - stage_began)) "$stage_name")")
    stage_name=""
}

# --- tests

tests() { # tests NAME BACKEND ONLY NOT FILTER...: the integration tests whose names match ONLY and not NOT; FILTERs are
          # parts of names. The crates' own tests are among those that run 'once'.
    local name=$1 backend=$2 only=$3 not=$4 which="binary(it)"
    shift 4
    case "$name" in
    waiting) ;; # beside the stages
    once) stage "tests that need no database" ;;
    browser) stage "tests in a browser" ;;
    *) stage "tests over $name" ;;
    esac
    if ! cargo nextest --version >/dev/null 2>&1; then
        without_nextest "$name" "$backend" "$only" "$not" "$@" 2>&1 | tee "$run/$name.out"
        return "${PIPESTATUS[0]}"
    fi
    [ -z "$only" ] || which="$which and test(/$only/)"
    [ -z "$not" ] || which="$which and not test(/$not/)"
    [ "$name" != once ] || which="not binary(it) or ($which)"
    rm -f "target/nextest/$name/junit.xml"
    local ended=0
    LOCKSTEP_TEST_BACKEND=$backend cargo nextest run --profile "$name" --workspace --locked --no-fail-fast \
        --no-tests pass -E "$which" "$@" || ended=$?
    [ ! -f "target/nextest/$name/junit.xml" ] || cp "target/nextest/$name/junit.xml" "$run/$name.junit"
    return $ended
}

without_nextest() { # the same by cargo test: what waits holds up what works
    local name=$1 backend=$2 only=$3 not=$4 ended=0 all chosen
    shift 4
    echo "(without cargo-nextest, which would be faster and tell which tests are slow)"
    all=$(cargo test --workspace --test it --locked --quiet -- --list --format terse "$@") || return 1
    chosen=$(sed -n 's/: test$//p' <<<"$all" | grep -E "${only:-.}" | grep -vE "${not:-^$}") || true
    [ "$name" != once ] || LOCKSTEP_TEST_BACKEND=$backend cargo test --workspace --lib --bins --locked --no-fail-fast -- "$@" || ended=1
    [ -z "$chosen" ] || LOCKSTEP_TEST_BACKEND=$backend cargo test --workspace --test it --locked -- --exact $chosen || ended=1
    return $ended
}

# What the runner counted, and what took longest, of a run that exits with this code.
totals() { # totals CODE
    end_stage
    [ ${#stages[@]} -gt 0 ] || return 0
    local all='s/.*<testcase name="\([^"]*\)" classname="\([^"]*\)".* time="\([0-9.]*\)".*/\3 s  \1 (PROFILE)/p'
    if compgen -G "$run/*.junit" >/dev/null; then
        printf '\n== slowest tests\n'
        for report in "$run"/*.junit; do
            sed -n "${all/PROFILE/$(basename "$report" .junit)}" "$report"
        done | sort -rn | sed -n 1,5p
    fi
    printf '\n== stages\n'
    printf '%s\n' "${stages[@]}"
    printf '%4d s  all of it\n\n' $((SECONDS - started))
    # also where no test failed: what was not built was not counted
    [ "$1" = 0 ] || printf 'tests/run: failed, exit code %s\n' "$1"
    local passed wrong
    if compgen -G "$run/*.junit" >/dev/null; then
        passed=$(cat "$run"/*.junit | grep -c '<testcase ' || true)
        wrong=$(cat "$run"/*.junit | grep -cE '<(failure|error)[ >]' || true)
        printf '%d passed, %d failed\n' $((passed - wrong)) "$wrong"
    else
        grep -hs '^test result:' "$run"/*.out || true
    fi
}
