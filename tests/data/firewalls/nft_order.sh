# nft: a last rule with counter, level and group in another order, and comments
set -e
nft -f - <<'N'
table inet filter {
 chain input {
  type filter hook input priority filter; policy accept;
  iif "lo" accept
  ct state vmap { established : accept, related : accept, invalid : drop }
  tcp dport 80 drop comment "a rule of the user's own"
  tcp dport 22 accept comment "ssh"
  limit rate 5/second counter log prefix "x" group 9
  counter log prefix "in " level info counter drop comment "the rest"
 }
}
N
