# nft: a last rule with flags, and the policy
set -e
nft -f - <<'N'
table inet filter {
 chain input {
  type filter hook input priority filter; policy drop;
  iif "lo" accept
  ct state established,related accept
  tcp dport 22 accept
  log prefix "[nftables] Inbound Denied: " flags all counter drop
 }
}
N
