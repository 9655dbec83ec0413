# nft: a last rule that rejects
set -e
nft -f - <<'N'
table inet filter {
 chain input {
  type filter hook input priority filter; policy drop;
  iif "lo" accept
  ct state established,related accept
  tcp dport 22 accept
  log prefix "drop " counter reject with icmpx type admin-prohibited
 }
}
N
