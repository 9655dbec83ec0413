# nft: goto a chain that drops
set -e
nft -f - <<'N'
table inet filter {
 chain deny { log prefix "denied: " ; drop ; }
 chain input {
  type filter hook input priority filter; policy accept;
  iif "lo" accept
  ct state established,related accept
  tcp dport 22 accept
  goto deny
 }
}
N
