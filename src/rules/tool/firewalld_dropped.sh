
permanent() { firewall-cmd --quiet --permanent "$@"; }

# Ours are known by their priority, the last there is.
firewall-cmd --permanent --list-all-zones |
    awk '/^[^ \t]/ { zone = $1 } /^\trule priority="32767" .* nflog / { print zone, $0 }' |
    while read -r zone rule; do permanent --zone="$zone" --remove-rich-rule="$rule"; done
loaded=
if [ "$1" != remove ]; then
    zones=$(firewall-cmd --get-default-zone && firewall-cmd --get-active-zones | awk '/^[^ \t]/ { print $1 }')
    for zone in $(printf '%s\n' "$zones" | sort -u); do
        if [ "$(firewall-cmd --permanent --zone="$zone" --get-target)" = ACCEPT ]; then
            echo "firewalld: zone $zone accepts what no rule decides on: nothing is logged there" >&2
            continue
        fi
        for protocol in tcp udp; do
            permanent --zone="$zone" \
                --add-rich-rule="rule priority=\"32767\" protocol value=\"$protocol\" $log"
        done
        loaded=yes
    done
fi
firewall-cmd --reload
if [ "$1" != remove ] && [ -z "$loaded" ]; then
    echo 'Not loaded: no zone drops anything for want of a rule. Log what begins instead: --log new' >&2
    exit 1
fi
