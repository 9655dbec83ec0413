# iptables: a chain for each device, which decides about all of its packets
set -e
iptables -N wan-in
iptables -N wan-deny
iptables -A wan-in -p tcp --dport 22 -j ACCEPT
iptables -A wan-in -p tcp -m comment --comment "a \"quoted\" comment" -j wan-deny
iptables -A wan-deny -j DROP
iptables -A INPUT -i lo -j ACCEPT
iptables -A INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT
iptables -A INPUT -i wan0 -j wan-in
iptables -A INPUT -j DROP
