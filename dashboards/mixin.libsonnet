// Alerts, recording rules and dashboards of nflog_exporter for jsonnet, imported from the plain files.
//
//   local nflog = import 'nflog_exporter/dashboards/mixin.libsonnet';
//   { prometheusAlerts: nflog.prometheusAlerts, ... }
//
// Thresholds are the recording rules of the group nflog-thresholds. To change one:
//   nflog + { thresholds+:: { scan_ports: 50 } }
// To use your own runbooks, on a page with one section per alert:
//   nflog + { runbooks:: 'https://wiki.example.net/firewall' }
{
  // Overrides of thresholds: the name without nflog:threshold: to the new value.
  thresholds:: {},
  // URL of the page with the runbooks; null keeps the URLs of the alerts file.
  runbooks:: null,

  local thresholds = self.thresholds,
  local prefix = 'nflog:threshold:',
  local rules = std.parseYaml(importstr '../alerts/nflog_exporter.recording.rules.yml'),
  local known = [rule.record for group in rules.groups for rule in group.rules],

  local withThreshold(rule) =
    local name = std.substr(rule.record, std.length(prefix), std.length(rule.record));
    if std.startsWith(rule.record, prefix) && std.objectHas(thresholds, name)
    then rule { expr: 'vector(%s)' % thresholds[name] }
    else rule,

  local unknown = [name for name in std.objectFields(thresholds) if !std.member(known, prefix + name)],
  assert unknown == [] : 'unknown threshold: ' + std.join(', ', unknown),

  local runbooks = self.runbooks,
  local withRunbook(rule) =
    if runbooks == null then rule
    else rule { annotations+: { runbook_url: runbooks + '#' + std.asciiLower(rule.alert) } },

  prometheusAlerts+::
    local alerts = std.parseYaml(importstr '../alerts/nflog_exporter.rules.yml');
    alerts { groups: [group { rules: std.map(withRunbook, group.rules) } for group in alerts.groups] },

  prometheusRules+:: rules {
    groups: [group { rules: std.map(withThreshold, group.rules) } for group in rules.groups],
  },

  grafanaDashboards+:: {
    'overview.json': import 'overview.json',
    'drilldown-clickhouse.json': import 'drilldown-clickhouse.json',
    'drilldown-mysql.json': import 'drilldown-mysql.json',
    'drilldown-postgres.json': import 'drilldown-postgres.json',
    'health.json': import 'health.json',
    'senders.json': import 'senders.json',
  },
}
