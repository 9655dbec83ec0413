# nft: a last rule with a limit, and the policy
set -e
nft -f - <<'N'
table inet filter {
 chain input {
  type filter hook input priority filter; policy drop;
  iif "lo" accept
  ct state established,related accept
  tcp dport 22 accept
  limit rate 10/second burst 20 packets log prefix "DROP_IN: " flags all counter drop
 }
}
N
