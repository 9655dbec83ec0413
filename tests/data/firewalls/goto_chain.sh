# iptables: -g to a chain that drops
set -e
iptables -N DENY
iptables -A DENY -p tcp -j REJECT --reject-with tcp-reset
iptables -A DENY -j DROP
iptables -A INPUT -i lo -j ACCEPT
iptables -A INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT
iptables -A INPUT -p tcp --dport 80 -j DROP
iptables -A INPUT -p tcp --dport 22 -j ACCEPT
iptables -A INPUT -m comment --comment "the rest; all" -g DENY
