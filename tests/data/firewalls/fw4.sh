# nft: OpenWrt: chains of zones, and one that rejects
set -e
nft -f - <<'N'
table inet fw4 {
 chain input {
  type filter hook input priority filter; policy drop;
  iif "lo" accept comment "loopback"
  ct state vmap { established : accept, related : accept } comment "flows"
  iifname "br-lan" jump input_lan comment "lan"
  iifname "wan0" jump input_wan comment "wan"
  jump handle_reject
 }
 chain forward {
  type filter hook forward priority filter; policy drop;
  ct state vmap { established : accept, related : accept }
  iifname "wan0" jump input_wan
  jump handle_reject
 }
 chain handle_reject {
  meta l4proto tcp reject with tcp reset comment "tcp"
  reject comment "other"
 }
 chain input_lan { accept comment "lan" ; }
 chain input_wan { 
  tcp dport 22 accept comment "ssh"
  jump reject_from_wan
 }
 chain reject_from_wan { iifname "wan0" counter jump handle_reject comment "reject wan" ; }
}
N
