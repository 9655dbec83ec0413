
# Takes the jumps and the chain away, however many there are.
remove() {
    for hook in $hooks; do
        while "$tool" -w -t "$table" -D "$hook" -j "$chain" 2>/dev/null; do :; done
    done
    if "$tool" -w -t "$table" -F "$chain" 2>/dev/null; then "$tool" -w -t "$table" -X "$chain"; fi
}

# Where the jump goes in a hook's chain: first of all; of what is dropped, before a last rule that turns
# everything away, or behind all rules where the policy drops. The jumps that are there go.
jumps() {
    "$tool" -w -t "$table" -S "$hook" >"$listed"
    awk -v tool="$tool" -v table="$table" -v hook="$hook" -v chain="$chain" '
        $0 == "-A " hook " -j " chain { print "-D " hook " -j " chain; next }
        /^-P / { policy = $3 }
        /^-A / { rules++; last = $0 }
        END {
            place = 1
            if (table == "filter") {
                place = policy == "DROP" ? rules + 1 : 0
                if (last ~ /^-A [^ ]+( -m comment --comment ("[^"]*"|[^ ]+))? -j (DROP|REJECT( --reject-with [^ ]+)?)$/) place = rules
            }
            if (place) print "-I", hook, place, "-j", chain
            else print tool ": " hook " accepts what none of its rules decides on: nothing is logged there" > "/dev/stderr"
        }' "$listed"
}

listed=$(mktemp)
trap 'rm -f "$listed"' EXIT
loaded=
for tool in iptables ip6tables; do
    # Where the kernel has no IPv6.
    [ "$tool" = iptables ] || [ -e /proc/net/if_inet6 ] || continue
    if [ "$1" = remove ]; then
        remove
        continue
    fi
    all=
    for hook in $hooks; do
        own=$(jumps)
        all="$all$own
"
    done
    case "$all" in
    *"-I "*) ;;
    *)
        remove
        continue
        ;;
    esac
    # In one step: what is there is replaced, and no packet is logged twice or missed.
    printf '*%s\n:%s - [0:0]\n%s\n%sCOMMIT\n' "$table" "$chain" "$rules" "$all" | "$tool-restore" -w --noflush
    loaded=yes
done
if [ "$1" != remove ] && [ -z "$loaded" ]; then
    echo 'Not loaded: no chain drops what none of its rules accepts. Once your rules' \
        'accept what you need, `iptables -P INPUT DROP`; or log what begins instead: --log new' >&2
    exit 1
fi
