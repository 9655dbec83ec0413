
# The lines for a family's file; their first and last are what finds them again.
lines() {
    echo '# begin nflog_exporter'
    for chain in $chains; do printf '%s\n' "-A $1-$chain $rule"; done
    echo '# end nflog_exporter'
}

if [ $file = after ] && [ "$1" != remove ]; then
    # Behind all rules, a packet is dropped only where that is the default.
    . /etc/default/ufw
    chains=
    for way in input forward; do
        [ $way = input ] && policy=$DEFAULT_INPUT_POLICY || policy=$DEFAULT_FORWARD_POLICY
        if [ "$policy" = ACCEPT ]; then
            echo "ufw: $way accepts what no rule decides on: nothing is logged there" >&2
        else
            chains="$chains after-$way"
        fi
    done
    if [ -z "$chains" ]; then
        echo 'Not loaded: ufw drops nothing for want of a rule. Once your rules allow what you need,' \
            '`ufw default deny incoming`; or log what begins instead: --log new' >&2
        exit 1
    fi
fi
sed -i '/^# begin nflog_exporter/,/^# end nflog_exporter/d' /etc/ufw/$file.rules /etc/ufw/${file}6.rules
if [ "$1" != remove ]; then
    lines ufw | sed -i '/^# End required lines/r /dev/stdin' /etc/ufw/$file.rules
    lines ufw6 | sed -i '/^# End required lines/r /dev/stdin' /etc/ufw/${file}6.rules
fi
ufw reload
