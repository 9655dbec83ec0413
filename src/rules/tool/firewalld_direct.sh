
direct() { firewall-cmd --quiet --permanent --direct "$@"; }
add() {
    direct --add-rule "$family" "$table" "$chain" "$number" "$@"
    number=$((number + 1))
}

for family in ipv4 ipv6; do
    direct --remove-rules "$family" "$table" "$chain"
    if [ "$1" = remove ]; then
        direct --remove-rule "$family" "$table" PREROUTING 0 -j "$chain"
        direct --remove-chain "$family" "$table" "$chain"
    else
        direct --add-chain "$family" "$table" "$chain"
        number=0
        rules
        direct --add-rule "$family" "$table" PREROUTING 0 -j "$chain"
    fi
done
firewall-cmd --reload
