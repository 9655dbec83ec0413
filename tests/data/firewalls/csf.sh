# iptables: CSF: a chain for all packets that did not arrive on loopback
set -e
iptables -N LOGDROPIN
iptables -A INPUT -i lo -j ACCEPT
iptables -A INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT
iptables -A INPUT -p tcp --dport 22 -j ACCEPT
iptables -A INPUT ! -i lo -j LOGDROPIN
iptables -A LOGDROPIN -p tcp -m tcp --dport 23 -j DROP
iptables -A LOGDROPIN -p tcp -m limit --limit 30/min -j LOG --log-prefix "Firewall: *TCP_IN Blocked* "
iptables -A LOGDROPIN -j DROP
iptables -P INPUT DROP
