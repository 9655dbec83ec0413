// The dashboards, alerts and recording rules for those who use jsonnet: the plain files, imported.
//
//   local nflog = import 'nflog_exporter/dashboards/mixin.libsonnet';
//   { prometheusAlerts: nflog.prometheusAlerts, ... }
//
// Thresholds are the recording rules of the group nflog-thresholds; change one with
//   nflog + { thresholds+:: { scan_ports: 50 } }
// Runbooks of your own, one section an alert: nflog + { runbooks:: 'https://wiki.example.net/firewall' }
{
  // By the name behind nflog:threshold: – what it shall be instead of the file's value.
  thresholds:: {},
  // The page of the runbooks; null for the one that the file names.
  runbooks:: null,

  local thresholds = self.thresholds,
  local prefix = 'nflog:threshold:',
  local rules = std.parseYaml(importstr '../alerts/nflog_exporter.recording.rules.yml'),
  local known = [rule.record for group in rules.groups for rule in group.rules],

  local changed(rule) =
    local name = std.substr(rule.record, std.length(prefix), std.length(rule.record));
    if std.startsWith(rule.record, prefix) && std.objectHas(thresholds, name)
    then rule { expr: 'vector(%s)' % thresholds[name] }
    else rule,

  local unknown = [name for name in std.objectFields(thresholds) if !std.member(known, prefix + name)],
  assert unknown == [] : 'no threshold has the name ' + std.join(', ', unknown),

  local runbooks = self.runbooks,
  local told(rule) =
    if runbooks == null then rule
    else rule { annotations+: { runbook_url: runbooks + '#' + std.asciiLower(rule.alert) } },

  prometheusAlerts+::
    local alerts = std.parseYaml(importstr '../alerts/nflog_exporter.rules.yml');
    alerts { groups: [group { rules: std.map(told, group.rules) } for group in alerts.groups] },

  prometheusRules+:: rules {
    groups: [group { rules: std.map(changed, group.rules) } for group in rules.groups],
  },

  grafanaDashboards+:: {
    'overview.json': import 'overview.json',
    'drilldown-mysql.json': import 'drilldown-mysql.json',
    'drilldown-postgres.json': import 'drilldown-postgres.json',
    'health.json': import 'health.json',
  },
}
