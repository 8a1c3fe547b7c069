#!/usr/bin/env bash
# attention_check: exit codes, the one line of an error, what it lists. $1: the programs' folder.
set -u
program=$1/attention_check
[[ -x $program ]] || exit 77
failures=0
fail() { echo "FAILED: $1"; failures=$((failures + 1)); }

out=$("$program" dense --checks causality,linearity 2>&1) || fail "dense: exit code $?"
[[ $out == *"causality"*"f64"*"ok"* && $out == *"f32"* ]] || fail "no line for causality: $out"
[[ $out == *"1 variant, 8 checks, 0 failed"* ]] || fail "no summary: $out"

# A spec with options: these alone.
out=$("$program" gaussian:form=naive --checks linearity 2>&1) || fail "form=naive: exit code $?"
[[ $out == "gaussian:form=naive"*"1 variant, 2 checks, 0 failed"* ]] || fail "form=naive: $out"

# refused PART ARGS...: exit code 1, one line on stderr that says PART, nothing on stdout.
refused() {
  local part=$1 code; shift
  "$program" "$@" > "$tmp/out" 2> "$tmp/err"; code=$?
  [[ $code == 1 && ! -s $tmp/out && $(wc -l < "$tmp/err") == 1 &&
    $(cat "$tmp/err") == *"$part"* ]] ||
    fail "$*: code $code, $(cat "$tmp/err")"
}
tmp=$(mktemp -d); trap 'rm -rf "$tmp"' EXIT
refused "unknown variant 'nope'; there are dense" nope
refused "gaussian:from=naive" gaussian:from=naive --checks linearity
refused "unknown option 'from=naive'; there are: form: fast, naive" gaussian:from=naive
refused "unknown check 'luck'" dense --checks luck
refused "--checks needs a list" dense --checks
refused "unknown option '--fast'" dense --fast
refused "which variants?"
"$program" --help | grep -q "causality .* no token" || fail "--help does not list the checks"
[[ $failures == 0 ]]
