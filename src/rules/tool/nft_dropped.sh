
# Takes our rule out of every chain, and puts it into the chains that drop: the base chains for inbound
# and forwarded packets whose policy drops, or whose last rule does. Those of iptables and firewalld
# belong to these tools.
listed=$(nft -a list ruleset)
commands=$(printf '%s\n' "$listed" | awk -v mode="$1" -v rule="$rule" '
    /^table / { family = $2; table = $3 }
    /^\tchain / { chain = $2; hook = ""; last = "" }
    /^\t\ttype filter hook (input|forward) / { hook = $4; drops = /policy drop;/ }
    /^\t\t.* # handle [0-9]+$/ {
        if (/ comment "nflog_exporter" # handle [0-9]+$/)
            print "delete rule", family, table, chain, "handle", $NF
        else { last = $0; handle = $NF }
    }
    /^\t}$/ {
        if (hook != "" && mode != "remove" && family ~ /^(inet|ip|ip6)$/) put()
        hook = ""
    }
    function put(  name, whole) {
        name = family " " table " " chain
        if (table == "firewalld" || (family != "inet" && chain ~ /^(INPUT|FORWARD)$/)) {
            print name " is not one of nft: see rules --for firewalld, ufw, iptables" > "/dev/stderr"
            return
        }
        # A rule that turns away every packet: in a table of both IP versions, one for either is none.
        whole = "(drop|reject|reject with icmpx [a-z -]+"
        if (family != "inet") whole = whole "|reject with icmp(v6)? [a-z0-9 -]+"
        whole = "^\t\t(counter packets [0-9]+ bytes [0-9]+ )?(log prefix \"[^\"]*\" )?" whole ")( comment \"[^\"]*\")? # handle "
        if (last ~ whole) print "insert rule", name, "handle", handle, rule
        else if (drops) print "add rule", name, rule
        else print name " accepts what none of its rules decides on: nothing is logged there" > "/dev/stderr"
    }')
[ -z "$commands" ] || printf '%s\n' "$commands" | nft -f -
case "$1$commands" in
remove* | *" rule "*" log "*) ;;
*)
    echo 'Not loaded: no chain of nft drops what none of its rules accepts. Once your rules' \
        'accept what you need, give their chain `policy drop`; or log what begins instead: --log new' >&2
    exit 1
    ;;
esac
